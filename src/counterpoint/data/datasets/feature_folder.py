"""Features of one's own, as ``counterpoint prepare --features`` writes them: an HDF5 file with two tables beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.data.clip_table import SPLITS, Clip, ClipTable
from counterpoint.data.events import ROUNDING, Event, main_class, read_events
from counterpoint.data.feature_rows import AXES, FeatureRow, Features
from counterpoint.data.io.csv_tables import Row, parse_csv, read_text
from counterpoint.data.io.hdf5 import open_hdf5
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import describe, draw_split, shared_note
from counterpoint.errors import DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

FEATURES, CLIPS, EVENTS = "features.h5", "clips.csv", "events.csv"

_LAYOUT = """the folder must look like this:
  features.h5     datasets audio (N, T, D) and visual (N, T, H, W, D), or one of them, floating-point;
                  or both (N, D): one vector for each clip
  clips.csv       columns clip, class, seconds; optional: split, group; N rows, in the order of features.h5
                    class    empty where nothing happens
                    seconds  length of the clip, which the T segments share equally; vectors need none
                    split    train, val or test; where absent, the split is drawn
                    group    speaker or source video, kept on one side of a drawn split
  events.csv      optional; columns clip, start, end, class; seconds. Without it the class fills the whole clip"""


@dataclass(frozen=True)
class ListedClip:
    """A row of ``clips.csv``: the class is empty where nothing happens, the split where it is to be drawn; the length
    is None where the file tells none."""

    clip: str
    label: str
    split: str
    group: str | None
    seconds: float | None


@dataset("features", tasks=("event",), where="features of your own clips", event_tasks=("event",))
def load_features(
    root: Path | None, task: str, seed: int, *, val: float = 0.1, test: float = 0.2, disjoint: bool = True
) -> ClipTable:
    """List the clips of a folder of features.

    Args:
        root: the folder.
        task: ``event``.
        seed: of a drawn split.
        val: share of validation clips in a drawn split.
        test: share of test clips in it.
        disjoint: keep groups on one side of a drawn split.

    Raises:
        DatasetNotFoundError: there is no such folder, or ``features.h5`` or ``clips.csv`` is not in it.
        DataError: a file is damaged, a row of a table does not fit, or their numbers of clips differ.
    """
    if root is None:
        raise DatasetNotFoundError(f"Dataset 'features' needs to know where they are (data.root); {_LAYOUT}")
    for name in (FEATURES, CLIPS):
        if not (root / name).is_file():
            raise DatasetNotFoundError(f"There is no {root / name}; {_LAYOUT}")
    rows = parse_clips(read_text(root / CLIPS), str(root / CLIPS))
    features, encoders = _open(root / FEATURES, [row.clip for row in rows])
    if features.segments is None:
        return _table_of_vectors(root, rows, features, encoders, seed, val=val, test=test, disjoint=disjoint)
    if any(row.seconds is None for row in rows):
        raise DataError(f"{root / CLIPS}, line 1: column 'seconds' is missing, which features of segments need")
    events, classes, rejected = _events(root / EVENTS, rows)
    sides, how = _split(root.resolve().name, rows, events, classes, val=val, test=test, seed=seed, disjoint=disjoint)
    return ClipTable(
        name=f"features/{root.resolve().name}",
        classes=classes,
        clips=tuple(
            Clip(
                row.clip,
                root / FEATURES,
                main_class(events[row.clip], len(classes)),
                sides[row.clip],
                row.group,
                end=row.seconds,
            )
            for row in rows
        ),
        media=MediaSpec(seconds=max(_length(row) for row in rows)),
        notes=(*encoders, *how),
        rejected=rejected,
        events=events,
        segments=features.segments,
        features=features,
        group_word="group",
    )


def _table_of_vectors(
    root: Path,
    rows: Sequence[ListedClip],
    features: Features,
    encoders: Sequence[str],
    seed: int,
    *,
    val: float,
    test: float,
    disjoint: bool,
) -> ClipTable:
    """Clips with one vector and one class each: they are classified whole."""
    if (root / EVENTS).exists():
        raise DataError(f"{root / EVENTS}: events need features of segments, but {FEATURES} has a vector for each clip")
    classes = _some(tuple(sorted({row.label for row in rows if row.label})))
    known = [row for row in rows if row.label]
    labels = {row.clip: (Event(classes.index(row.label), 0.0, 1.0),) for row in known}
    sides, how = _split(root.resolve().name, known, labels, classes, val=val, test=test, seed=seed, disjoint=disjoint)
    return ClipTable(
        name=f"features/{root.resolve().name}",
        classes=classes,
        clips=tuple(
            Clip(row.clip, root / FEATURES, classes.index(row.label), sides[row.clip], row.group) for row in known
        ),
        media=MediaSpec(),
        notes=(*encoders, *how),
        rejected={row.clip: f"it has no class in {CLIPS}" for row in rows if not row.label},
        features=features,
        group_word="group",
    )


def parse_clips(text: str, source: str) -> list[ListedClip]:
    """The rows of ``clips.csv``, in their order.

    Args:
        text: content of the file.
        source: its name, for messages.

    Raises:
        DataError: a row that does not fit, with line and column.
    """
    rows = parse_csv(text, source, ("clip", "class"), ("seconds", "split", "group"))
    if not rows:
        raise DataError(f"{source} has no rows")
    lines: dict[str, int] = {}
    listed = []
    for row in rows:
        name, split = row["clip"], row["split"]
        if not name:
            raise row.error("clip", "is empty")
        if name in lines:
            raise row.error("clip", f"{quoted(name)} is listed already, in line {lines[name]}")
        lines[name] = row.line
        if split and split not in SPLITS:
            raise row.error("split", f"{quoted(split)} is no split.{did_you_mean(split, SPLITS)}")
        if bool(split) != bool(rows[0]["split"]):
            raise row.error("split", "some rows say their split, others do not; fill in all or none")
        listed.append(ListedClip(name, row["class"], split, row["group"] or None, _seconds(row)))
    return listed


def _seconds(row: Row) -> float | None:
    if "seconds" not in row.cells:
        return None
    try:
        seconds = float(row["seconds"])
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise row.error("seconds", f"{quoted(row['seconds'])} is not a length in seconds")
    return seconds


def _length(row: ListedClip) -> float:
    assert row.seconds is not None
    return row.seconds


def _open(path: Path, clips: Sequence[str]) -> tuple[Features, list[str]]:
    """The features, and a note that says which encoders made them."""
    with open_hdf5(path) as file:
        modalities = [modality for modality in AXES if modality in file]
        encoders = file.attrs.get("encoders")
        others = ", ".join(file)
    if not modalities:
        raise DataError(f"{path}: it has no dataset {' or '.join(AXES)}, but {others or 'nothing'}")
    features = Features(
        {name: {clip: FeatureRow(path, name, k) for k, clip in enumerate(clips)} for name in modalities}
    )
    for name, sources in features.sources.items():
        for rows in sources.values():
            if rows != len(clips):
                raise DataError(f"{path}: {quoted(name)} has {rows} rows, but {CLIPS} has {len(clips)} clips")
    if isinstance(encoders, bytes):
        encoders = encoders.decode("utf-8", "replace")
    return features, [f"Input: features made by {encoders}." if encoders else "Input: features; by what is not said."]


def _events(
    path: Path, rows: Sequence[ListedClip]
) -> tuple[dict[str, tuple[Event, ...]], tuple[str, ...], dict[str, str]]:
    """Clip id -> events, the classes, and the clips whose class and events do not fit, with the reason."""
    names = {row.label for row in rows if row.label}
    if not path.exists():
        classes = tuple(sorted(names))
        whole: dict[str, tuple[Event, ...]] = {
            row.clip: (Event(classes.index(row.label), 0.0, _length(row)),) if row.label else () for row in rows
        }
        return whole, _some(classes), {}
    text = parse_csv(read_text(path), str(path), ("clip", "start", "end", "class"))
    classes = tuple(sorted(names | {row["class"] for row in text if row["class"]}))
    known = {row.clip: row for row in rows}

    def which(row: Row) -> str:
        if row["clip"] not in known:
            near = list(known)[:2000]  # thousands of names would take long to compare
            raise row.error("clip", f"{CLIPS} has no clip {quoted(row['clip'])}.{did_you_mean(row['clip'], near)}")
        return row["clip"]

    found = read_events(path, which, classes)
    rejected: dict[str, str] = {}
    for row in rows:
        events = found.setdefault(row.clip, ())
        happening = {classes[event.label] for event in events}
        if row.label and row.label not in happening:
            rejected[row.clip] = f"its class is {quoted(row.label)} in {CLIPS}, but {EVENTS} has no such event of it"
        elif any(event.end > _length(row) + ROUNDING for event in events):
            rejected[row.clip] = f"an event ends after the clip, which lasts {_length(row):g} s"
    return found, _some(classes), rejected


def _some(classes: tuple[str, ...]) -> tuple[str, ...]:
    if not classes:
        raise DataError(f"No clip of {CLIPS} has a class, and nothing happens in any")
    return classes


def _split(
    name: str,
    rows: Sequence[ListedClip],
    events: Mapping[str, tuple[Event, ...]],
    classes: tuple[str, ...],
    *,
    val: float,
    test: float,
    seed: int,
    disjoint: bool,
) -> tuple[dict[str, str], Sequence[str]]:
    groups = {row.clip: row.group for row in rows}
    sides = {row.clip: row.split for row in rows}
    if rows[0].split:
        note = f"Split: {describe(sides)}, as {CLIPS} says."
        return sides, (note, *shared_note(sides, groups, "group"))
    labels = {row.clip: (*classes, "background")[main_class(events[row.clip], len(classes))] for row in rows}
    drawn = draw_split(name, labels, groups, val=val, test=test, seed=seed, disjoint=disjoint, group_word="group")
    return drawn.sides, drawn.notes
