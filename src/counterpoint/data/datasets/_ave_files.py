"""Reads the official files of AVE: annotations, the split, and labels per segment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.data.clip_table import SPLITS
from counterpoint.data.events import Event, runs, segment_classes
from counterpoint.data.io.csv_tables import Row, parse_csv, read_text
from counterpoint.data.io.hdf5 import read_numbers
from counterpoint.errors import DataError, DatasetNotFoundError, quoted
from counterpoint.registry import did_you_mean

SECONDS = 10.0
SEGMENTS = 10
KEY = "avadataset"
"""Name of the dataset in every HDF5 file of AVE but those of the order."""

CLASSES = (
    "Church bell",
    "Male speech, man speaking",
    "Bark",
    "Fixed-wing aircraft, airplane",
    "Race car, auto racing",
    "Female speech, woman speaking",
    "Helicopter",
    "Violin, fiddle",
    "Flute",
    "Ukulele",
    "Frying (food)",
    "Truck",
    "Shofar",
    "Motorcycle",
    "Acoustic guitar",
    "Train horn",
    "Clock",
    "Banjo",
    "Goat",
    "Baby cry, infant cry",
    "Bus",
    "Chainsaw",
    "Cat",
    "Horse",
    "Toilet flush",
    "Rodents, rats, mice",
    "Accordion",
    "Mandolin",
)
"""In the official order. It is known from ``mil_labels.h5`` and ``Annotations.txt``: for each of the 4143 clips, row k
of the one marks the class that line k of the other names, and this is where the mark stands; 28 is background."""

BACKGROUND = len(CLASSES)
_COLUMNS = ("class", "id", "quality", "start", "end")
_HEADER = ["category", "videoid", "quality", "starttime", "endtime"]
_MAX_OTHER = 0.05  # labels of more clips than this disagree with the annotations: they are of another list of clips


@dataclass(frozen=True)
class Annotation:
    """A line of ``Annotations.txt``: in video `video`, `label` is heard and seen from `start` to `end`, seconds."""

    label: int
    video: str
    start: float
    end: float

    @property
    def events(self) -> tuple[Event, ...]:
        """None where it ends when it starts, as one of the official lines does."""
        return (Event(self.label, self.start, self.end),) if self.end > self.start else ()


class Root:
    """Where AVE's files may lie: in the folder itself, or in ``data/`` or ``AVE_Dataset/`` below it."""

    def __init__(self, root: Path) -> None:
        self.places = (root, root / "data", root / "AVE_Dataset")

    def find(self, *names: str) -> Path | None:
        """The first that there is, of several spellings of one file or folder."""
        return next((p / name for name in names for p in self.places if (p / name).exists()), None)


def parse_annotations(text: str, source: str) -> list[Annotation]:
    """The lines of ``Annotations.txt``, ``class&id&quality&start&end``, with the archive's header or without.

    Args:
        text: content of the file.
        source: its name, for messages.

    Raises:
        DataError: a line that does not fit, with its number.
    """
    rows = parse_csv(text, source, _COLUMNS, header=False, delimiter="&")
    if rows and [cell.lower() for cell in rows[0].cells.values()] == _HEADER:
        rows = rows[1:]
    if not rows:
        raise DataError(f"{source} has no annotations; its lines must be {'&'.join(_COLUMNS)}")
    return [_annotation(row) for row in rows]


def _annotation(row: Row) -> Annotation:
    if row["class"] not in CLASSES:
        raise row.error("class", f"AVE has no class {quoted(row['class'])}.{did_you_mean(row['class'], CLASSES)}")
    if not row["id"] or set(row["id"]) & set("/\\\0"):
        raise row.error("id", f"{quoted(row['id'])} is no name of a video")
    start, end = _time(row, "start"), _time(row, "end")
    if end < start:
        raise row.error("end", f"the event ends at {end:g} s, before it starts ({start:g} s)")
    return Annotation(CLASSES.index(row["class"]), row["id"], start, end)


def _time(row: Row, column: str) -> float:
    try:
        time = float(row[column])
    except ValueError:
        raise row.error(column, f"{quoted(row[column])} is not a time in seconds") from None
    if not 0 <= time <= SECONDS:
        raise row.error(column, f"{row[column]} is not within the {SECONDS:g} s of a video")
    return time


def name_clips(annotations: Sequence[Annotation]) -> list[str]:
    """Ids: the video's, and where the same video is annotated again, as another class, ``VIDEO#2``."""
    seen: Counter[str] = Counter()
    names = []
    for annotation in annotations:
        seen[annotation.video] += 1
        again = seen[annotation.video]
        names.append(annotation.video if again == 1 else f"{annotation.video}#{again}")
    return names


