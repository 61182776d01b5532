"""Open a media file: which streams count, where its time begins, and every failure as a MediaError."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from counterpoint.errors import MediaError
from counterpoint.media.files import what_is_wrong

# Above 8K (7680 x 4320): no clip has more, a damaged header may claim it and ask for gigabytes.
MAX_PIXELS = 2**26
# A local file that FFmpeg cannot read on within this time is damaged, seconds.
MAX_SECONDS_OF_IO = 30.0
# These have no time stamps: their length is guessed from their bytes, and seeking loses the clock.
CLOCKLESS = frozenset({"mp3", "aac", "ac3", "eac3", "amr", "loas"})
# Packets stand in the order of decoding, which may show one this much later than the next, seconds.
_LATE = 1.0


@contextmanager
def failing_as_media_error(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside leaves as a MediaError; libraries raise a dozen kinds on damaged files."""
    try:
        yield
    except MediaError:
        raise
    except Exception as error:
        raise MediaError(path, what_is_wrong(path) or _in_words(error)) from error


def _in_words(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "reading it needs more memory than there is; its header is probably damaged"
    if isinstance(error, av.error.FFmpegError):
        return f"FFmpeg cannot read it: {error.strerror or error}"
    return f"cannot be read ({type(error).__name__}: {error})"


@dataclass(frozen=True)
class Source:
    """An opened file with the streams that are read from it.

    Attributes:
        audio: best stream of sound, None where there is none.
        video: best stream of pictures, None where there is none.
        origin: container time at which the file begins, seconds; every time given to users counts from here.
        seconds: duration of the whole file, None where it does not say.
    """

    path: Path
    container: InputContainer
    audio: AudioStream | None
    video: VideoStream | None
    origin: float
    seconds: float | None


def _is_picture_of_time(stream: VideoStream) -> bool:
    """Not the cover art of a song."""
    return not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)


def _best(container: InputContainer, kind: str, candidates: list[Stream]) -> Stream | None:
    best = container.streams.best(kind)  # type: ignore[arg-type]
    if best in candidates:
        return best
    return candidates[0] if candidates else None


def _start(stream: Stream | None) -> float | None:
    if stream is None or stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def stream_start(source: Source, stream: Stream) -> float:
    """First moment of a stream as its header declares it, seconds from the file's beginning."""
    return (_start(stream) or source.origin) - source.origin


def stream_span(source: Source, stream: Stream) -> tuple[float, float] | None:
    """First and last moment of a stream as its header declares them, seconds from the file's beginning."""
    span = _own_span(source, stream)
    if span is None and source.seconds is not None:
        span = stream_start(source, stream), source.seconds
    return span


def picture_span(path: Path, until: float) -> tuple[float, float] | None:
    """First and last moment of the picture, seconds from the file's beginning.

    Where the stream's header is silent (FLV; the file's is no help, it counts the sound too) its packets are looked
    at, undecoded, as far as `until`.

    Raises:
        MediaError: the file cannot be read.
    """
    with opened(path) as source:
        video = source.video
        if video is None:
            return None
        span = _own_span(source, video)
        if span is not None or video.time_base is None:
            return span
        start = end = stream_start(source, video)
        period = float(1 / video.average_rate) if video.average_rate else 0.0
        with suppress(av.error.FFmpegError):  # what comes before the damage counts
            for packet in source.container.demux(video):
                stamp = packet.dts if packet.pts is None else packet.pts
                if stamp is None or packet.size == 0:
                    continue
                time = float(stamp * video.time_base) - source.origin
                end = max(end, time + (float((packet.duration or 0) * video.time_base) or period))
                if time > until + _LATE:
                    break
        return start, end


def _own_span(source: Source, stream: Stream) -> tuple[float, float] | None:
    start = stream_start(source, stream)
    if stream.duration is not None and stream.time_base is not None and stream.duration > 0:
        return start, start + float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))  # as Matroska has it
    if tag:
        hours, minutes, seconds = (float(part) for part in tag.groups())
        moment = 3600 * hours + 60 * minutes + seconds
        # MKVToolNix, which marks its tags so, writes the length; FFmpeg writes the time of the end.
        end = start + moment if "_STATISTICS_TAGS" in stream.metadata else moment - source.origin
        return (start, end) if end > start else None
    return None


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The file, open for reading, single-threaded: parallelism is one process per core, which scales better.

    Raises:
        MediaError: for whatever goes wrong, also inside the `with` block.
    """
    with (
        failing_as_media_error(path),
        av.open(
            f"file:{path}",  # the prefix keeps a name such as "a:b.mp4" from being read as a protocol
            "r",
            # Playlists must not reach beyond local files.
            container_options={"protocol_whitelist": "file"},
            options={"max_pixels": str(MAX_PIXELS), "threads": "1"},
            metadata_errors="replace",
            timeout=MAX_SECONDS_OF_IO,
        ) as container,
    ):
        audio = _best(container, "audio", [s for s in container.streams.audio if s.codec_context is not None])
        video = _best(
            container,
            "video",
            [s for s in container.streams.video if s.codec_context is not None and _is_picture_of_time(s)],
        )
        if audio is None and video is None:
            raise MediaError(path, "holds neither sound nor a moving picture")
        starts = [start for start in (_start(audio), _start(video)) if start is not None]
        duration = container.duration
        seconds = None if duration is None or duration <= 0 else duration / av.time_base
        for stream in (audio, video):
            if stream is not None:
                stream.codec_context.thread_count = 1
                stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        yield Source(
            path,
            container,
            audio if isinstance(audio, AudioStream) else None,
            video if isinstance(video, VideoStream) else None,
            min(starts, default=0.0),
            seconds if seconds is None or math.isfinite(seconds) else None,
        )
