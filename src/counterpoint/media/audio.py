"""Collect the sound of one segment of a file: any rate, layout and sample format to mono int16 at one rate."""

from __future__ import annotations

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

# Time stamps may be rounded (Matroska: 1 ms; MPEG: a packet) without the sound having a hole.
_JUMP = 0.04
# Sound in front of the segment that is resampled along, so that the filter has settled where it counts.
_LEAD = 0.05


class AudioCollector:
    """Sound of ``[start, end)``, put where its time stamps say.

    Args:
        start: seconds on the clock of the frames' time stamps.
        end: seconds on the same clock.
        num_samples: length of the result; what lies beyond is cut, what is missing is zero.
        rate: samples per second of the result.
        time_base: seconds per unit of the time stamps (flushed frames do not know it themselves).
    """

    def __init__(self, start: float, end: float, num_samples: int, rate: int, time_base: float) -> None:
        self.start, self.end, self.rate, self.time_base = start, end, rate, time_base
        self.out: NDArray[np.int16] = np.zeros(num_samples, np.int16)
        self.covered = 0.0  # seconds of the segment that were found
        self.first: float | None = None  # time of the first decoded sample, before or within the segment
        self.done = False
        self._resampler: av.AudioResampler | None = None
        self._setup: tuple[int, str, str] | None = None
        self._pieces: list[NDArray[np.int16]] = []
        self._piece_start = 0.0
        self._next = start

    def add(self, frame: AudioFrame) -> None:
        """Take the next decoded frame."""
        time = (frame.pts or 0) * self.time_base
        length = frame.samples / frame.sample_rate if frame.sample_rate else 0.0
        if self.first is None:
            self.first = time
        if time >= self.end:
            self.done = True
            return
        if length <= 0 or time + length <= self.start - _LEAD:
            self._next = time + length
            return
        setup = (frame.sample_rate, frame.layout.name, frame.format.name)
        if self._resampler is None or setup != self._setup or abs(time - self._next) > _JUMP:
            self.flush()
            self._resampler = av.AudioResampler("s16", "mono", self.rate)
            self._setup, self._piece_start, self._next = setup, time, time
        self._keep(self._resampler.resample(frame))
        self._next += length
        self.done = self._next >= self.end

    def flush(self) -> None:
        """Empty the resampler and put down what it gave."""
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
            self._resampler = None
        if self._pieces:
            self._put_down(np.concatenate(self._pieces))
            self._pieces = []

    def _keep(self, frames: list[AudioFrame]) -> None:
        self._pieces += [
            np.frombuffer(memoryview(f.planes[0]), np.int16, count=f.samples).copy() for f in frames if f.samples > 0
        ]

    def _put_down(self, samples: NDArray[np.int16]) -> None:
        at = round((self._piece_start - self.start) * self.rate)
        limit = min(len(self.out), max(0, round((self.end - self.start) * self.rate)))
        low, high = max(at, 0), min(at + len(samples), limit)
        if low < high:
            self.out[low:high] = samples[low - at : high - at]
            self.covered += (high - low) / self.rate