def read_split(root: Root, annotations: Sequence[Annotation]) -> dict[str, list[int]]:
    """Split -> its clips in the official order, as lines of the annotations counted from 0.

    From ``train_order.h5`` ..., as the papers' codes do; without, from ``trainSet.txt`` ... of the archive.

    Raises:
        DatasetNotFoundError: neither is there.
        DataError: a file does not fit the annotations, or a clip stands in two splits.
    """
    sides: dict[str, list[int]] = {}
    for split in SPLITS:
        if path := root.find(f"{split}_order.h5"):
            sides[split] = _read_order(path, len(annotations))
        elif path := root.find(f"{split}Set.txt"):
            sides[split] = _read_set(path, annotations)
        else:
            raise DatasetNotFoundError(
                f"AVE's {split} split is not there: no {split}_order.h5 and no {split}Set.txt in "
                f"{', '.join(map(str, root.places))}"
            )
    twice = [k for k, count in Counter(k for order in sides.values() for k in order).items() if count > 1]
    if twice:
        video = annotations[twice[0]].video
        raise DataError(f"AVE's split lists {len(twice)} clips more than once; the first: row {twice[0]} ({video})")
    return sides


def _read_order(path: Path, clips: int) -> list[int]:
    order = read_numbers(path, "order", ("clips",))
    if order.dtype.kind not in "iu" or not len(order):
        raise DataError(f"{path}: the order holds {len(order)} values of {order.dtype}; it must be row numbers (int)")
    if order.min() < 0 or order.max() >= clips:
        raise DataError(f"{path}: it names the rows {order.min()} to {order.max()}, but Annotations.txt has {clips}")
    rows: list[int] = order.tolist()
    return rows


def _read_set(path: Path, annotations: Sequence[Annotation]) -> list[int]:
    rows = {annotation: k for k, annotation in enumerate(annotations)}
    order = []
    for listed in parse_annotations(read_text(path), str(path)):
        if listed not in rows:
            raise DataError(f"{path}: {CLASSES[listed.label]}&{listed.video} is not in Annotations.txt")
        order.append(rows[listed])
    return order


def read_segment_labels(path: Path, annotations: Sequence[Annotation]) -> tuple[list[tuple[Event, ...]], int]:
    """``labels.h5``, ``right_labels.h5``: one class per segment, ``(clips, T, 29)``, one-hot.

    Returns:
        The events of each clip, and the number of clips that differ from the annotations.

    Raises:
        DataError: other numbers of clips or classes, no one-hot rows, or labels that are not of these clips.
    """
    marks = _read_marks(path, ("clips", "T", str(BACKGROUND + 1)), len(annotations))
    if not (marks.sum(axis=-1) == 1).all():
        raise DataError(f"{path}: a segment has no class, or more than one")
    rows: list[list[int]] = marks.argmax(axis=-1).tolist()
    segments = marks.shape[1]
    annotated = [segment_classes(a.events, SECONDS, segments, BACKGROUND) for a in annotations]
    other = sum(tuple(row) != true for row, true in zip(rows, annotated, strict=True))
    _check_share(path, other, len(rows))
    return [runs(row, SECONDS, BACKGROUND) for row in rows], other


def check_clip_labels(path: Path, annotations: Sequence[Annotation]) -> None:
    """See that ``mil_labels.h5`` or ``prob_label.h5``, ``(clips, 29)``, marks the classes of the annotations.

    Raises:
        DataError: other numbers of clips or classes, or labels that are not of these clips.
    """
    marks = _read_marks(path, ("clips", str(BACKGROUND + 1)), len(annotations))
    marked = [np.flatnonzero(row).tolist() for row in marks[:, :BACKGROUND]]
    other = sum(found not in ([], [a.label]) for found, a in zip(marked, annotations, strict=True))
    _check_share(path, other, len(marked))


def check_background(path: Path, clips: int) -> None:
    """See that ``labels_noisy.h5``, ``(clips, 29)``, calls all of them background.

    Raises:
        DataError: it does not, or has another number of clips.
    """
    marks = _read_marks(path, ("clips", str(BACKGROUND + 1)), clips)
    if other := int((marks.argmax(axis=1) != BACKGROUND).sum()):
        raise DataError(f"{path}: {other} of {clips} videos are not background")


def _read_marks(path: Path, axes: tuple[str, ...], clips: int) -> NDArray[Any]:
    """Where labels are greater than 0."""
    numbers = read_numbers(path, KEY, axes)
    if numbers.shape[-1] != BACKGROUND + 1 or 0 in numbers.shape:
        raise DataError(f"{path}: {quoted(KEY)} has the shape {numbers.shape}; it must be ({', '.join(axes)})")
    if len(numbers) != clips:
        raise DataError(f"{path}: it has {len(numbers)} rows, but there are {clips} clips")
    return np.asarray(numbers > 0)


def _check_share(path: Path, other: int, clips: int) -> None:
    if other > _MAX_OTHER * clips:
        raise DataError(
            f"{path}: the labels of {other} of {clips} clips are not what Annotations.txt says; one of the two "
            "belongs to another list of clips"
        )
