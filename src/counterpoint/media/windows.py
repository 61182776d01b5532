"""A media file of any length, read once from beginning to end as overlapping clips of one shape."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from counterpoint._moved import former_keywords
from counterpoint.errors import ConfigError, MediaError
from counterpoint.media.clip import MODALITIES, SILENT, DecodedClip
from counterpoint.media.decode import face_of
from counterpoint.media.measure import Measured, measure
from counterpoint.media.packets import Decoder, Packets
from counterpoint.media.read_plan import Plan
from counterpoint.media.segment import Segment, streams_of
from counterpoint.media.source import Source, opened
from counterpoint.media.spec import MediaSpec
from counterpoint.media.video import Scaler

# A window is open before the first frame that it may want is decoded, seconds; sound's filter wants 0.05 s.
_AHEAD = 0.2
# A window waits this long for the stream that lags behind the other in the file, or has ended, seconds.
_PATIENCE = 5.0
# And longer where pictures are rare, since a decoder may hold so many back, as long as all windows take fewer bytes.
_HELD_BACK, _BYTES = 4, 2**28
# What encoders fill up the last packet with, or less than any event lasts, makes no window of its own, seconds.
_LEAST = 0.1


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
        seconds: after an iteration: how long the file is, by its packets.
        notes: after an iteration: what is damaged or out of the ordinary, in words.

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
        measured = measure(self.path)
        with opened(self.path) as source:
            reading = _Pass(self, source, measured)
            # Closed here, and not by a garbage collector, the file is free as soon as the reader stops.
            with closing(reading.windows()) as windows:
                yield from windows
            self.seconds, self.notes = measured.seconds, reading.notes()


class _Pass:
    def __init__(self, asked: Windows, source: Source, measured: Measured) -> None:
        self.asked, self.source, self.measured = asked, source, measured
        self.streams = streams_of(source, asked.modalities)
        self.packets = Packets(source, self.streams, measured.shifts)
        self.damaged = 0
        self.silent = "audio" in asked.modalities
        self._open: deque[Segment] = deque()
        self._count = 0  # windows opened so far
        self._needed = 1 + max(0, math.ceil((measured.seconds - _LEAST - asked.spec.seconds) / asked.hop))
        self._shown: VideoFrame | None = None
        self._scaler = Scaler(asked.spec)
        self._faces = None  # one face for the file, so that no window hangs on a moment of it
        if "visual" in self.streams and measured.seconds > 0:
            self._faces = face_of(source.path, replace(asked.spec, seconds=measured.seconds))
        rarest = measured.tracks["visual"].longest if "visual" in measured.tracks else 0.0
        self._patience = _PATIENCE + min(_HELD_BACK * rarest, asked.hop * _BYTES / asked.spec.num_bytes)

    def windows(self) -> Generator[Window, None, None]:
        decoded = False
        for modality, frame, until in self._frames():
            decoded = True
            yield from self._open_until(until + _AHEAD)
            self._add(modality, frame)
            while self._open and self._open[0].done:
                yield self._close()
        if not decoded:
            damage = f"; {self.damaged} damaged packets" if self.damaged else ""
            raise MediaError(self.source.path, f"nothing could be decoded{damage}")
        yield from self._open_until(math.inf)
        while self._open:
            yield self._close()

    def notes(self) -> tuple[str, ...]:
        """What was out of the ordinary, once all is read."""
        measured = self.measured
        found = [*measured.remarks, *measured.gaps()]
        if measured.declared > measured.end:
            declared = measured.declared - measured.origin
            found.append(f"should last {declared:.1f} s, but nothing is stored after {measured.seconds:.1f} s")
        if self.damaged:
            found.append(f"{self.damaged} damaged packets were left out")
        if self.silent:
            found.append(SILENT)
        return tuple(found)

    def _frames(self) -> Iterator[tuple[str, AudioFrame | VideoFrame, float]]:
        """Decoded frames in the order of the file: modality, frame, and a moment by which it is on, or sound ends."""
        decoders = {modality: Decoder(self.source, stream) for modality, stream in self.streams.items()}
        flushed = ((modality, None, 0.0, 0.0) for modality in self.streams)
        for modality, packet, begin, end in chain(self.packets, flushed):
            try:
                frames = decoders[modality](packet)
                if self.packets.counts[modality] == self.measured.counts[modality]:  # what comes late has a window yet
                    frames += decoders[modality](None)
            except (av.error.FFmpegError, ValueError):
                self.damaged += 1
                continue
            for frame in frames:
                if isinstance(frame, AudioFrame | VideoFrame):
                    yield modality, frame, (end if modality == "audio" else begin) - self.source.origin
        self.damaged += self.packets.damaged

    def _open_until(self, moment: float) -> Iterator[Window]:
        """Open the windows that begin by then; those that would wait too long are closed as they are."""
        asked = self.asked
        while self._count < self._needed and (start := self._count * asked.hop) <= moment:
            while self._open and self._start + asked.spec.seconds <= start - self._patience:
                yield self._close()
            plan = Plan.of(self.source.path, asked.spec, start, None, asked.modalities)
            segment = Segment(self.source, plan, self._faces, self._scaler)
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
        seconds = min(self.asked.spec.seconds, self.measured.seconds - start)
        clip = segment.noted(segment.clip(), self.measured)
        self.silent &= clip.silent
        undecodable = None if segment.complete(self.measured) else segment.undecodable(self.measured)
        return Window(start, seconds, clip, undecodable)
