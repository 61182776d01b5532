"""Which moment each packet of a file belongs to: one clock for all containers, docs/data.md has the rule.

FFmpeg stamps the packets of AVI in the order of decoding, those of raw streams perhaps not at all, and passes on clocks
that start anew where recordings were joined.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.frame import Frame
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from counterpoint.media.source import Source

# A clock that goes back this far has started anew, as FFmpeg has it; or, where a container has no such clocks, one that
# is back at the beginning to within this, seconds.
_BACK, _ANEW = 0.1, 1.0
# Ahead of all other packets and of the end that the header declares: joined where a container has such clocks, else the
# stamp is damaged, seconds.
_AHEAD, _STRAY = 10.0, 30.0
# Packets this far apart touch: time stamps may be rounded, seconds.
_TOUCH = 0.1
# How long a picture is on where nothing says so, seconds.
_PERIOD = 0.04
# A file that declares to be longer than a day may be so, but is not believed, seconds.
_LONGEST = 86400.0


Spans = NDArray[np.float64]
"""``(N, 2)``: when something begins and ends, seconds."""


class JoinedError(Exception):
    """The clock of a file starts anew, which its reader did not know."""


def time_base(stream: Stream) -> float:
    """Seconds per unit of a stream's time stamps."""
    return float(stream.time_base or Fraction(1, av.time_base))


def _period(source: Source) -> float:
    """Seconds from picture to picture, on average."""
    rate = source.video.average_rate if source.video is not None else None
    return float(1 / rate) if rate else _PERIOD


def _in_slots(source: Source, stream: Stream) -> bool:
    """Whether the stamps of a stream's packets only count pictures, in the order of decoding."""
    return isinstance(stream, VideoStream) and (source.stampless or source.container.format.name == "avi")


class Packets:
    """The packets of an opened file, in its order, each with the time at which it is on.

    Args:
        source: the opened file.
        streams: modality -> the stream that is read.
        shifts: of each part of a file whose clock starts anew, what is added to its time stamps, seconds; None: its
            packets are stray, and left out. `measure` finds them.

    Attributes:
        damaged: packets that were left out, or at which reading broke off.
        counts: modality -> packets seen so far.
    """

    def __init__(self, source: Source, streams: Mapping[str, Stream], shifts: Sequence[float | None] = (0.0,)) -> None:
        self.source, self.streams, self.shifts = source, streams, shifts
        self.damaged = 0
        self.counts = dict.fromkeys(streams, 0)
        self._units = {modality: time_base(stream) for modality, stream in streams.items()}
        self._period = _period(source)
        declared = source.declared or 0.0
        self._declared = source.origin + (declared if declared < _LONGEST else 0.0)

    def __iter__(self) -> Iterator[tuple[str, Packet[Stream], float, float]]:
        """Modality, packet, and when it begins and ends on the container's clock, seconds.

        The packets' own stamps are changed likewise. One of no bytes says that the picture before it is still on.

        Raises:
            JoinedError: the clock starts anew more often than there are shifts.
        """
        for modality, packet, part, begin, end in self.numbered():
            if part >= len(self.shifts):
                raise JoinedError
            shift = self.shifts[part]
            if shift is None:
                self.damaged += 1
                continue
            if shift:
                units = round(shift / self._units[modality])
                packet.pts = None if packet.pts is None else packet.pts + units
                packet.dts = None if packet.dts is None else packet.dts + units
            yield modality, packet, begin + shift, end + shift

    def numbered(self) -> Iterator[tuple[str, Packet[Stream], int, float, float]]:
        """Modality, packet, in which part of the file it is, and when it begins and ends on the clock of that part.

        A new part begins where the clock starts anew.
        """
        source, names = self.source, {stream.index: modality for modality, stream in self.streams.items()}
        in_slots = {modality for modality, stream in self.streams.items() if _in_slots(source, stream)}
        after = dict.fromkeys(self.streams, 0)
        part = dict.fromkeys(self.streams, 0)
        last: dict[str, float] = {}
        latest = [-math.inf]  # of each part
        start, restarts = math.inf, source.restarts
        demuxed = source.container.demux(*self.streams.values())
        while True:
            try:
                packet = next(demuxed, None)
            except av.error.FFmpegError:
                self.damaged += 1
                return
            if packet is None:
                return
            pts, dts, lasts = packet.pts, packet.dts, packet.duration or 0
            if pts is None and dts is None and packet.size == 0:
                continue  # comes at the end, to empty the decoders
            modality = names[packet.stream_index]
            unit = self._units[modality]
            self.counts[modality] += 1
            if pts is None and dts is None:  # follows the one before it
                dts = packet.dts = after[modality]
                after[modality] += lasts or round(self._period / unit)
            if modality in in_slots:
                dts, pts = pts if dts is None else dts, None
                packet.dts, packet.pts = dts, pts
            if dts is not None:
                time, here = dts * unit, part[modality]
                back = time < last.get(modality, -math.inf) - _BACK and (restarts or time < start + _ANEW)
                if back or (restarts and modality in last and time > latest[here] + _AHEAD):
                    if here == len(latest) - 1:
                        latest.append(time)
                    part[modality] = len(latest) - 1
                elif not restarts and last and time > max(max(latest), self._declared) + _STRAY:
                    self.damaged += 1
                    continue
                last[modality] = time
                start = min(start, time)
                latest[part[modality]] = max(latest[part[modality]], time)
            begin, length = (dts if pts is None else pts) * unit, lasts * unit  # type: ignore[operator]
            if modality == "visual":  # a last picture may be on for long, but not beyond the end that the file declares
                length = min(length, self._declared - begin)
                length = length if length > 0 else self._period
            yield modality, packet, part[modality], begin, begin + length


