"""A media file in, one clip of fixed shape out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream

from counterpoint.errors import ConfigError, MediaError
from counterpoint.media.clip import MODALITIES, DecodedClip, MediaInfo
from counterpoint.media.sight import Sight
from counterpoint.media.sound import Sound
from counterpoint.media.source import MAX_PIXELS, Source, opened, stream_span
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

# From here on into a file it is cheaper to seek than to decode what comes before, seconds.
_SEEK_FROM = 3.0
# How far in front of the stretch to land, seconds: near first, farther where sound and picture lie apart in the file.
_SEEK_LEADS = (1.0, 6.0)
# Seeking in these goes by guessed byte positions and loses the clock.
_NO_SEEK = frozenset({"mp3", "aac", "ac3", "eac3", "amr", "loas"})
# Packets this far behind the stretch end the search for streams that have nothing left, seconds and packets.
_BEHIND, _MANY_BEHIND = 5.0, 64
# A clip that takes longer than this is damaged or no clip, seconds.
_MAX_SECONDS = 120.0


def probe(path: str | Path) -> MediaInfo:
    """What a file says about itself: streams, rates, sizes, duration. Nothing is decoded.

    Raises:
        MediaError: it is not a readable media file.
    """
    with opened(Path(path)) as source:
        audio, video = source.audio, source.video
        rate = video.average_rate if video is not None else None
        return MediaInfo(
            path=source.path,
            container=source.container.format.name,
            seconds=source.seconds,
            audio_codec=audio.codec_context.name if audio is not None else None,
            sample_rate=audio.codec_context.sample_rate if audio is not None else None,
            channels=audio.codec_context.channels if audio is not None else None,
            video_codec=video.codec_context.name if video is not None else None,
            width=video.codec_context.width if video is not None else None,
            height=video.codec_context.height if video is not None else None,
            fps=float(rate) if rate else None,
        )


def read_clip(
    path: str | Path,
    spec: MediaSpec,
    *,
    start: float = 0.0,
    end: float | None = None,
    modalities: Iterable[str] = MODALITIES,
) -> DecodedClip:
    """Read the stretch ``[start, end)`` of a file in the shape that `spec` asks for.

    Sound is mixed to mono and resampled; each frame is the last one at or before its time. Both follow the time
    stamps of the file, so that they stay aligned where one begins later than the other. A stretch longer than
    `spec.seconds` is cut; a shorter one is filled up with zeros and with its last frame. Rotation metadata is
    applied before `spec.crop`. Small damage is bridged.

    Args:
        path: any container and codec that FFmpeg knows.
        spec: shape of the result.
        start: first moment, seconds from the beginning of the file.
        end: last moment, seconds; None or beyond the end of the file: to its end.
        modalities: ``"audio"``, ``"visual"`` or both; the other one may be missing in the file.

    Raises:
        MediaError: the file cannot be read, lacks a modality, or more than half of the stretch is lost.
        ConfigError: a modality of another name.
    """
    wanted = tuple(modalities)
    for name in wanted:
        if name not in MODALITIES:
            raise ConfigError(f"read_clip knows no modality {name!r}.{did_you_mean(name, MODALITIES)}")
    path = Path(path)
    if not math.isfinite(start) or start < 0 or (end is not None and not end > start):
        raise MediaError(path, f"no stretch goes from {start} s to {end} s")
    stop = start + spec.seconds if end is None else min(end, start + spec.seconds)

    leads: list[float | None] = [None] if start < _SEEK_FROM else [*_SEEK_LEADS, None]
    clip = None
    for lead in leads:
        with opened(path) as source:
            _require_streams(source, wanted, start)
            clip = _Reading(source, spec, start, stop, wanted).run(lead)
        if clip is not None:
            break
    if clip is None:
        raise MediaError(path, f"nothing could be decoded from {start:.2f} s on")
    return clip


def _require_streams(source: Source, wanted: tuple[str, ...], start: float) -> None:
    if "audio" in wanted and source.audio is None:
        raise MediaError(source.path, "has no sound")
    if "visual" in wanted and source.video is None:
        raise MediaError(source.path, "has no moving picture")
    if "visual" in wanted and source.video is not None:
        width, height = source.video.codec_context.width, source.video.codec_context.height
        if width * height > MAX_PIXELS:
            raise MediaError(source.path, f"pictures of {width} x {height} pixels are too large")
    if source.seconds is not None and start >= source.seconds:
        raise MediaError(source.path, f"lasts {source.seconds:.2f} s, the clip would begin at {start:.2f} s")


def _time_base(stream: Stream) -> float:
    return float(stream.time_base or Fraction(1, av.time_base))


class _Reading:
    """One pass over a file."""

    def __init__(self, source: Source, spec: MediaSpec, start: float, stop: float, wanted: tuple[str, ...]) -> None:
        self.source, self.start, self.stop = source, start, stop
        begin, end = source.origin + start, source.origin + stop
        self.sound = self.sight = None
        if "audio" in wanted and source.audio is not None:
            self.sound = Sound(begin, end, spec.num_samples, spec.sample_rate, _time_base(source.audio))
        if "visual" in wanted and source.video is not None:
            rate = source.video.average_rate  # unknown for a single frame: that one lasts as long as the file
            period = float(1 / rate) if rate else source.seconds or 1 / spec.fps
            self.sight = Sight(begin, end, spec, _time_base(source.video), period, MAX_PIXELS)
        self.damaged = 0  # packets that could not be decoded

    def run(self, lead: float | None) -> DecodedClip | None:
        """Decode; with `lead`, seek to so many seconds before the stretch first; None if that landed elsewhere."""
        source = self.source
        if lead is not None:
            if source.container.format.name in _NO_SEEK:
                return None
            try:
                source.container.seek(round((source.origin + self.start - lead) * av.time_base), backward=True)
            except (av.error.FFmpegError, OverflowError):
                return None
        self._decode()
        if lead is not None and not self._reached_start():
            return None
        for collector in (self.sound, self.sight):
            if collector is not None:
                collector.flush()
        self._require_most()
        return DecodedClip(
            audio=None if self.sound is None else self.sound.out,
            visual=None if self.sight is None else self.sight.upright(),
        )

    def _collectors(self) -> dict[int, tuple[Stream, Sound | Sight]]:
        pairs = ((self.source.audio, self.sound), (self.source.video, self.sight))
        return {s.index: (s, c) for s, c in pairs if s is not None and c is not None}

    def _decode(self) -> None:
        """Decode packet by packet until every collector has what it needs, or the file ends or cannot be read on."""
        collectors = self._collectors()
        unfinished = set(collectors)
        packets = self.source.container.demux(*(stream for stream, _ in collectors.values()))
        behind, limit = 0, self.source.origin + self.stop + _BEHIND
        deadline = time.monotonic() + _MAX_SECONDS
        while behind < _MANY_BEHIND:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.error.FFmpegError:
                self.damaged += 1
                break
            if time.monotonic() > deadline:
                raise MediaError(self.source.path, f"reading it was given up after {_MAX_SECONDS:.0f} s")
            if packet.size == 0:  # comes at the end, to empty the decoders; that is done below
                continue
            index = packet.stream_index
            stream, collector = collectors[index]
            if packet.dts is not None and packet.dts * collector.time_base > limit:
                behind += 1
            if index not in unfinished:
                continue
            self._feed(collector, stream, packet)
            if collector.done:
                unfinished.remove(index)
                if not unfinished:
                    return
        for index in unfinished:
            stream, collector = collectors[index]
            self._feed(collector, stream, None)

    def _feed(self, collector: Sound | Sight, stream: Stream, packet: Packet[Stream] | None) -> None:
        """Decode a packet, or with None what the stream's decoder still holds."""
        try:
            for frame in stream.codec_context.decode(packet):  # type: ignore[attr-defined]
                collector.add(frame)
                if collector.done:
                    break
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, ValueError):  # ValueError: a frame that contradicts the others
            self.damaged += 1

    def _expected(self, stream: Stream | None) -> tuple[float, float]:
        """The part of the stretch that the stream says it has, seconds from the beginning of the file."""
        span = None if stream is None else stream_span(self.source, stream)
        return (self.start, self.start) if span is None else (max(self.start, span[0]), min(self.stop, span[1]))

    def _reached_start(self) -> bool:
        """Whether decoding began early enough: at the stretch's first moment, or at the stream's."""
        checks = ((self.sound, self.source.audio, 0.01), (self.sight, self.source.video, 0.01))
        for collector, stream, slack in checks:
            if collector is None:
                continue
            begin = self._expected(stream)[0] + self.source.origin
            if collector.first is None or collector.first > begin + slack:
                return False
        return True

    def _require_most(self) -> None:
        """Refuse a clip of which most is missing: silence and a frozen picture would be learnt from."""
        where = f"between {self.start:.2f} and {self.stop:.2f} s"
        damage = f"; {self.damaged} damaged packets" if self.damaged else ""
        if self.sound is not None:
            low, high = self._expected(self.source.audio)
            if self.sound.covered <= 0:
                raise MediaError(self.source.path, f"no sound could be decoded {where}{damage}")
            if self.sound.covered < (high - low) / 2:
                raise MediaError(
                    self.source.path,
                    f"only {self.sound.covered:.2f} of {high - low:.2f} s of sound could be decoded {where}{damage}",
                )
        if self.sight is not None:
            low, high = self._expected(self.source.video)
            due = self.sight.due_between(low + self.source.origin, high + self.source.origin)
            if self.sight.last is None or self.sight.fresh == 0:
                raise MediaError(self.source.path, f"no picture could be decoded {where}{damage}")
            if self.sight.fresh < due / 2:
                raise MediaError(
                    self.source.path,
                    f"only {self.sight.fresh} of {due} frames could be decoded {where}{damage}",
                )
