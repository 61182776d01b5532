"""Where the utterances, faces and lists of VoxCeleb lie: in its official folders, and as users have made pictures."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from counterpoint.data.io.csv_tables import Row, parse_csv, read_text
from counterpoint.data.io.media_files import PICTURES, SOUNDS, VIDEOS
from counterpoint.errors import DataError, quoted

_SPEAKER = re.compile(r"id[0-9]{5}")
# A face track or its pictures, as in the lists of VoxCeleb1's videos: speaker, video, utterance.
_TRACK = re.compile(r"(id[0-9]{5})#(.+)#([0-9]{5})\.txt#000\.mp4")
_DEEP = 3  # folders between the root and those of the speakers, e.g. vox2/dev/aac
_SIZE = "1.6"  # VoxCeleb1's pictures lie in NAME/1.6/VIDEO: the crop is this much wider than the face
_VOX1_TEST = range(10270, 10310)  # the 40 speakers whose names begin with E

_SIDES = {"1": "train", "2": "val", "3": "test"}  # of iden_split.txt

META = ("vox1_meta.csv", "vox2_meta.csv")


@dataclass
class Utterance:
    """What is there of one utterance.

    Attributes:
        audio: its sound file; None: there is none, or it is in `picture`.
        picture: video of the face, or one picture of it; None: there is none.
        test: its speaker is one of those kept for verification.
    """

    audio: Path | None = None
    picture: Path | None = None
    test: bool = False


@dataclass(frozen=True)
class Speaker:
    """A line of ``vox1_meta.csv`` or ``vox2_meta.csv``: number, name (of VoxCeleb1) and side."""

    id: str
    name: str
    test: bool


@dataclass
class VoxFiles:
    """All that was found.

    Attributes:
        utterances: ``"id10270/x6uYqmx31kE/00001"`` -> what is there of it.
        speakers: by number, from the tables of speakers that are there.
        faces: (speaker, video) -> folder of VoxCeleb1's pictures.
    """

    utterances: dict[str, Utterance] = field(default_factory=dict)
    speakers: dict[str, Speaker] = field(default_factory=dict)
    faces: dict[tuple[str, str], Path] = field(default_factory=dict)

    def numbers(self) -> dict[str, str]:
        """Name -> number of a speaker of VoxCeleb1."""
        return {speaker.name: speaker.id for speaker in self.speakers.values() if speaker.name}


def find_voxceleb(root: Path) -> VoxFiles:
    """Look through a folder with VoxCeleb1, VoxCeleb2 or both.

    Speakers' folders may lie up to three folders deep (``wav/id10001``, ``dev/aac/id00012``, ``vox1_test_wav/wav/``).
    A speaker is one of the test's where the table of speakers says so, where a folder above is called test, or by the
    official numbers of VoxCeleb1.

    Raises:
        DataError: a table of speakers with a line that does not fit.
    """
    found = VoxFiles()
    for folder in _folders(root, _DEEP + 1):
        for name in META:
            if (folder / name).is_file():
                found.speakers.update({speaker.id: speaker for speaker in read_meta(folder / name)})
    ids = found.numbers()
    for folder in _folders(root, _DEEP + 1):
        test = any("test" in re.split("[-_]", part.lower()) for part in folder.relative_to(root).parts)
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if _SPEAKER.fullmatch(entry.name) and entry.is_dir():
                _add_speaker(found, Path(entry.path), test)
            elif track := _TRACK.fullmatch(entry.name):
                _add(found, "/".join(track.groups()), Path(entry.path), test)
            elif entry.name in ids and (Path(entry.path) / _SIZE).is_dir():
                for faces in sorted((Path(entry.path) / _SIZE).iterdir()):
                    found.faces[ids[entry.name], faces.name] = faces
    in_middle = functools.cache(middle_picture)  # the utterances of a video have the same
    for name, utterance in found.utterances.items():
        speaker, video, _ = name.split("/")
        if utterance.picture is None and (speaker, video) in found.faces:
            utterance.picture = in_middle(found.faces[speaker, video])
        known = found.speakers.get(speaker)
        utterance.test |= known.test if known else int(speaker[2:]) in _VOX1_TEST
    return found


def read_meta(path: Path) -> list[Speaker]:
    """The table of speakers, separated by tabs (VoxCeleb1) or commas (VoxCeleb2).

    Raises:
        DataError: a line that does not fit, with its number; the file cannot be read.
    """
    text = read_text(path)
    one = "VoxCeleb2 ID" not in text.partition("\n")[0]
    number, name = ("VoxCeleb1 ID", "VGGFace1 ID") if one else ("VoxCeleb2 ID", "VGGFace2 ID")
    delimiter = "\t" if "\t" in text.partition("\n")[0].strip() else ","
    rows = parse_csv(text, str(path), (number, "Set"), (name, "Gender", "Nationality"), delimiter=delimiter)
    return [Speaker(_speaker(row, number), row[name] if one else "", _is_test(row)) for row in rows]


def _speaker(row: Row, column: str) -> str:
    if not _SPEAKER.fullmatch(row[column]):
        raise row.error(column, f"{quoted(row[column])} is no speaker such as 'id10001'")
    return row[column]


def _is_test(row: Row) -> bool:
    if row["Set"] not in ("dev", "test"):
        raise row.error("Set", f"{quoted(row['Set'])} is neither dev nor test")
    return row["Set"] == "test"


def utterance_name(listed: str) -> str:
    """``id10270/x6uYqmx31kE/00001`` of ``/id10270/x6uYqmx31kE/00001.wav``, as lists have it.

    Raises:
        DataError: it is no name of an utterance.
    """
    parts = listed.lstrip("/").rsplit(".", 1)[0].split("/")
    if len(parts) != 3 or not _SPEAKER.fullmatch(parts[0]) or not all(parts):
        raise DataError(f"{quoted(listed)} is no utterance such as 'id10270/x6uYqmx31kE/00001.wav'")
    return "/".join(parts)


def read_iden_split(path: Path) -> dict[str, str]:
    """VoxCeleb1's split for identification: utterance -> side. Lines are ``1 id10001/1zcIwhmdeo4/00001.wav``, with 1
    for training, 2 for validation and 3 for the test.

    Raises:
        DataError: a line that does not fit, with its number; the file cannot be read.
    """
    sides: dict[str, str] = {}
    for row in parse_csv(read_text(path), str(path), ("set", "utterance"), header=False, delimiter=" "):
        if row["set"] not in _SIDES:
            raise row.error("set", f"{quoted(row['set'])} is none of 1, 2 and 3")
        try:
            name = utterance_name(row["utterance"])
        except DataError as error:
            raise row.error("utterance", str(error)) from None
        if name in sides:
            raise row.error("utterance", f"{name} is listed already, for {sides[name]}")
        sides[name] = _SIDES[row["set"]]
    return sides


def speaker_of(utterance: str) -> str:
    """``id10270`` of ``id10270/x6uYqmx31kE/00001``."""
    return utterance.split("/")[0]


def video_of(utterance: str) -> str:
    """``id10270/x6uYqmx31kE`` of ``id10270/x6uYqmx31kE/00001``."""
    return utterance.rsplit("/", 1)[0]


def middle_picture(folder: Path) -> Path | None:
    """The picture in the middle of a face track that lies as single pictures; None: there is none."""
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    return pictures[len(pictures) // 2] if pictures else None


def _folders(root: Path, deep: int) -> Iterator[Path]:
    """`root` and the folders in it that may hold speakers, up to `deep` levels; speakers' own are not entered."""
    if not root.is_dir():
        return
    yield root
    if deep > 1:
        for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
            plain = not entry.name.startswith(".") and not _SPEAKER.match(entry.name)
            if plain and entry.is_dir() and not (Path(entry.path) / _SIZE).is_dir():
                yield from _folders(Path(entry.path), deep - 1)


def _add_speaker(found: VoxFiles, folder: Path, test: bool) -> None:
    for video in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(video.iterdir()):
            _add(found, f"{folder.name}/{video.name}/{path.stem}", path, test)


def _add(found: VoxFiles, name: str, path: Path, test: bool) -> None:
    kind = path.suffix.lower()
    if path.is_dir():
        picture = middle_picture(path)
        if picture is None:
            return
        path, kind = picture, picture.suffix.lower()
    if kind not in SOUNDS | VIDEOS | PICTURES:
        return
    utterance = found.utterances.setdefault(name, Utterance())
    utterance.test |= test
    if kind in SOUNDS:
        utterance.audio = utterance.audio or path
    elif utterance.picture is None or utterance.picture.suffix.lower() in PICTURES:  # a video says more
        utterance.picture = path