class Decoder:
    """Packets of one stream in, frames with time stamps out.

    Args:
        source: the opened file.
        stream: one of its.
    """

    def __init__(self, source: Source, stream: Stream) -> None:
        self._stream, self._period = stream, _period(source)
        self._last: Frame | None = None
        self._slots: list[int] | None = [] if _in_slots(source, stream) else None

    def __call__(self, packet: Packet[Stream] | None) -> list[Frame]:
        """The frames that a packet completes, or with None those that the decoder still holds.

        Raises:
            FFmpegError: the packet is damaged.
        """
        if packet is not None and packet.size == 0:
            return []
        slots = self._slots
        if slots is not None and packet is not None and packet.dts is not None:
            heapq.heappush(slots, packet.dts)
        try:
            frames: list[Frame] = list(self._stream.codec_context.decode(packet))  # type: ignore[attr-defined]
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            if slots and packet is not None and packet.dts in slots:
                slots.remove(packet.dts)
                heapq.heapify(slots)
            raise
        for frame in frames:
            if slots is not None:  # pictures come in the order in which they are shown, and so take the earliest slot
                frame.pts = heapq.heappop(slots) if slots else None
            if frame.pts is None:
                frame.pts = self._behind_the_last()
            self._last = frame
        return frames

    def _behind_the_last(self) -> int:
        last = self._last
        if last is None or last.pts is None:
            return self._stream.start_time or 0
        if isinstance(last, AudioFrame):
            lasts = last.samples / last.sample_rate if last.sample_rate else 0.0
        else:
            lasts = self._period
        return last.pts + round(lasts / time_base(self._stream))


class Track:
    """When there is something in a stream, by its packets, seconds on the container's clock.

    Args:
        spans: ``(N, 2)``, when each packet begins and ends, in any order; N >= 1.

    Attributes:
        first: when the first one begins.
        end: when the last one ends.
        longest: from the beginning of one to that of the next, at most.
    """

    def __init__(self, spans: Spans) -> None:
        begins, ends = spans[np.argsort(spans[:, 0], kind="stable")].T
        ends = np.maximum.accumulate(ends)
        breaks = np.flatnonzero(begins[1:] > ends[:-1] + _TOUCH)
        self._begins = begins
        self._runs = np.stack([begins[np.append(0, breaks + 1)], ends[np.append(breaks, -1)]], 1)
        self.first, self.end = float(begins[0]), float(ends[-1])
        self.longest = float(np.diff(begins).max(initial=0.0))

    def shown_at(self, time: float) -> float:
        """When the picture that is on at a time came on; of times before the first one, when that does."""
        return float(self._begins[max(0, np.searchsorted(self._begins, time, "right") - 1)])

    def seconds_in(self, low: float, high: float) -> float:
        """How much of ``[low, high)`` has packets."""
        return float(np.diff(self._runs.clip(low, high)).sum())

    def gaps(self, low: float = -math.inf, high: float = math.inf) -> list[tuple[float, float]]:
        """What of ``[low, high)`` lies between packets, and has none."""
        between = np.stack([self._runs[:-1, 1], self._runs[1:, 0]], 1).clip(low, high)
        return [(begin, end) for begin, end in between.tolist() if end - begin > _TOUCH]
