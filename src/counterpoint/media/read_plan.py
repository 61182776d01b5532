"""What is to be read of a file: which segment of its sound, and its picture at which times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from counterpoint.errors import MediaError
from counterpoint.media.measure import measure
from counterpoint.media.spec import MediaSpec


@dataclass(frozen=True)
class Plan:
    """Times of a clip, seconds from the beginning of the file.

    Attributes:
        spec: shape of the result.
        spans: modality that is wanted -> the segment that it is read from; what lies beyond is filled up.
        due: times of the frames; empty where no picture is wanted.
    """

    spec: MediaSpec
    spans: dict[str, tuple[float, float]]
    due: tuple[float, ...]

    @classmethod
    def of(
        cls,
        path: Path,
        spec: MediaSpec,
        start: float,
        end: float | None,
        wanted: tuple[str, ...],
    ) -> Plan:
        """The plan for the segment ``[start, end)`` of a file.

        Args:
            path: of the file.
            spec: shape of the result.
            start: seconds from the beginning of the file.
            end: seconds; None: as long as the shape has it.
            wanted: modalities.

        Raises:
            MediaError: the segment is none, or too short for the sound that is asked for; the file cannot be read.
        """
        if not math.isfinite(start) or start < 0 or (end is not None and not end > start):
            raise MediaError(
                path, f"from {start} s to {end} s is no segment; it must start at 0 or later, and end after"
            )
        stop = start + spec.seconds if end is None else min(end, start + spec.seconds)
        spans: dict[str, tuple[float, float]] = {}
        due: list[float] = []
        if "audio" in wanted:
            low, high = (start + moment for moment in spec.audio_span)
            if low >= stop:
                raise MediaError(path, f"the clip ends at {stop:.2f} s, before its sound begins at {low:.2f} s")
            spans["audio"] = low, min(high, stop)
        if "visual" in wanted:
            spans["visual"] = start, stop
            due = _times(path, spec, start, stop)
        return cls(spec, spans, tuple(due))

    @property
    def start(self) -> float:
        """First moment that is needed."""
        return min((low for low, _ in self.spans.values()), default=0.0)

    @property
    def stop(self) -> float:
        """Last moment that is needed."""
        return max((high for _, high in self.spans.values()), default=0.0)


def _times(path: Path, spec: MediaSpec, start: float, stop: float) -> list[float]:
    if spec.frames is None:
        return [start + k / spec.fps for k in range(spec.num_frames)]
    measured = measure(path)
    if (track := measured.tracks.get("visual")) is not None:
        first, last = track.first - measured.origin, track.end - measured.origin
        if max(first, start) < min(last, stop):  # else there is no picture, and reading says so
            start, stop = max(first, start), min(last, stop)
    return [start + (k + 0.5) * (stop - start) / spec.frames for k in range(spec.frames)]
