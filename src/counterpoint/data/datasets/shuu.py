"""Faces and voices of VoxCeleb1 that belong together: the Seen-Heard and Unseen-Unheard pairs, and what to train on.

The split and the pairs are those of Nagrani, Albanie, Zisserman: "Learnable PINs: Cross-Modal Embeddings for Person
Identity", ECCV (2018), Sec. 5, which FOP and SimAM² judge face-voice association by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.datasets._voxceleb_files import Utterance, VoxFiles, find_voxceleb
from counterpoint.data.datasets.voxceleb import make_table
from counterpoint.data.io.csv_tables import Row, parse_csv, read_text
from counterpoint.data.io.media_files import find_list
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import hold_out_validation
from counterpoint.data.splits.leaks import Entry, LeakReport, compare_lists
from counterpoint.data.splits.published import published
from counterpoint.data.trials import TrialList
from counterpoint.errors import DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec

WHERE = "Seen-Heard and Unseen-Unheard faces and voices of VoxCeleb1 (Nagrani et al. 2018)"
_GET = (
    "Ask for VoxCeleb1 at mm.kaist.ac.kr/datasets/voxceleb. The lists of Learnable PINs are in the "
    "repository of CMPC (github.com/Cocoxili/CMPC, data/Splits and data/veriflist)"
)

_SETS = {"1": "train", "2": "val", "4": "unseen-unheard"}
_SPLITS = "identity_splits.txt"
_SEEN = "veriflist_test_random_seenheard.txt"
_COLUMNS = ("id", "voice-speaker-id", "face-speaker-id", "label", "voice-path", "face-path")
_VOICE = re.compile(r"([^/]+)/(.{11})_([0-9]{7})\.wav")
_FACE = re.compile(r"([^/]+)/(.{11})/([0-9]+)\.jpg")
_EXAMPLES = {"voice-path": "A.J._Buckley/Y8hIVOBuels_0000001.wav", "face-path": "A.J._Buckley/Y8hIVOBuels/0006000.jpg"}
_LAYOUT = """its folder must look like this, in any folders:
  wav/id10001/Y8hIVOBuels/00001.wav ...                  VoxCeleb1's sound
  unzippedFaces/A.J._Buckley/1.6/Y8hIVOBuels/0006000.jpg its faces
  vox1_meta.csv                                          which number has which name
  identity_splits.txt                                    lines such as A.J._Buckley 1
  veriflist_test_random_seenheard.txt, veriflist_test_random_unseenunheard.txt, ..."""


@dataset("shuu", tasks=("speaker",), where=WHERE, elsewhere=_GET)
def load_shuu(root: Path | None, task: str, seed: int, *, lists: str | None = None, val: float = 0.05) -> ClipTable:
    """List the utterances of the 901 training speakers, each with a face of the same video.

    The test's are the videos in the Seen-Heard pairs: seen and heard are their speakers, not these videos. The speakers
    of the Unseen-Unheard pairs (250) and those kept for validation (100) are left out; the pairs themselves, with the
    tables of their voices and faces, are `pair_tables`.

    Args:
        root: folder with VoxCeleb1; None: ``datasets/shuu`` in the cache.
        task: ``speaker``.
        seed: of which training videos are held out for validation.
        lists: folder of ``identity_splits.txt`` and the lists of pairs; None: in `root` or a folder in it.
        val: share of the training videos that are held out.

    Raises:
        DatasetNotFoundError: VoxCeleb1 or a list is not there.
        DataError: a line of a list that does not fit, with its number.
        ConfigError: a value outside its range.
    """
    root, found = _find(root)
    sets = read_identity_splits(_list(root, lists, _SPLITS))
    seen = read_pairs(_list(root, lists, _SEEN))
    numbers = found.numbers()
    training = {numbers[name] for name, side in sets.items() if side == "train" and name in numbers}
    held_out = {_video(name, numbers) for name in seen.utterances}
    sides, labels, groups = {}, {}, {}
    for name in found.utterances:
        speaker, video, _ = name.split("/")
        if speaker in training:
            labels[name], groups[name] = speaker, f"{speaker}/{video}"
            sides[name] = "test" if groups[name] in held_out else "train"
    if "train" not in sides.values():
        raise DataError(f"{root}: no utterance of the {len(training)} training speakers is there")
    few = _speakers_with_one_video(labels, groups, sides)
    several = {name: side for name, side in sides.items() if labels[name] not in few}
    drawn = hold_out_validation("shuu", several, labels, groups, val=val, seed=seed, group_word="source video")
    drawn.sides.update({name: side for name, side in sides.items() if name not in several})
    return make_table("shuu/speaker", found.utterances, drawn, {})


@dataclass(frozen=True)
class PairTables:
    """Pairs of a voice and a face.

    Attributes:
        pairs: whose first sides are voices and whose second are faces, by the names that the list has; those that are
            missing are still in it (`available`).
        voices: a clip for each voice that is there, to be prepared with ``modalities=["audio"]``; its id is its name.
        faces: likewise for each face, with ``modalities=["visual"]``.
    """

    pairs: TrialList
    voices: ClipTable
    faces: ClipTable


def pair_tables(pairs: str | Path, root: str | Path | None = None) -> PairTables:
    """The pairs of a list, with tables of their voices and faces; what is missing is rejected in these.

    Args:
        pairs: the list.
        root: as of `load_shuu`.

    Raises:
        DatasetNotFoundError: VoxCeleb1 is not there.
        DataError: a line of the list that does not fit, with its number; no voice or no face is there.
    """
    path = Path(pairs).expanduser()
    trials = read_pairs(path)
    root, found = _find(None if root is None else Path(root).expanduser())
    numbers = found.numbers()
    sides = []
    for kind, places in (("voice", trials.first), ("face", trials.second)):
        names = [trials.utterances[place] for place in np.unique(places)]
        sides.append(_side_table(kind, names, path, found, numbers))
    return PairTables(trials, *sides)


def read_pairs(path: Path) -> TrialList:
    """Pairs of a voice and a face from one of the lists, ``veriflist_test_random_unseenunheard.txt`` for instance.

    Raises:
        DataError: a line that does not fit, with its number: wrong columns, no voice or face, or a label that the two
            names contradict.
    """
    names: dict[str, int] = {}
    sides: list[tuple[int, int]] = []
    target = []
    for row in parse_csv(read_text(path), str(path), _COLUMNS):
        voice, face = row["voice-path"], row["face-path"]
        for column, name, form in (("voice-path", voice, _VOICE), ("face-path", face, _FACE)):
            if not form.fullmatch(name):
                raise row.error(
                    column, f"{quoted(name)} is no {column.split('-')[0]} such as {quoted(_EXAMPLES[column])}"
                )
        same = voice.split("/")[0] == face.split("/")[0]
        if row["label"] != str(int(same)):
            raise row.error("label", f"{quoted(row['label'])}, but the names are {'one' if same else 'two'}")
        sides.append((names.setdefault(voice, len(names)), names.setdefault(face, len(names))))
        target.append(same)
    if not sides:
        raise DataError(f"{path} has no pairs")
    pairs = np.array(sides, np.int64)
    return TrialList(str(path), tuple(names), pairs[:, 0].copy(), pairs[:, 1].copy(), np.array(target))


def read_identity_splits(path: Path) -> dict[str, str]:
    """Name of a speaker -> ``"train"``, ``"val"`` or ``"unseen-unheard"``.

    Raises:
        DataError: a line that does not fit, with its number; the file cannot be read.
    """
    sets: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        row = Row(str(path), number, dict(zip(("name", "set"), line.split(), strict=False)))
        if not line.strip():
            continue
        if len(line.split()) != 2 or row["set"] not in _SETS:
            raise row.error("set", f"{quoted(line.strip()[:80])} is not a name and 1, 2 or 4")
        if row["name"] in sets:
            raise row.error("name", f"{row['name']} is listed already")
        sets[row["name"]] = _SETS[row["set"]]
    return sets


def _find(root: Path | None) -> tuple[Path, VoxFiles]:
    root = default_root("shuu") if root is None else root
    found = find_voxceleb(root)
    if not found.utterances or not found.numbers():
        lacks = "no utterance" if not found.utterances else "no vox1_meta.csv"
        raise DatasetNotFoundError(f"VoxCeleb1 is not at {root}: there is {lacks}. {_GET}; {_LAYOUT}")
    return root, found


def _list(root: Path, lists: str | None, name: str) -> Path:
    path = find_list(root, lists, (name,))
    if path is None:
        raise DatasetNotFoundError(f"There is no {name} in {root if lists is None else lists}. {_GET}")
    return path


def _video(name: str, numbers: Mapping[str, str]) -> str:
    """Speaker's number and video of a voice or face of a list."""
    speaker, rest = name.split("/", 1)
    return f"{numbers.get(speaker, speaker)}/{rest[:11]}"


