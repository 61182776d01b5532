"""CREMA-D: 91 actors say twelve sentences with six emotions, from the official files and by either of two splits.

Cao et al.: "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset", IEEE Trans. Affective Computing 5(4) (2014).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from counterpoint.data.clip_table import SPLITS, Clip, ClipTable
from counterpoint.data.io.csv_tables import Row, parse_csv, read_text
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import Drawn, draw_split, hold_out_validation
from counterpoint.data.splits.leaks import Entry, LeakReport, compare_lists
from counterpoint.data.splits.published import published
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

WHERE = "CREMA-D acted emotions (Cao et al. 2014), Open Database Licence"
_GET = (
    "Get it from its repository, github.com/CheyneyComputerScience/CREMA-D (Open Database Licence), "
    "with Git LFS: `git lfs install`, then `git clone`; without Git LFS the clips are pointers of a few "
    "bytes"
)

EMOTIONS = {"NEU": "neutral", "HAP": "happy", "SAD": "sad", "FEA": "fear", "DIS": "disgust", "ANG": "anger"}
"""Codes and classes, in the order of the released code of OGM-GE and MMCosine."""
SENTENCES = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
_LEVELS = ("XX", "LO", "MD", "HI")
_ACTORS = range(1001, 1092)

_LAYOUT = """its folder must look like this:
  VideoFlash/1001_DFA_ANG_XX.flv ...
  AudioWAV/1001_DFA_ANG_XX.wav ...
  train.csv, test.csv      (or in a folder of it): for split=lists alone"""
_RENAMED = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}  # a sound file, in older copies of the repository
_LISTS = ("train", "test")


@dataset("cremad", tasks=("emotion",), where=WHERE, elsewhere=_GET)
def load_cremad(
    root: Path | None,
    task: str,
    seed: int,
    *,
    split: Literal["actors", "lists"] = "actors",
    lists: str | None = None,
    val: float = 0.1,
    test: float = 0.2,
) -> ClipTable:
    """List the clips of CREMA-D with the emotion that the actor was asked for.

    Emotion and actor come from a file's name (``1001_DFA_ANG_XX``: actor, sentence, emotion, level); a file with
    another name is rejected with its reason. The sound is read from ``AudioWAV``, as the published methods do, not from
    the video.

    Args:
        root: the folder with ``VideoFlash`` and ``AudioWAV``; None: ``datasets/cremad`` in the cache.
        task: ``emotion``.
        seed: of what is drawn of the split.
        split: ``"actors"``: drawn, no actor on two sides; ``"lists"``: the 6698 training and 744 test clips of OGM-GE
            and MMCosine, as their ``train.csv`` and ``test.csv`` list them. All 91 actors are in both of these, so that
            the test says nothing about a new face or voice; validation clips are drawn from training.
        lists: folder of ``train.csv`` and ``test.csv``, lines ``1001_DFA_ANG_XX,ANG`` without a header; None: `root`,
            or a folder in it.
        val: share of validation clips; with lists, of the training clips.
        test: share of test clips, where it is drawn.

    Raises:
        DatasetNotFoundError: no clip is at `root`, or no lists.
        DataError: a line of the lists that does not fit, with its number.
        ConfigError: a value outside its range.
    """
    if lists is not None and split != "lists":
        raise ConfigError(
            f"lists is {lists}, but split is {quoted(split)}, which reads none; set split=lists, or drop lists"
        )
    root = default_root("cremad") if root is None else root
    found = _find(root)
    if not found.clips:
        raise DatasetNotFoundError(f"CREMA-D is not at {root}. {_GET}; {_LAYOUT}")
    labels = {name: said.emotion for name, said in found.clips.items()}
    actors = {name: said.actor for name, said in found.clips.items()}
    if split == "actors":
        drawn = draw_split("cremad", labels, actors, val=val, test=test, seed=seed, group_word="actor")
    else:
        listed = _read_lists(_find_lists(root, lists), found)
        drawn = _draw_validation(listed, labels, actors, val, seed)
    classes = tuple(EMOTIONS.values())
    return ClipTable(
        name=f"cremad/{task}",
        classes=classes,
        clips=tuple(
            Clip(
                name,
                root / "VideoFlash" / f"{name}.flv",
                classes.index(labels[name]),
                side,
                actors[name],
                audio=_sound(root, name),
            )
            for name, side in drawn.sides.items()
        ),
        media=MediaSpec(sample_rate=16000, seconds=3.0, frames=1, size=224, gray=False),
        notes=(
            WHERE + ".",
            "Frames: the whole picture; one from the middle of the clip, as the published methods train on one, unless "
            "media.frames says otherwise.",
            *drawn.notes,
        ),
        rejected=found.rejected,
        group_word="actor",
    )


@dataclass(frozen=True)
class Spoken:
    """What the name of a CREMA-D file says; `level` is ``XX`` where none was asked for."""

    actor: str
    sentence: str
    emotion: str
    level: str


def read_name(name: str) -> Spoken:
    """What ``1001_DFA_ANG_XX`` says.

    Raises:
        DataError: not the name of a CREMA-D file; the message says which part is wrong.
    """
    parts = name.split("_")
    if len(parts) != 4:
        raise DataError(
            f"{quoted(name)} is not the name of a CREMA-D file: it must have four parts such as '1001_DFA_ANG_XX'"
        )
    actor, sentence, emotion, level = parts
    if not re.fullmatch("[0-9]{4}", actor) or int(actor) not in _ACTORS:
        raise DataError(f"{quoted(name)} is not the name of a CREMA-D file: {quoted(actor)} is no actor, 1001 to 1091")
    for what, part, known in (
        ("sentence", sentence, SENTENCES),
        ("emotion", emotion, tuple(EMOTIONS)),
        ("level", level, _LEVELS),
    ):
        if part not in known:
            raise DataError(
                f"{quoted(name)} is not the name of a CREMA-D file: {quoted(part)} is no {what}."
                f"{did_you_mean(part, known)}"
            )
    return Spoken(actor, sentence, EMOTIONS[emotion], level)


@dataclass
class _Found:
    clips: dict[str, Spoken] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)


def _find(root: Path) -> _Found:
    found = _Found()
    for path in sorted((root / "VideoFlash").glob("*.flv")):
        name = path.stem
        try:
            found.clips[name] = read_name(name)
        except DataError as error:
            found.rejected[name] = str(error)
    for path in sorted((root / "AudioWAV").glob("*.wav")):
        name = _RENAMED.get(path.stem, path.stem)
        if name not in found.clips:
            found.rejected.setdefault(name, f"AudioWAV/{path.name} is there, but VideoFlash/{name}.flv is missing")
    return found


def _sound(root: Path, name: str) -> Path:
    path = root / "AudioWAV" / f"{name}.wav"
    older = [path.with_stem(old) for old, new in _RENAMED.items() if new == name]
    return next((other for other in older if other.exists() and not path.exists()), path)


def _find_lists(root: Path, lists: str | None) -> Path:
    places = (
        [Path(lists).expanduser()] if lists is not None else [root, *sorted(p for p in root.iterdir() if p.is_dir())]
    )
    for folder in places:
        if all((folder / f"{side}.csv").is_file() for side in _LISTS):
            return folder
    raise DatasetNotFoundError(
        f"There is no train.csv with a test.csv in {lists if lists is not None else f'{root} or a folder in it'}. "
        "The lists of 6698 and 744 clips are in the repository of OGM-GE (GeWu-Lab/OGM-GE_CVPR2022, data/CREMAD); "
        "say where they lie with the option lists, or take split=actors"
    )


def _read_lists(folder: Path, found: _Found) -> dict[str, str]:
    """Clip -> ``"train"`` or ``"test"``, of those that are there; the others are rejected."""
    sides: dict[str, str] = {}
    for side in _LISTS:
        path = folder / f"{side}.csv"
        for row in parse_csv(read_text(path), str(path), ("clip", "class"), header=False):
            name, said = row["clip"], _said(row)
            if EMOTIONS.get(row["class"]) != said.emotion:
                raise row.error("class", f"{quoted(row['class'])}, but {name} shows {said.emotion}")
            if name in sides:
                raise row.error("clip", f"{name} is listed already, for {sides[name]}")
            sides[name] = side
    for name, side in sides.items():
        if name not in found.clips:
            found.rejected[name] = f"{side}.csv lists it, but VideoFlash/{name}.flv is missing"
    return {name: side for name, side in sides.items() if name in found.clips}


def _said(row: Row) -> Spoken:
    try:
        return read_name(row["clip"])
    except DataError as error:
        raise row.error("clip", str(error)) from None


def _draw_validation(
    sides: dict[str, str], labels: dict[str, str], actors: dict[str, str], val: float, seed: int
) -> Drawn:
    # All actors are in both lists: there is nothing to keep apart.
    drawn = hold_out_validation("cremad", sides, labels, actors, val=val, seed=seed, disjoint=False, group_word="actor")
    left_out = len(labels) - len(sides)
    return Drawn(
        drawn.sides,
        (*drawn.notes, *([f"{left_out} clips stand in neither list and are left out."] if left_out else [])),
    )


@published("cremad", "train.csv, val.csv, test.csv with lines such as 1001_DFA_ANG_XX,ANG")
def _compare_lists(folder: Path) -> list[LeakReport]:
    entries = []
    for side in SPLITS:
        path = folder / f"{side}.csv"
        if path.is_file():
            rows = parse_csv(read_text(path), str(path), ("clip", "class"), header=False)
            entries += [Entry(row["clip"], side, _said(row).actor) for row in rows]
    return compare_lists("cremad", "actor", entries)
