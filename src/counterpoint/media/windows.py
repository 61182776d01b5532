"""A media file of any length, read once from beginning to end as overlapping clips of one shape."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from counterpoint._moved import former_keywords
from counterpoint.errors import ConfigError, MediaError
from counterpoint.media.clip import MODALITIES, DecodedClip
from counterpoint.media.read_plan import Plan
from counterpoint.media.segment import Segment, decoded, streams_of, time_base
from counterpoint.media.source import CLOCKLESS, Source, opened, picture_span
from counterpoint.media.spec import MediaSpec
from counterpoint.media.video import Scaler

# A window is open before the first frame that it may want is decoded, seconds; sound's filter wants 0.05 s.
_AHEAD = 0.2
# A window waits this long for the stream that lags behind the other in the file, or has ended, seconds.
_PATIENCE = 5.0
# What encoders fill up the last packet with, or less than any event lasts, makes no window of its own, seconds.
_LEAST = 0.1
# A frame stamped this long after both all others and the declared end of the file is stamped wrong, seconds.
_JUMP = 30.0
# A file that declares to be longer than a day may be so, but is not believed, seconds.
_LONGEST = 86400.0


@former_keywords(lost="undecodable")
@dataclass(frozen=True)
class Window:
    """One clip out of a file.

    Attributes:
        start: seconds from the beginning of the file.
        seconds: how much of the shape's length the file still has from there; the rest is filled up.
        clip: sound and picture, as `read_clip` gives them for this segment.
        undecodable: why the clip should not be used, where more than half of its sound or of its picture is missing.
    """

    start: float
    seconds: float
    clip: DecodedClip
    undecodable: str | None = None


class Windows:
    """Iterating gives the windows of a file: ``[0, seconds)``, ``[hop, hop + seconds)`` ... until one holds its end.

    Pixels and samples are those of `read_clip`; where that one begins to resample at
    another moment, sound lies a part of a sample apart. Each iteration is one sequential pass, and memory is that of
    the windows that overlap, however long the file.

    Args:
        path: any container and codec that FFmpeg knows.
        spec: shape of the windows.
        hop: from the beginning of one to that of the next, seconds, at most their length; None: that.
        modalities: ``"audio"``, ``"visual"`` or both; the other one may be missing in the file.

    Attributes:
        seconds: after an iteration: how long the file is, as far as it could be decoded.
        notes: after an iteration: what was damaged, in words.

    Raises:
        ConfigError: `hop` is not greater than 0, or longer than a window.
        MediaError: while iterating: the file cannot be read, lacks a modality, or holds nothing that can be decoded.
    """

    def __init__(
        self, path: str | Path, spec: MediaSpec, *, hop: float | None = None, modalities: Iterable[str] = MODALITIES
    ) -> None:
        self.path, self.spec = Path(path), spec
        self.hop = spec.seconds if hop is None else hop
        self.modalities = tuple(modalities)
        if not 0 < self.hop <= spec.seconds:
            raise ConfigError(
                f"hop is {hop!r}; it must be greater than 0 and at most {spec.seconds:g} s, a window's length"
            )
        self.seconds = 0.0
        self.notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Window]:
        """One pass over the file."""
        picture = None
        if self.spec.frames is not None and "visual" in self.modalities:
            picture = picture_span(self.path, math.inf)
        with opened(self.path) as source:
            reading = _Pass(self, source, picture)
            # Closed here, and not by a garbage collector, the file is free as soon as the reader stops.
            with closing(reading.windows()) as windows:
                yield from windows
            self.seconds, self.notes = reading.end, reading.notes()


class _Pass:
    def __init__(self, asked: Windows, source: Source, picture: tuple[float, float] | None) -> None:
        self.asked, self.source, self.picture = asked, source, picture
        self.streams = streams_of(source, asked.modalities)
        self.end = 0.0  # last moment that was decoded, seconds from the beginning of the file
        self.damaged = 0
        self._open: deque[Segment] = deque()
        self._count = 0  # windows opened so far
        self._shown: VideoFrame | None = None
        self._scaler = Scaler(asked.spec)
        declared = source.seconds or 0.0
        self._declared = declared if declared < _LONGEST else 0.0

    def windows(self) -> Generator[Window, None, None]:
        for modality, frame, begin, end in self._frames():
            if begin > max(self.end, self._declared) + _JUMP:
                self.damaged += 1
                continue
            self.end = max(self.end, end)
            yield from self._open_until(end + _AHEAD)
            self._add(modality, frame)
            while self._open and self._open[0].done and self.end >= self._start + self.asked.spec.seconds:
                yield self._close()
        if self.end <= 0:
            raise MediaError(self.source.path, f"nothing could be decoded{self._damage()}")
        # The last windows were opened before it was known that the one before them holds the end.
        needed = 1 + max(0, math.ceil((self.end - _LEAST - self.asked.spec.seconds) / self.asked.hop))
        for _ in range(self._count - len(self._open), needed):
            yield self._close()

    def notes(self) -> tuple[str, ...]:
        """What was damaged, once all is read."""
        found = []
        missing = self._declared - self.end
        if missing > 1 and self.source.container.format.name not in CLOCKLESS:
            found.append(f"should last {self._declared:.1f} s, but nothing could be decoded after {self.end:.1f} s")
        if self.damaged:
            found.append(f"{self.damaged} damaged packets were left out")
        return tuple(found)

    def _damage(self) -> str:
        return f"; {self.damaged} damaged packets" if self.damaged else ""

    def _frames(self) -> Iterator[tuple[str, AudioFrame | VideoFrame, float, float]]:
        """Decoded frames in the order of the file: modality, frame, and when it begins and ends."""
        names = {stream.index: modality for modality, stream in self.streams.items()}
        ends = dict.fromkeys(self.streams, 0.0)
        packets = self.source.container.demux(*self.streams.values())
        flushed = [(stream, None) for stream in self.streams.values()]
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self.damaged += 1
                packet = None
            if packet is not None and packet.size == 0:  # comes at the end, to empty the decoders; done below
                continue
            for stream, part in flushed if packet is None else [(packet.stream, packet)]:
                modality = names[stream.index]
                try:
                    frames = decoded(stream, part)
                except (av.error.FFmpegError, ValueError):
                    self.damaged += 1
                    continue
                for frame in frames:
                    if isinstance(frame, AudioFrame | VideoFrame):
                        begin, end = self._times(frame, modality, ends[modality])
                        ends[modality] = end
                        yield modality, frame, begin, end
            if packet is None:
                return

    def _times(self, frame: AudioFrame | VideoFrame, modality: str, after: float) -> tuple[float, float]:
        """When a frame begins and ends, seconds from the file's beginning; one without a stamp follows the last."""
        unit, origin = time_base(self.streams[modality]), self.source.origin
        if frame.pts is None:
            frame.pts = round((origin + after) / unit)
        begin = frame.pts * unit - origin
        if isinstance(frame, AudioFrame):
            return begin, begin + (frame.samples / frame.sample_rate if frame.sample_rate else 0.0)
        rate = self.source.video.average_rate if self.source.video is not None else None
        period = float(1 / rate) if rate else 1 / self.asked.spec.fps  # unknown for a single frame
        # A last frame may stand for long, but not beyond the end that the file declares.
        lasts = min((frame.duration or 0) * unit, self._declared - begin)
        return begin, begin + max(period, lasts)

    def _open_until(self, moment: float) -> Iterator[Window]:
        """Open the windows that begin by then; those that would wait too long are closed as they are."""
        asked = self.asked
        while (start := self._count * asked.hop) <= moment:
            while self._open and self._start + asked.spec.seconds <= start - _PATIENCE:
                yield self._close()
            plan = Plan.of(self.source.path, asked.spec, start, None, asked.modalities, self.picture)
            segment = Segment(self.source, plan, scaler=self._scaler)
            self._open.append(segment)
            self._count += 1
            if self._shown is not None:  # it may still be on when the window begins
                self._put(segment, "visual", self._shown)

    def _add(self, modality: str, frame: AudioFrame | VideoFrame) -> None:
        fits = [self._put(segment, modality, frame) for segment in self._open]
        self.damaged += not all(fits)
        if isinstance(frame, VideoFrame) and all(fits):
            self._shown = frame

    def _put(self, segment: Segment, modality: str, frame: AudioFrame | VideoFrame) -> bool:
        collector = segment.collectors[modality]
        if collector.done:
            return True
        try:
            collector.add(frame)  # type: ignore[arg-type]
        except (av.error.FFmpegError, ValueError):  # ValueError: a frame that contradicts the others
            return False
        return True

    @property
    def _start(self) -> float:
        """Where the first open window begins."""
        return (self._count - len(self._open)) * self.asked.hop

    def _close(self) -> Window:
        """The first open window, whole or as it is."""
        start, segment = self._start, self._open.popleft()
        seconds = min(self.asked.spec.seconds, self.end - start)
        clip = segment.clip()
        return Window(start, seconds, clip, segment.undecodable(until=self.end))
