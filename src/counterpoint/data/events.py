"""What happens when, as it is known of a clip: stretches with a class, and what that makes of equal segments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.data.io.csv_tables import Row, parse_csv, read_text
from counterpoint.errors import DataError, quoted
from counterpoint.registry import did_you_mean

ROUNDING = 0.05
"""Seconds that an event may last beyond its clip without a word: times are rounded."""


@dataclass(frozen=True)
class Event:
    """A stretch of a clip in which something is heard and seen.

    Attributes:
        label: index into the table's classes; background is no event.
        start: seconds from the beginning of the clip (which need not be the file's).
        end: seconds, from there too.

    Raises:
        DataError: it ends where it starts, or before, or starts before the clip does.
    """

    label: int
    start: float
    end: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0 <= self.start < self.end):
            raise DataError(
                f"an event lasts from {self.start:g} to {self.end:g} s; it must end after it starts, and start at 0 or "
                "later"
            )


def segment_classes(events: Iterable[Event], seconds: float, segments: int, background: int) -> tuple[int, ...]:
    """The class of each of `segments` equal parts of a clip.

    A segment's class is that of which the events cover the largest share of it, if they cover half of it or more; else
    `background`.

    Args:
        events: of the clip; those of one class may not overlap.
        seconds: length of the clip.
        segments: T.
        background: class of a segment without an event.
    """
    width = seconds / segments
    shares: list[dict[int, float]] = [{} for _ in range(segments)]
    for event in events:
        first = max(0, int(event.start / width) - 1)
        for k in range(first, min(segments, int(event.end / width) + 2)):
            covered = min(event.end, (k + 1) * width) - max(event.start, k * width)
            if covered > 0:
                shares[k][event.label] = shares[k].get(event.label, 0.0) + covered
    found = []
    for share in shares:
        label, covered = max(share.items(), key=lambda item: item[1], default=(background, 0.0))
        found.append(label if covered >= width / 2 - 1e-9 else background)  # times are rounded to milliseconds
    return tuple(found)


def runs(classes: Iterable[int], seconds: float, background: int) -> tuple[Event, ...]:
    """The other way: per maximal run of one class other than `background` an event.

    Args:
        classes: of the T equal parts of a clip.
        seconds: length of the clip.
        background: class of a segment without an event.
    """
    classes = list(classes)
    width = seconds / max(1, len(classes))
    events, start = [], 0
    for k in range(1, len(classes) + 1):
        if k == len(classes) or classes[k] != classes[start]:
            if classes[start] != background:
                events.append(Event(classes[start], start * width, k * width))
            start = k
    return tuple(events)


def main_class(events: Iterable[Event], background: int) -> int:
    """The class that lasts longest of what happens in a clip; `background` where nothing does."""
    lasts: dict[int, float] = {}
    for event in events:
        lasts[event.label] = lasts.get(event.label, 0.0) + event.end - event.start
    return max(lasts, key=lambda label: lasts[label], default=background)


def cut_events(
    found: Mapping[str, Sequence[Event]], seconds: float, where: str
) -> tuple[dict[str, tuple[Event, ...]], str]:
    """Events as far as they lie in the first `seconds` of their clips.

    Args:
        found: clip id -> its events.
        seconds: what is read of a clip.
        where: whose events these are, for messages.

    Returns:
        Clip id -> what is left, and a sentence that says what is not; empty where nothing was lost but roundings.

    Raises:
        DataError: there are events, and none of them begins in time.
    """
    kept = {
        clip: tuple(Event(e.label, e.start, min(e.end, seconds)) for e in events if e.start < seconds)
        for clip, events in found.items()
    }
    late = [(clip, e) for clip, events in found.items() for e in events if e.end > seconds + ROUNDING]
    if not late:
        return kept, ""
    clip, first = late[0]
    example = f"The first: {clip}, {first.start:g} to {first.end:g} s"
    gone, total = sum(e.start >= seconds for _, e in late), sum(map(len, found.values()))
    if not any(kept.values()):
        raise DataError(
            f"{where}: none of the {total} events begins in the {seconds:g} s that are read of each clip "
            f"(media.seconds). Are their times in seconds, and from the clip's beginning? {example}"
        )
    return kept, (
        f"Of {total} events {len(late)} do not end in the {seconds:g} s that are read of each clip (media.seconds): "
        f"{gone} begin later and are left out, {len(late) - gone} are cut there. {example}."
    )


def read_events(path: Path, which: Callable[[Row], str], classes: Sequence[str]) -> dict[str, tuple[Event, ...]]:
    """Read ``events.csv``: a line per event, with the columns clip, start, end (seconds) and class, in any order.

    Args:
        path: of the file.
        which: the id of the clip that a row means; raises `row.error` where there is none.
        classes: names that the column may hold.

    Returns:
        Clip id -> its events, by start; clips without one are absent.

    Raises:
        DataError: a cell that does not fit, with its line and column.
    """
    found: dict[str, list[Event]] = {}
    for row in parse_csv(read_text(path), str(path), ("clip", "start", "end", "class")):
        if row["class"] not in classes:
            raise row.error("class", f"there is no class {quoted(row['class'])}.{did_you_mean(row['class'], classes)}")
        label = classes.index(row["class"])
        start, end = _time(row, "start"), _time(row, "end")
        try:
            event = Event(label, start, end)
        except DataError as error:
            raise row.error("end", str(error)) from None
        mine = found.setdefault(which(row), [])
        if any(o.label == label and o.start < event.end and event.start < o.end for o in mine):
            raise row.error("start", "another event of the same class and clip overlaps this one; join them")
        mine.append(event)
    return {clip: tuple(sorted(events, key=lambda e: (e.start, e.end))) for clip, events in found.items()}


def _time(row: Row, column: str) -> float:
    try:
        return float(row[column])
    except ValueError:
        raise row.error(column, f"{quoted(row[column])} is not a time in seconds") from None