def _speakers_with_one_video(
    labels: Mapping[str, str], groups: Mapping[str, str], sides: Mapping[str, str]
) -> set[str]:
    videos: dict[str, set[str]] = {}
    for name, side in sides.items():
        if side == "train":
            videos.setdefault(labels[name], set()).add(groups[name])
    return {speaker for speaker, those in videos.items() if len(those) < 2}


def _side_table(kind: str, names: Iterable[str], path: Path, found: VoxFiles, numbers: Mapping[str, str]) -> ClipTable:
    clips: list[tuple[str, Path]] = []
    rejected: dict[str, str] = {}
    for name in names:
        file = (_voice if kind == "voice" else _face)(name, found, numbers)
        if file is None:
            rejected[name] = f"{path.name} lists it, but it is missing"
        else:
            clips.append((name, file))
    if not clips:
        raise DataError(f"No {kind} of the {len(rejected)} in {path} is there, e.g. {next(iter(rejected))}")
    speakers = tuple(sorted({name.split("/")[0] for name, _ in clips}))
    number = {speaker: k for k, speaker in enumerate(speakers)}
    return ClipTable(
        name=f"shuu/{kind}s",
        classes=speakers,
        clips=tuple(
            Clip(name, file, number[name.split("/")[0]], "test", _video(name, numbers)) for name, file in clips
        ),
        media=MediaSpec(sample_rate=16000, seconds=4.0, frames=1, size=224, gray=False),
        notes=(WHERE + ".", *([f"{len(rejected)} listed {kind}s are missing."] if rejected else [])),
        rejected=rejected,
        group_word="source video",
    )


