"""How long a file is, and what is on when: by its packets, since headers may be silent, or lie."""

from __future__ import annotations

import math
import mmap
from array import array
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from av.stream import Stream

from counterpoint.media.packets import Packets, Spans, Track
from counterpoint.media.source import Source, failing_as_media_error, opened

# Where neither sound nor picture has packets for longer, a file is damaged, seconds.
_HOLE = 1.0
# So much less than its header declares, and a file breaks off, seconds.
_MISSING = 1.0
# A part of a file of so few packets in each stream, or fewer, is no recording, but has damaged time stamps.
_STRAY = 2
# Behind those a clock goes on to within this, seconds.
_GOES_ON = 1.0
# With this a file of these formats begins, and another one that was joined to its end, which FFmpeg does not read.
_BEGINS = {"flv": slice(0, 4), "mov": slice(4, 12), "wav": slice(8, 16)}


@dataclass(frozen=True)
class Measured:
    """What the packets of a file say.

    Attributes:
        origin: when the file begins on the clock of its container, seconds.
        end: when its last packet ends, on the same clock.
        declared: when it should end, on the same clock; later than `end` if it breaks off.
        tracks: modality -> its packets, on the same clock; streams without any are left out.
        shifts: see `Packets`.
        counts: modality -> number of packets.
        remarks: what is out of the ordinary with the file as a whole, in words.
    """

    origin: float
    end: float
    declared: float
    tracks: dict[str, Track]
    shifts: tuple[float | None, ...]
    counts: dict[str, int]
    remarks: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Length of the file."""
        return self.end - self.origin

    @property
    def joined(self) -> bool:
        """Its clock starts anew."""
        return len(self.shifts) > 1

    @cached_property
    def holes(self) -> list[tuple[float, float]]:
        """Where nothing is stored in any of several streams, and the end that is missing, on the container's clock."""
        found = [(self.end, self.declared)] if self.declared > self.end else []
        if len(self.tracks) > 1:
            one, other = self.tracks.values()
            both = (gap for begin, end in one.gaps() for gap in other.gaps(begin, end))
            found += [(begin, end) for begin, end in both if end - begin > _HOLE]
        return found

    def gaps(self, low: float = -math.inf, high: float = math.inf) -> tuple[str, ...]:
        """A note on where there is no sound between two moments on the container's clock, although it goes on later."""
        gaps = self.tracks["audio"].gaps(low, high) if "audio" in self.tracks else []
        if not gaps:
            return ()
        first, last = (moment - self.origin for moment in gaps[0])
        more = f", and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        return (f"gap in the sound from {first:.2f} to {last:.2f} s{more}",)


def measure(path: Path) -> Measured:
    """Look through the packets of a file, undecoded.

    Raises:
        MediaError: the file cannot be read.
    """
    with failing_as_media_error(path):
        found = path.stat()
    return _measured(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=8)  # clips of one file come one after the other
def _measured(path: Path, size: int, changed: int) -> Measured:
    with opened(path) as source:
        both: dict[str, Stream | None] = {"audio": source.audio, "visual": source.video}
        streams = {modality: stream for modality, stream in both.items() if stream is not None}
        packets = Packets(source, streams)
        found: list[dict[str, array[float]]] = [{}]  # of each part, when packets begin and end in turn
        behind = 0
        for modality, packet, part, begin, end in packets.numbered():
            behind = max(behind, (packet.pos or 0) + packet.size)
            if not packet.is_discard:
                found += [{} for _ in range(part - len(found) + 1)]
                these = found[part].setdefault(modality, array("d"))
                if packet.size == 0 and these:  # what was there before is still on
                    these[-1] = max(these[-1], end)
                else:
                    these.extend((begin, end))
        remarks = [*_unnumbered(source), *_unread(source, behind)]
    parts = [{name: np.array(these).reshape(-1, 2) for name, these in part_of.items()} for part_of in found]
    shifts = _shifts(parts)
    kept = [(shift, part_of) for shift, part_of in zip(shifts, parts, strict=True) if shift is not None]
    for (before, _), (shift, part_of) in pairwise(kept):
        if shift != before:
            remarks.append(f"two recordings are joined at {_first(part_of) + shift - source.origin:.2f} s")
    tracks = {}
    for modality in streams:
        if spans := [part_of[modality] + shift for shift, part_of in kept if modality in part_of]:
            tracks[modality] = Track(np.concatenate(spans))
    end = max((track.end for track in tracks.values()), default=source.origin)
    declared = source.origin + (source.seconds or 0.0)
    declared = declared if declared > end + _MISSING else end
    return Measured(source.origin, end, declared, tracks, shifts, packets.counts, tuple(remarks))


def _shifts(parts: list[dict[str, Spans]]) -> tuple[float | None, ...]:
    """What is to be added to the stamps of each part, so that it follows those before it; None: it is stray."""
    shifts: list[float | None] = []
    end, shift, before = -math.inf, 0.0, None
    for number, part in enumerate(parts):
        if len(parts) > 1 and all(len(spans) <= _STRAY for spans in part.values()):
            shifts.append(None)
            continue
        if before is not None and not (before < number - 1 and _goes_on(parts[before], part)):
            shift = end - _first(part)
        shifts.append(shift)
        end = max([end, *(shift + spans[:, 1].max() for spans in part.values())])
        before = number
    return tuple(shifts) if before is not None else (0.0,) * len(parts)


def _first(part: dict[str, Spans]) -> float:
    return float(min(spans[:, 0].min() for spans in part.values()))


def _goes_on(before: dict[str, Spans], part: dict[str, Spans]) -> bool:
    """Whether a part, in one of its streams, is where an earlier one was left."""
    return any(abs(spans[0, 0] - before[name][-1, 1]) < _GOES_ON for name, spans in part.items() if name in before)


def _unnumbered(source: Source) -> list[str]:
    """What is to be said of a file that does not say when its pictures are on."""
    if source.video is None or not source.stampless:
        return []
    rate = float(source.video.average_rate or 25)
    return [f"has no time stamps; taken as {rate:g} frames per second throughout"]


def _unread(source: Source, behind: int) -> list[str]:
    """What is to be said of the rest of a file, from a byte on, behind its last packet."""
    mark = _BEGINS.get(source.container.format.name.split(",")[0])
    if mark is None:
        return []
    with source.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(content[mark], behind) < 0:
            return []
    return ["another file is joined to its end, and was not read; join them with a tool for that, not byte by byte"]
