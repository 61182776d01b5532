"""A media file in, one clip of fixed shape out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream

from counterpoint.errors import ConfigError, MediaError
from counterpoint.media.clip import MODALITIES, DecodedClip, MediaInfo
from counterpoint.media.faces import FaceTrack, read_landmarks
from counterpoint.media.plan import Plan
from counterpoint.media.sight import Sight
from counterpoint.media.sound import Sound
from counterpoint.media.source import MAX_PIXELS, Source, opened, stream_span, stream_start
from counterpoint.media.spec import Crop, MediaSpec
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
    sound: str | Path | None = None,
    landmarks: str | Path | None = None,
    landmarks_size: tuple[int, int] | None = None,
) -> DecodedClip:
    """Read the stretch ``[start, end)`` of a file in the shape that `spec` asks for.

    Sound is mixed to mono and resampled; each frame is the last one at or before its time. Both follow the time
    stamps of the file, so that they stay aligned where one begins later than the other. A stretch longer than
    `spec.seconds` is cut; a shorter one is filled up with zeros and with its last frame. Rotation metadata is
    applied before `spec.crop`, or before the crop to the face where there are landmarks. Small damage is bridged.

    Args:
        path: any container and codec that FFmpeg knows.
        spec: shape of the result.
        start: first moment, seconds from the beginning of the file.
        end: last moment, seconds; None or beyond the end of the file: to its end.
        modalities: ``"audio"``, ``"visual"`` or both; the other one may be missing in the file.
        sound: another file that the sound is read from, the same stretch of it.
        landmarks: table of the face's points, see :func:`~counterpoint.media.faces.read_landmarks`; its times count
            from the first frame of the picture.
        landmarks_size: width and height of the video in which the landmarks were found; None: of this one.

    Raises:
        MediaError: a file cannot be read, lacks a modality, or more than half of the stretch is lost.
        ConfigError: a modality of another name.
    """
    wanted = tuple(modalities)
    for name in wanted:
        if name not in MODALITIES:
            raise ConfigError(f"read_clip knows no modality {name!r}.{did_you_mean(name, MODALITIES)}")
    path = Path(path)
    if sound is not None and "audio" in wanted:
        heard = read_clip(sound, spec, start=start, end=end, modalities=("audio",))
        if "visual" not in wanted:
            return heard
        wanted = ("visual",)
    else:
        heard = None
    faces = read_landmarks(landmarks, landmarks_size) if landmarks is not None and "visual" in wanted else None
    plan = Plan.of(path, spec, start, end, wanted)

    leads: list[float | None] = [None] if plan.start < _SEEK_FROM else [*_SEEK_LEADS, None]
    clip = None
    for lead in leads:
        with opened(path) as source:
            _require_streams(source, plan)
            clip = _Reading(source, plan, faces).run(lead)
        if clip is not None:
            break
    if clip is None:
        raise MediaError(path, f"nothing could be decoded from {plan.start:.2f} s on")
    return clip if heard is None else DecodedClip(heard.audio, clip.visual)


def _require_streams(source: Source, plan: Plan) -> None:
    if "audio" in plan.spans and source.audio is None:
        raise MediaError(source.path, "has no sound")
    if "visual" in plan.spans and source.video is None:
        raise MediaError(source.path, "has no moving picture")
    if "visual" in plan.spans and source.video is not None:
        width, height = source.video.codec_context.width, source.video.codec_context.height
        if width * height > MAX_PIXELS:
            raise MediaError(source.path, f"pictures of {width} x {height} pixels are too large")
    if source.seconds is not None and plan.start >= source.seconds:
        raise MediaError(source.path, f"lasts {source.seconds:.2f} s, the clip would begin at {plan.start:.2f} s")


def _time_base(stream: Stream) -> float:
    return float(stream.time_base or Fraction(1, av.time_base))


class _Reading:
    """One pass over a file."""

    def __init__(self, source: Source, plan: Plan, faces: FaceTrack | None) -> None:
        self.source, self.plan = source, plan
        self.sound = self.sight = None
        spec, origin = plan.spec, source.origin
        if "audio" in plan.spans and source.audio is not None:
            begin, end = (origin + moment for moment in plan.spans["audio"])
            self.sound = Sound(begin, end, spec.num_samples, spec.sample_rate, _time_base(source.audio))
        if "visual" in plan.spans and source.video is not None:
            begin, end = (origin + moment for moment in plan.spans["visual"])
            due = [origin + moment for moment in plan.due]
            rate = source.video.average_rate  # unknown for a single frame: that one lasts as long as the file
            period = float(1 / rate) if rate else source.seconds or 1 / spec.fps
            crop_at = None if faces is None else self._around(faces, origin + stream_start(source, source.video))
            self.sight = Sight(begin, end, due, spec, _time_base(source.video), period, MAX_PIXELS, crop_at)
        self.damaged = 0  # packets that could not be decoded

    def _around(self, faces: FaceTrack, first: float) -> Callable[[float, int, int], Crop]:
        """Crops to the face, at times on the clock of the frames, of which the first is shown at `first`."""
        margin = self.plan.spec.face_margin
        return lambda time, width, height: faces.crop(time - first, width, height, margin)

    def run(self, lead: float | None) -> DecodedClip | None:
        """Decode; with `lead`, seek to so many seconds before the stretch first; None if that landed elsewhere."""
        source = self.source
        if lead is not None:
            if source.container.format.name in _NO_SEEK:
                return None
            try:
                source.container.seek(round((source.origin + self.plan.start - lead) * av.time_base), backward=True)
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
        behind, limit = 0, self.source.origin + self.plan.stop + _BEHIND
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

    def _expected(self, modality: str) -> tuple[float, float]:
        """The part of its stretch that a modality's stream says it has, seconds from the beginning of the file."""
        stream = self.source.audio if modality == "audio" else self.source.video
        span = None if stream is None else stream_span(self.source, stream)
        start, stop = self.plan.spans[modality]
        return (start, start) if span is None else (max(start, span[0]), min(stop, span[1]))

    def _reached_start(self) -> bool:
        """Whether decoding began early enough: at the stretch's first moment, or at the stream's."""
        for modality, collector in (("audio", self.sound), ("visual", self.sight)):
            if collector is None:
                continue
            begin = self._expected(modality)[0] + self.source.origin
            if collector.first is None or collector.first > begin + 0.01:
                return False
        return True

    def _require_most(self) -> None:
        """Refuse a clip of which most is missing: silence and a frozen picture would be learnt from."""
        damage = f"; {self.damaged} damaged packets" if self.damaged else ""
        where = {name: f"between {low:.2f} and {high:.2f} s{damage}" for name, (low, high) in self.plan.spans.items()}
        if self.sound is not None:
            low, high = self._expected("audio")
            if self.sound.covered <= 0:
                raise MediaError(self.source.path, f"no sound could be decoded {where['audio']}")
            if self.sound.covered < (high - low) / 2:
                raise MediaError(
                    self.source.path,
                    f"only {self.sound.covered:.2f} of {high - low:.2f} s of sound could be decoded {where['audio']}",
                )
        if self.sight is not None:
            low, high = self._expected("visual")
            due = self.sight.due_between(low + self.source.origin, high + self.source.origin)
            if self.sight.last is None or self.sight.fresh == 0:
                raise MediaError(self.source.path, f"no picture could be decoded {where['visual']}")
            if self.sight.fresh < due / 2:
                raise MediaError(
                    self.source.path,
                    f"only {self.sight.fresh} of {due} frames could be decoded {where['visual']}",
                )
