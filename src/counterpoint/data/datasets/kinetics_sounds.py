"""Kinetics-Sounds: the classes of Kinetics that are seen and heard, from its lists or from folders of its classes.

Arandjelovic, Zisserman: "Look, Listen and Learn", ICCV (2017); Kay et al.: "The Kinetics Human Action Video Dataset",
arXiv:1705.06950 (2017).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.datasets._kinetics_lists import OGM_GE, find_lists, read_list, read_ogm_ge, split_of_name
from counterpoint.data.io.media_files import VIDEOS, cut_names, files_by_name, first_spelling, note_doubles
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import hold_out_validation
from counterpoint.data.splits.leaks import Entry, LeakReport, compare_lists
from counterpoint.data.splits.published import published
from counterpoint.errors import DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec

WHERE = "Kinetics-Sounds, a part of Kinetics (Kay et al. 2017), its lists under CC BY 4.0; the videos are their owners'"
_GET = "Get Kinetics-400, or its classes that can be heard, as github.com/cvdfoundation/kinetics-dataset describes"

_INSTRUMENTS = (
    "accordion",
    "bagpipes",
    "bass guitar",
    "clarinet",
    "drums",
    "guitar",
    "harmonica",
    "keyboard",
    "organ",
    "piano",
    "saxophone",
    "trombone",
    "trumpet",
    "violin",
    "xylophone",
)
CLASSES = (
    "blowing nose",
    "blowing out candles",
    "bowling",
    "chopping wood",
    "dribbling basketball",
    "laughing",
    "mowing lawn",
    *(f"playing {instrument}" for instrument in _INSTRUMENTS),
    "ripping paper",
    "shoveling snow",
    "shuffling cards",
    "singing",
    "stomping grapes",
    "tap dancing",
    "tapping guitar",
    "tapping pen",
    "tickling",
)
"""The 31 names that are left of the 34 of 2017, most of which Kinetics has renamed since; as AdaMML publishes them."""

_LAYOUT = """its folder must look like one of these:
  train.csv, val.csv, test.csv (label,youtube_id,time_start,time_end,split, anywhere under it) with the videos as
    ID_000010_000020.mp4 in any folders
  train/playing drums/ID_000010_000020.mp4 ..., val/..., test/...   (also playing_drums, train_256, videos_val)"""


@dataclass
class _Found:
    """Clip id -> what is known of it, for the clips that are there; and those that are listed and are not."""

    files: dict[str, Path] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    videos: dict[str, str] = field(default_factory=dict)
    starts: dict[str, int | None] = field(default_factory=dict)  # seconds; None where a file's name does not say
    sides: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)  # of these, by list
    notes: list[str] = field(default_factory=list)  # on what was passed over

    def count(self, *passed_over: tuple[int, str]) -> _Found:
        """Itself, with notes on what was passed over: how many, and of what."""
        self.notes += [f"Passed over: {count} {what}." for count, what in passed_over if count]
        return self

    def add(self, name: str, path: Path, label: str, video: str, start: int | None, side: str) -> None:
        self.files[name], self.labels[name], self.sides[name] = path, label, side
        self.videos[name], self.starts[name] = video, start


@dataset("kinetics_sounds", tasks=("action",), where=WHERE, elsewhere=_GET)
def load_kinetics_sounds(
    root: Path | None, task: str, seed: int, *, strumming: bool = False, lists: str | None = None, val: float = 0.1
) -> ClipTable:
    """List the clips of Kinetics whose class can be heard.

    The paper of 2017 names 34 classes of an early Kinetics, most of which have since been renamed, split or dropped.
    31 remain (AdaMML's list; OGM-GE has 31 too, and publishes numbers without names), or 32 with strumming guitar.

    Args:
        root: the folder of Kinetics, or of its part; other classes in it are passed over. None:
            ``datasets/kinetics_sounds`` in the cache.
        task: ``action``.
        seed: of which training clips are held out, where validation clips are drawn.
        strumming: with the class strumming guitar, as CrissCross has it.
        lists: folder of Kinetics' CSV lists; None: anywhere in `root`. Without lists the folders say class and split.
            With OGM-GE's ``my_train.txt`` and ``my_test.txt`` in this folder their clips are taken, and no others, and
            their split; the class is that of Kinetics, and their numbers must agree with it.
        val: where there is no test set, that of validation becomes it and this share of the training clips is held out
            for validation, whole online videos.

    Raises:
        DatasetNotFoundError: no clip of these classes is at `root`, or no list where the option says.
        DataError: a line of a list that does not fit, with its number.
        ConfigError: a value outside its range.
    """
    classes = tuple(sorted((*CLASSES, "strumming guitar"))) if strumming else CLASSES
    root = default_root("kinetics_sounds") if root is None else root
    chosen = None if lists is None else read_ogm_ge(Path(lists).expanduser())
    tables = find_lists(root if lists is None else Path(lists).expanduser()) or (find_lists(root) if chosen else {})
    if lists is not None and not tables and chosen is None:
        raise DatasetNotFoundError(
            f"There are no lists of Kinetics (train.csv, val.csv, test.csv) in {lists}, nor OGM-GE's "
            f"({', '.join(OGM_GE.values())})"
        )
    found = _listed(root, tables, classes) if tables else _in_folders(root, classes)
    if not found.files:
        listed = f": none of the {len(found.missing)} clips listed of its classes is there" if found.missing else ""
        raise DatasetNotFoundError(f"Kinetics-Sounds is not at {root}{listed}. {_GET}; {_LAYOUT}")
    if chosen is not None:
        found = _choose(found, chosen)
    sides, notes = found.sides, _notes(found, classes)
    if "test" not in sides.values():
        sides = {name: "test" if side == "val" else side for name, side in sides.items()}
        notes = (*notes, "Test: the validation set of Kinetics.")
    drawn = 0.0 if "val" in sides.values() else val
    split = hold_out_validation(
        "kinetics_sounds", sides, found.labels, found.videos, val=drawn, seed=seed, group_word="source video"
    )
    return ClipTable(
        name=f"kinetics_sounds/{task}",
        classes=classes,
        clips=tuple(
            Clip(name, path, classes.index(found.labels[name]), split.sides[name], found.videos[name])
            for name, path in found.files.items()
        ),
        media=MediaSpec(sample_rate=16000, seconds=10.0, frames=3, size=224, gray=False),
        notes=(WHERE + ".", *notes, *split.notes),
        rejected=found.missing,
        group_word="source video",
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", " ")


def _listed(root: Path, tables: dict[Path, str], classes: tuple[str, ...]) -> _Found:
    found = _Found()
    doubles: list[Path] = []
    files = files_by_name(root, VIDEOS, doubles)
    found.notes += note_doubles(doubles, root)
    others, twice = 0, 0
    for path, side in tables.items():
        for row in read_list(path, side):
            if _plain(row.label) not in classes:
                others += 1
                continue
            if row.id in found.files or row.id in found.missing:
                twice += 1
                continue
            file = first_spelling((*cut_names(row.video, row.start, row.end), row.video), files)
            if file is None:
                found.missing[row.id] = f"{path.name} lists it, but its video is missing"
                found.lost[path.name] += 1
            else:
                found.add(row.id, file, _plain(row.label), row.video, row.start, side)
    return found.count((others, "clips of other classes"), (twice, "lines whose clip is listed before"))


def _in_folders(root: Path, classes: tuple[str, ...]) -> _Found:
    found, others, twice = _Found(), 0, 0
    for folder in sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else ():
        side = split_of_name(folder.name)
        if side is None:
            others += 1
            continue
        for inner in sorted(p for p in folder.iterdir() if p.is_dir() and _plain(p.name) in classes):
            for name, path in files_by_name(inner, VIDEOS).items():
                if f"{side}/{name}" in found.files:
                    twice += 1
                    continue
                cut = re.fullmatch(r"(.+?)_([0-9]{1,7})(_[0-9]{1,7})?", name)
                video, start = (cut[1], int(cut[2])) if cut else (name, None)
                found.add(f"{side}/{name}", path, _plain(inner.name), video, start, side)
    return found.count((others, "folders whose name is no split"), (twice, "clips whose name is there before"))


def _choose(found: _Found, chosen: Mapping[tuple[str, int], tuple[str, str]]) -> _Found:
    """The clips that OGM-GE's lists have, on the sides that they say."""
    kept = _Found(notes=found.notes)
    names = {(video, found.starts[name]): name for name, video in found.videos.items()}
    classes: dict[str, str] = {}
    for (video, start), (side, number) in chosen.items():
        name = names.get((video, start))
        if name is None:
            kept.missing[f"{video}_{start:06d}"] = f"{OGM_GE[side]} lists it, but no video of these classes is there"
            kept.lost[OGM_GE[side]] += 1
            continue
        label = found.labels[name]
        if classes.setdefault(number, label) != label:
            raise DataError(
                f"{OGM_GE[side]}: {video}_{start} is of class {number}, as clips of {quoted(classes[number])} are, but "
                f"it is of {quoted(label)}"
            )
        kept.add(name, found.files[name], label, video, start, side)
    if not kept.files:
        raise DataError(f"None of the {len(chosen)} clips of {' and '.join(OGM_GE.values())} is there")
    return kept


def _notes(found: _Found, classes: tuple[str, ...]) -> tuple[str, ...]:
    notes = [*found.notes, f"Classes: {len(classes)}, those of Kinetics that remain of the 34 of Kinetics-Sounds."]
    if found.missing:
        lost = ", ".join(f"{count} of {name}" for name, count in found.lost.items())
        notes.append(f"Missing videos: {lost}; figures are not those of the full dataset.")
    if absent := [name for name in classes if name not in found.labels.values()]:
        notes.append(f"No clip of {', '.join(absent)} is there.")
    return tuple(notes)


@published("kinetics_sounds", "train.csv, val.csv, test.csv of Kinetics, or OGM-GE's my_train.txt, my_test.txt")
def _compare_lists(folder: Path) -> list[LeakReport]:
    entries = [
        Entry(row.id, row.split, row.video)
        for path, side in find_lists(folder).items()
        for row in read_list(path, side)
        if row.label in CLASSES
    ]
    chosen = read_ogm_ge(folder) or {}
    listed = (Entry(f"{video}_{start}", side, video) for (video, start), (side, _) in chosen.items())
    return [
        *compare_lists("kinetics_sounds", "source video", entries),
        *compare_lists("kinetics_sounds, OGM-GE's lists", "source video", listed),
    ]
