"""A media file in, one clip of fixed shape out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
from av.packet import Packet
from av.stream import Stream

from counterpoint._moved import former_keywords
from counterpoint.errors import ConfigError, MediaError
from counterpoint.media.audio import AudioCollector
from counterpoint.media.clip import MODALITIES, STILLS, DecodedClip, MediaInfo
from counterpoint.media.face_finder import find_face, weights_path
from counterpoint.media.faces import Faces, FaceTrack, read_landmarks
from counterpoint.media.measure import Measured, measure
from counterpoint.media.noise import with_noise
from counterpoint.media.packets import Decoder, JoinedError, Packets
from counterpoint.media.read_plan import Plan
from counterpoint.media.segment import Segment, streams_of
from counterpoint.media.source import Source, opened
from counterpoint.media.spec import MediaSpec
from counterpoint.media.video import VideoCollector
from counterpoint.registry import did_you_mean

# From here on into a file it is cheaper to seek than to decode what comes before, seconds.
_SEEK_FROM = 3.0
# How far in front of the segment to land, seconds: near first, farther where sound and picture lie apart in the file.
_SEEK_LEADS = (1.0, 6.0)
# Packets this far behind the segment end the search for streams that have nothing left, seconds and packets.
_BEHIND, _MANY_BEHIND = 5.0, 64
# A clip that takes longer than this is damaged or no clip, seconds.
_MAX_SECONDS = 120.0
# Pictures in which a face is searched, spread over the clip, and their sides, pixels.
_SEARCHED, _SEARCHED_SIZE = 5, 512


def probe(path: str | Path) -> MediaInfo:
    """What a file says: streams, rates and sizes by its header, duration by its packets. Nothing is decoded.

    Raises:
        MediaError: it is not a readable media file.
    """
    path = Path(path)
    with opened(path) as source:
        audio, video = source.audio, source.video
        rate = video.average_rate if video is not None else None
        return MediaInfo(
            path=source.path,
            container=source.container.format.name,
            seconds=measure(path).seconds or None,
            audio_codec=audio.codec_context.name if audio is not None else None,
            sample_rate=audio.codec_context.sample_rate if audio is not None else None,
            channels=audio.codec_context.channels if audio is not None else None,
            video_codec=video.codec_context.name if video is not None else None,
            width=video.codec_context.width if video is not None else None,
            height=video.codec_context.height if video is not None else None,
            fps=float(rate) if rate else None,
        )


def measure_clip(path: str | Path, spec: MediaSpec, **segment: Any) -> DecodedClip:
    """What `read_clip` gives, with nothing decoded: the length of the file alone."""
    del spec, segment
    return DecodedClip(None, None, probe(path).seconds)


@former_keywords(sound="audio")
def read_clip(
    path: str | Path,
    spec: MediaSpec,
    *,
    start: float = 0.0,
    end: float | None = None,
    modalities: Iterable[str] = MODALITIES,
    audio: str | Path | None = None,
    landmarks: str | Path | None = None,
    landmarks_size: tuple[int, int] | None = None,
) -> DecodedClip:
    """Read the segment ``[start, end)`` of a file in the shape that `spec` asks for.

    Sound is mixed to mono and resampled; each frame is the last one at or before its time. Both follow the time
    stamps of the file, so that they stay aligned where one begins later than the other. A segment longer than
    `spec.seconds` is cut; a shorter one is filled up with zeros and with its last frame. Rotation metadata is
    applied before `spec.crop`, or before the crop to the face where there are landmarks. Small damage is bridged.

    Args:
        path: any container and codec that FFmpeg knows.
        spec: shape of the result.
        start: first moment, seconds from the beginning of the file.
        end: last moment, seconds; None or beyond the end of the file: to its end.
        modalities: ``"audio"``, ``"visual"`` or both; the other one may be missing in the file.
        audio: another file that the sound is read from, the same segment of it. A single picture beside it is the same
            at all times.
        landmarks: table of the face's points, see `read_landmarks`; its times count
            from the first frame of the picture.
        landmarks_size: width and height of the video in which the landmarks were found; None: of this one.

    Raises:
        MediaError: a file cannot be read, lacks a modality, or more than half of the segment is lost.
        ConfigError: a modality of another name.
    """
    wanted = tuple(modalities)
    for name in wanted:
        if name not in MODALITIES:
            raise ConfigError(f"read_clip: unknown modality {name!r}.{did_you_mean(name, MODALITIES)}")
    path = Path(path)
    if audio is not None and "audio" in wanted:
        heard = read_clip(audio, spec, start=start, end=end, modalities=("audio",))
        if "visual" not in wanted:
            return heard
        wanted = ("visual",)
    else:
        heard = None
    if wanted == ("visual",) and path.suffix.lower() in STILLS:
        start, end = 0.0, None
    faces: Faces | None = None
    if "visual" in wanted:
        faces = face_of(path, spec, start, end) if landmarks is None else read_landmarks(landmarks, landmarks_size)
    plan = Plan.of(path, spec, start, end, wanted)
    clip = _read_plan(path, plan, faces)
    if heard is None:
        return with_noise(clip, spec)
    return DecodedClip(heard.audio, clip.visual, clip.seconds or heard.seconds, (*heard.notes, *clip.notes))


def face_of(path: Path, spec: MediaSpec, start: float = 0.0, end: float | None = None) -> FaceTrack | None:
    """The face in a segment of a file, where `spec` asks to crop to it; None: it does not.

    Args:
        path: of the file.
        spec: shape of the clip; its first `seconds` are searched.
        start: seconds.
        end: seconds; None: to the end of the file.

    Raises:
        MediaError: the file cannot be read, or has no face there.
        ConfigError: the detector is not installed.
    """
    if spec.crop != "face":
        return None
    weights_path()
    whole = replace(
        spec, crop=(0.0, 0.0, 1.0, 1.0), frames=_SEARCHED, size=_SEARCHED_SIZE, gray=True, audio_snr_db=None
    )
    plan, whole_picture = Plan.of(path, whole, start, end, ("visual",)), _Whole()
    clip = _read_plan(path, plan, whole_picture)
    if clip.visual is None:
        raise MediaError(path, "has no moving picture")
    return find_face(path, clip.visual[..., 0], whole_picture.size)


class _Whole:
    """Keeps all of each picture, and notes how large they are."""

    size: tuple[int, int]

    def crop(self, time: float, width: int, height: int, margin: float = 0.0) -> tuple[float, float, float, float]:
        self.size = width, height
        return 0.0, 0.0, 1.0, 1.0


def _read_plan(path: Path, plan: Plan, faces: Faces | None) -> DecodedClip:
    leads: list[float | None] = [None] if plan.start < _SEEK_FROM else [*_SEEK_LEADS, None]
    clip = next((clip for lead in leads if (clip := _read(path, plan, faces, lead)) is not None), None)
    if clip is None:
        raise MediaError(path, f"nothing could be decoded from {plan.start:.2f} s on")
    return clip


def _read(
    path: Path, plan: Plan, faces: Faces | None, lead: float | None, measured: Measured | None = None
) -> DecodedClip | None:
    with opened(path) as source:
        try:
            return _Reading(source, plan, faces, measured).run(lead)
        except JoinedError:
            if measured is not None:
                raise
    return _read(path, plan, faces, None, measure(path))


class _Reading:
    """One pass over a file."""

    def __init__(self, source: Source, plan: Plan, faces: Faces | None, measured: Measured | None) -> None:
        self.source, self.plan, self.measured = source, plan, measured
        self.streams = streams_of(source, plan.spans)
        if source.seconds is None or plan.start >= source.seconds:
            self.measured = measured = measure(source.path)
            if plan.start >= measured.seconds > 0:
                raise MediaError(
                    source.path, f"lasts {measured.seconds:.2f} s, the clip would begin at {plan.start:.2f} s"
                )
        self.segment = Segment(source, plan, faces)
        self.damaged = 0  # packets that could not be decoded

    def run(self, lead: float | None) -> DecodedClip | None:
        """Decode; with `lead`, seek to so many seconds before the segment first; None if that landed elsewhere."""
        source, segment = self.source, self.segment
        if lead is not None:
            if not source.seekable or (self.measured is not None and self.measured.joined):
                return None
            try:
                source.container.seek(round((source.origin + self.plan.start - lead) * av.time_base), backward=True)
            except (av.error.FFmpegError, OverflowError):
                return None
        self._decode()
        if lead is not None and not segment.reached_start():
            return None
        clip = segment.clip()
        if not segment.complete(self.measured):
            self.measured = measure(source.path)
            if reason := segment.undecodable(self.measured, self.damaged):
                raise MediaError(source.path, reason)
        seconds = source.seconds if self.measured is None else self.measured.seconds
        still = source.path.suffix.lower() in STILLS
        return replace(segment.noted(clip, self.measured), seconds=None if still else seconds)

    def _decode(self) -> None:
        """Decode packet by packet until every collector has what it needs, or the file ends or cannot be read on."""
        collectors = dict(self.segment.collectors)
        decoders = {modality: Decoder(self.source, stream) for modality, stream in self.streams.items()}
        shifts = (0.0,) if self.measured is None else self.measured.shifts
        packets = Packets(self.source, self.streams, shifts)
        behind, limit = 0, self.source.origin + self.plan.stop + _BEHIND
        deadline = time.monotonic() + _MAX_SECONDS
        for modality, packet, begin, _ in packets:
            if time.monotonic() > deadline:
                raise MediaError(self.source.path, f"reading it was given up after {_MAX_SECONDS:.0f} s")
            behind += begin > limit
            if modality in collectors:
                self._feed(collectors[modality], decoders[modality], packet)
                if collectors[modality].done:
                    del collectors[modality]
            if not collectors or behind >= _MANY_BEHIND:
                break
        self.damaged += packets.damaged
        for modality, collector in collectors.items():
            self._feed(collector, decoders[modality], None)

    def _feed(
        self, collector: AudioCollector | VideoCollector, decoder: Decoder, packet: Packet[Stream] | None
    ) -> None:
        """Decode a packet, or with None what the stream's decoder still holds."""
        try:
            for frame in decoder(packet):
                collector.add(frame)  # type: ignore[arg-type]
                if collector.done:
                    break
        except (av.error.FFmpegError, ValueError):  # ValueError: a frame that contradicts the others
            self.damaged += 1
