"""What was found in a file, segment by segment, and as events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint._moved import former_keywords
from counterpoint.data.events import runs


@dataclass(frozen=True)
class Found:
    """An event: a run of segments of one class.

    Attributes:
        label: index into the timeline's classes.
        start: seconds from the beginning of the file.
        end: seconds from the beginning of the file.
        confidence: mean probability of the class over the segments, 0 to 1.
    """

    label: int
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Undecodable:
    """A part of which nothing is known, seconds from the beginning of the file, and why."""

    start: float
    end: float
    reason: str


@former_keywords(lost="undecodable")
@dataclass(frozen=True)
class Timeline:
    """What a run says of a file.

    Attributes:
        path: the file.
        seconds: its length.
        run: folder of the run.
        model: name of the localiser, or of the classifier.
        task: ``"localise"``: some segments hold no event; ``"classify"``: each has a class.
        classes: C names; background, which is behind them in localisation, is not named.
        segment: length of a segment, seconds; segment k begins at ``k * segment``.
        window: length of what the model sees at once, seconds.
        hop: from one window to the next, seconds.
        probabilities: ``(S, C + 1)``, background last, or ``(S, C)`` of a classifier; float32, NaN where undecodable.
        labels: ``(S,)``, the class of each segment; C: background, or undecodable.
        undecodable: parts that could not be decoded.
        notes: what else was wrong with the file.
    """

    path: Path
    seconds: float
    run: Path
    model: str
    task: str
    classes: tuple[str, ...]
    segment: float
    window: float
    hop: float
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    undecodable: tuple[Undecodable, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def events(self) -> tuple[Found, ...]:
        """Maximal runs of segments of one class, in the order of time; they do not overlap."""
        found = []
        for run in runs(self.labels.tolist(), len(self.labels) * self.segment, len(self.classes)):
            first, stop = round(run.start / self.segment), round(run.end / self.segment)
            confidence = float(self.probabilities[first:stop, run.label].mean())
            end = self.seconds if stop == len(self.labels) else run.end  # the last segment may reach beyond the file
            found.append(Found(run.label, run.start, min(end, self.seconds), confidence))
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in seconds to the millisecond."""
        return {
            "file": str(self.path),
            "seconds": round(self.seconds, 3),
            "run": str(self.run),
            "task": self.task,
            "model": self.model,
            "classes": list(self.classes),
            "segment_seconds": round(self.segment, 6),
            "window_seconds": round(self.window, 6),
            "hop_seconds": round(self.hop, 6),
            "events": [
                {
                    "start": round(event.start, 3),
                    "end": round(event.end, 3),
                    "class": self.classes[event.label],
                    "confidence": round(event.confidence, 4),
                }
                for event in self.events
            ],
            "undecodable": [
                {"start": round(part.start, 3), "end": round(part.end, 3), "reason": part.reason}
                for part in self.undecodable
            ],
            "notes": list(self.notes),
        }