def _voice(name: str, found: VoxFiles, numbers: Mapping[str, str]) -> Path | None:
    match = _VOICE.fullmatch(name)
    assert match is not None
    speaker, video, number = match.groups()
    # Lists count utterances in seven digits, the files of today in five.
    utterance = found.utterances.get(f"{numbers.get(speaker)}/{video}/{int(number):05d}", Utterance())
    return utterance.audio


def _face(name: str, found: VoxFiles, numbers: Mapping[str, str]) -> Path | None:
    speaker, video, picture = name.split("/")
    folder = found.faces.get((numbers.get(speaker, ""), video))
    path = None if folder is None else folder / picture
    return path if path is not None and path.is_file() else None


@published("shuu", "identity_splits.txt with veriflist_test_random_unseenunheard.txt ...")
def _compare_lists(folder: Path) -> list[LeakReport]:
    """The speakers who are trained on against those of each list of Unseen-Unheard pairs."""
    path = folder / _SPLITS
    if not path.is_file():
        return []
    training = [name for name, side in read_identity_splits(path).items() if side == "train"]
    reports = []
    for pairs in sorted(folder.glob("*unseenunheard.txt")):
        trained = (Entry(f"{path.name}: {name}", "train", name) for name in training)
        tested = (Entry(name, "test", name.split("/")[0]) for name in read_pairs(pairs).utterances)
        reports += compare_lists(f"shuu: {pairs.name}", "speaker", (*trained, *tested))
    return reports
