"""Tiny VoxCeleb, and tiny Seen-Heard and Unseen-Unheard pairs of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from counterpoint.data.tiny.files import write_jpeg, write_sound, write_video

_VIDEOS = ("aaaaaaaaaaa", "b-b_b-b_b-b", "_cccccccccc", "ddddddddddd")
_DEV, _TEST = ("id00012", "id00015", "id00016"), ("id00017", "id00018")  # of VoxCeleb2
_NAMES = {
    "id10001": "A.J._Buckley",
    "id10002": "Abbie_Cornish",
    "id10003": "Adam_Beach",
    "id10004": "A.R._Rahman",
    "id10270": "Aamir_Khan",
    "id10271": "Eartha_Kitt",
}
_VERIFIED = ("id10270", "id10271")  # whom VoxCeleb1 keeps for verification
_SETS = {"A.J._Buckley": 1, "Abbie_Cornish": 1, "Adam_Beach": 2, "A.R._Rahman": 4, "Aamir_Khan": 4, "Eartha_Kitt": 4}
_PICTURES = (25, 50, 75)


def write_voxceleb(root: Path) -> None:
    """VoxCeleb2 as it unpacks, VoxCeleb1's test part with faces, and the trial lists of both."""
    for side, speakers in (("dev", _DEV), ("test", _TEST)):
        for label, speaker in enumerate(speakers):
            for take, video in enumerate(_VIDEOS):
                write_sound(root / side / "aac" / speaker / video / "00001.m4a", label, take)
                write_video(root / side / "mp4" / speaker / video / "00001.mp4", label, take, sound=False)
    _write_vox1(root, "vox1_test_wav", _VERIFIED, _VIDEOS[:2])
    _write_trials(root / "veri_test.csv", _VERIFIED, "")
    _write_trials(root / "test_pairs.csv", _TEST, "/")  # its names begin with a slash


def write_shuu(root: Path) -> None:
    """VoxCeleb1 with faces, ``identity_splits.txt`` and both lists of pairs."""
    dev = [speaker for speaker in _NAMES if speaker not in _VERIFIED]
    _write_vox1(root, "vox1_dev_wav", dev, _VIDEOS)
    _write_vox1(root, "vox1_test_wav", _VERIFIED, _VIDEOS)
    (root / "identity_splits.txt").write_text("".join(f"{name} {k}\n" for name, k in _SETS.items()), encoding="utf-8")
    for kind, wanted in (("seenheard", 1), ("unseenunheard", 4)):
        names = [name for name, k in _SETS.items() if k == wanted]
        _write_pairs(root / f"veriflist_test_random_{kind}.txt", names)


def _write_vox1(root: Path, folder: str, speakers: Sequence[str], videos: Sequence[str]) -> None:
    for label, speaker in enumerate(_NAMES):
        if speaker in speakers:
            for take, video in enumerate(videos):
                for k in (1, 2):
                    write_sound(root / folder / "wav" / speaker / video / f"{k:05d}.wav", label, 2 * take + k)
                for k in _PICTURES:
                    faces = root / "unzippedFaces" / _NAMES[speaker] / "1.6" / video
                    write_jpeg(faces / f"{k:07d}.jpg", label, 100 * take + k)
    lines = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for speaker, name in _NAMES.items():
        lines.append(f"{speaker}\t{name}\tm\tIreland\t{'test' if speaker in _VERIFIED else 'dev'}")
    (root / "vox1_meta.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_trials(path: Path, speakers: Sequence[str], before: str) -> None:
    lines = []
    for speaker in speakers:
        for other in speakers:
            first, second = f"{speaker}/{_VIDEOS[0]}/00001.wav", f"{other}/{_VIDEOS[1]}/00001.wav"
            lines.append(f"{int(speaker == other)},{before}{first},{before}{second}\n")
    path.write_text("".join(lines), encoding="utf-8")


def _write_pairs(path: Path, names: Sequence[str]) -> None:
    """Each voice of the first video with each face."""
    lines = ["id,voice-speaker-id,face-speaker-id,label,voice-path,face-path"]
    pairs = [(voice, face, k) for voice in names for face in names for k in (1, 2)]
    for number, (voice, face, k) in enumerate(pairs, 1):
        picture = f"{face}/{_VIDEOS[0]}/{_PICTURES[k]:07d}.jpg"
        lines.append(f"{number},1,2,{int(voice == face)},{voice}/{_VIDEOS[0]}_{k:07d}.wav,{picture}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
