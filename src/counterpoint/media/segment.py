"""One segment of an opened file: what is collected of its sound and its picture, and how much cannot be decoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction

import av
from av.frame import Frame
from av.packet import Packet
from av.stream import Stream

from counterpoint.errors import MediaError
from counterpoint.media.audio import AudioCollector
from counterpoint.media.clip import STILLS, DecodedClip
from counterpoint.media.faces import FaceTrack
from counterpoint.media.read_plan import Plan
from counterpoint.media.source import MAX_PIXELS, Source, stream_span, stream_start
from counterpoint.media.spec import Crop
from counterpoint.media.video import Scaler, VideoCollector


def streams_of(source: Source, modalities: Iterable[str]) -> dict[str, Stream]:
    """Modality -> the stream that it is read from.

    Raises:
        MediaError: the file lacks one, or its pictures are too large.
    """
    streams: dict[str, Stream] = {}
    for modality in modalities:
        stream = source.audio if modality == "audio" else source.video
        if stream is None:
            raise MediaError(source.path, "has no sound" if modality == "audio" else "has no moving picture")
        streams[modality] = stream
    if "visual" in streams and source.video is not None:
        width, height = source.video.codec_context.width, source.video.codec_context.height
        if width * height > MAX_PIXELS:
            raise MediaError(source.path, f"pictures of {width} x {height} pixels are too large")
    return streams


def time_base(stream: Stream) -> float:
    """Seconds per unit of a stream's time stamps."""
    return float(stream.time_base or Fraction(1, av.time_base))


def decoded(stream: Stream, packet: Packet[Stream] | None) -> list[Frame]:
    """The frames that a packet completes, or with None those that the stream's decoder still holds.

    Raises:
        FFmpegError: the packet is damaged.
    """
    try:
        return list(stream.codec_context.decode(packet))  # type: ignore[attr-defined]
    except av.error.EOFError:
        return []


class Segment:
    """Collects what a plan asks for.

    Args:
        source: the opened file.
        plan: what of it, and when; its modalities are in the file.
        faces: where the face is, to crop to it.
        scaler: of other segments of the file, used along; None: one of its own.
    """

    def __init__(
        self, source: Source, plan: Plan, faces: FaceTrack | None = None, scaler: Scaler | None = None
    ) -> None:
        self.source, self.plan = source, plan
        self.collectors: dict[str, AudioCollector | VideoCollector] = {}
        spec, origin = plan.spec, source.origin
        if "audio" in plan.spans and source.audio is not None:
            begin, end = (origin + moment for moment in plan.spans["audio"])
            self.collectors["audio"] = AudioCollector(
                begin, end, spec.num_samples, spec.sample_rate, time_base(source.audio)
            )
        if "visual" in plan.spans and source.video is not None:
            begin, end = (origin + moment for moment in plan.spans["visual"])
            due = [origin + moment for moment in plan.due]
            rate = source.video.average_rate  # unknown for a single frame: that one lasts as long as the file
            period = float(1 / rate) if rate else source.seconds or 1 / spec.fps
            crop_at = None if faces is None else self._around(faces, origin + stream_start(source, source.video))
            self.collectors["visual"] = VideoCollector(
                begin, end, due, spec, time_base(source.video), period, MAX_PIXELS, crop_at, scaler
            )

    def _around(self, faces: FaceTrack, first: float) -> Callable[[float, int, int], Crop]:
        """Crops to the face, at times on the clock of the frames, of which the first is shown at `first`."""
        margin = self.plan.spec.face_margin
        return lambda time, width, height: faces.crop(time - first, width, height, margin)

    @property
    def done(self) -> bool:
        """Nothing that is still to be decoded belongs to it."""
        return all(collector.done for collector in self.collectors.values())

    def clip(self) -> DecodedClip:
        """What was collected, filled up where something is missing; nothing can be added after that."""
        audio, visual = self.collectors.get("audio"), self.collectors.get("visual")
        for collector in self.collectors.values():
            collector.flush()
        return DecodedClip(
            audio=audio.out if isinstance(audio, AudioCollector) else None,
            visual=visual.upright() if isinstance(visual, VideoCollector) else None,
            seconds=None if self.source.path.suffix.lower() in STILLS else self.source.seconds,
        )

    def reached_start(self) -> bool:
        """Whether decoding began early enough: at the segment's first moment, or at the stream's."""
        for modality, collector in self.collectors.items():
            begin = self._expected(modality)[0] + self.source.origin
            if collector.first is None or collector.first > begin + 0.01:
                return False
        return True

    def undecodable(self, damaged: int = 0, until: float = math.inf) -> str | None:
        """Why it is not fit for use: most of it is missing, and silence and a frozen picture would be learnt from.

        Args:
            damaged: packets that could not be decoded, for the message.
            until: where the file ends, if that is known better than its header does, seconds.

        Returns:
            None where at least half of each modality is there.
        """
        damage = f"; {damaged} damaged packets" if damaged else ""
        for modality, collector in self.collectors.items():
            start, stop = self.plan.spans[modality]
            low, high = self._expected(modality)
            high = min(high, until)
            where = f"between {start:.2f} and {stop:.2f} s{damage}"
            if isinstance(collector, AudioCollector):
                if collector.covered <= 0:
                    return f"no sound could be decoded {where}"
                if collector.covered < (high - low) / 2:
                    return f"only {collector.covered:.2f} of {high - low:.2f} s of sound could be decoded {where}"
            else:
                due = collector.due_between(low + self.source.origin, high + self.source.origin)
                if collector.last is None or collector.fresh == 0:
                    return f"no picture could be decoded {where}"
                if collector.fresh < due / 2:
                    return f"only {collector.fresh} of {due} frames could be decoded {where}"
        return None

    def _expected(self, modality: str) -> tuple[float, float]:
        """The part of its segment that a modality's stream says it has, seconds from the beginning of the file."""
        stream = self.source.audio if modality == "audio" else self.source.video
        span = None if stream is None else stream_span(self.source, stream)
        start, stop = self.plan.spans[modality]
        return (start, start) if span is None else (max(start, span[0]), min(stop, span[1]))
