"""One segment of an opened file: what is collected of its sound and its picture, and how much cannot be decoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from av.stream import Stream

from counterpoint.errors import MediaError
from counterpoint.media.audio import AudioCollector
from counterpoint.media.clip import SILENT, DecodedClip
from counterpoint.media.faces import Faces
from counterpoint.media.measure import Measured
from counterpoint.media.packets import time_base
from counterpoint.media.read_plan import Plan
from counterpoint.media.source import MAX_PIXELS, Source, stream_start
from counterpoint.media.spec import Crop
from counterpoint.media.video import Scaler, VideoCollector

# Of the sound of a clip this may be missing at its ends, as encoders round, seconds.
_LITTLE = 0.05


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


class Segment:
    """Collects what a plan asks for.

    Args:
        source: the opened file.
        plan: what of it, and when; its modalities are in the file.
        faces: where the face is, to crop to it.
        scaler: of other segments of the file, used along; None: one of its own.
    """

    def __init__(self, source: Source, plan: Plan, faces: Faces | None = None, scaler: Scaler | None = None) -> None:
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

    def _around(self, faces: Faces, first: float) -> Callable[[float, int, int], Crop]:
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
        )

    def reached_start(self) -> bool:
        """Whether decoding began early enough: at the segment's first moment, or at the stream's."""
        for modality, collector in self.collectors.items():
            stream = self.source.audio if modality == "audio" else self.source.video
            start = 0.0 if stream is None else stream_start(self.source, stream)
            begin = max(self.plan.spans[modality][0], start) + self.source.origin
            if collector.first is None or collector.first > begin + 0.01:
                return False
        return True

    def complete(self, measured: Measured | None = None) -> bool:
        """Whether nothing is missing until the end of the file, which its header tells most often at once."""
        until = math.inf if self.source.declared is None else self.source.origin + self.source.declared
        until = until if measured is None else measured.declared
        for collector in self.collectors.values():
            if isinstance(collector, AudioCollector):
                if collector.covered <= max(0.0, min(collector.end, until) - collector.start - _LITTLE):
                    return False
            else:
                fresh, due = collector.fresh(collector.start, min(collector.end, until))
                if fresh < max(1, due):
                    return False
        return True

    def noted(self, clip: DecodedClip, measured: Measured | None) -> DecodedClip:
        """The clip that was collected, with what is out of the ordinary; gaps are told of a file that was measured."""
        audio = self.collectors.get("audio")
        gaps = () if audio is None or measured is None else measured.gaps(audio.start, audio.end)
        return replace(clip, notes=(*gaps, SILENT) if clip.silent else gaps)

    def undecodable(self, measured: Measured, damaged: int = 0) -> str | None:
        """Why it is not fit for use: most of it is missing, and silence and a frozen picture would be learnt from.

        Args:
            measured: what the file has by its packets. Between packets of sound there is silence; a picture is on until
                the next one or the end of the file.
            damaged: packets that could not be decoded, for the message.

        Returns:
            None where at least half of what each modality has is there.
        """
        damage = f"; {damaged} damaged packets" if damaged else ""
        for modality, collector in self.collectors.items():
            low, high = collector.start, collector.end
            start, stop = self.plan.spans[modality]
            where = f"between {start:.2f} and {stop:.2f} s{damage}"
            what = "sound" if isinstance(collector, AudioCollector) else "picture"
            track = measured.tracks.get(modality)
            lost = [(max(low, begin), min(high, end)) for begin, end in measured.holes if begin < high and end > low]
            missing = sum(end - begin for begin, end in lost)
            if track is None or track.first >= high or low >= max(measured.end, measured.declared):
                return f"no {what} could be decoded {where}"
            if isinstance(collector, AudioCollector):
                expected = track.seconds_in(low, high) + missing
                if collector.covered <= 0 and (expected > 0 or low >= track.end):
                    return f"no sound could be decoded {where}"
                if collector.covered < expected / 2:
                    return f"only {collector.covered:.2f} of {expected:.2f} s of sound could be decoded {where}"
            else:
                fresh, due = collector.fresh(low, min(high, measured.declared), track.shown_at)
                fresh -= sum(collector.fresh(begin, end, track.shown_at)[0] for begin, end in lost)
                if fresh <= 0:
                    return f"no picture could be decoded {where}"
                if fresh < due / 2:
                    return f"only {fresh} of {due} frames could be decoded {where}"
        return None
