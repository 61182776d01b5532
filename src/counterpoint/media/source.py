"""Open a media file: which streams count, where its time begins, and every failure as a MediaError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
_CLOCKLESS = frozenset({"mp3", "aac", "ac3", "eac3", "amr", "loas"})
# AVFMT_NOTIMESTAMPS and AVFMT_TS_DISCONT of FFmpeg's avformat.h: formats without stamps, and with clocks that may jump.
_STAMPLESS, _RESTARTING = 0x80, 0x200
# Beginning later than this, a header may declare when the file ends instead of how long it is, seconds.
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
        declared: duration of the whole file as its header, or FFmpeg, guesses; None where neither does.
        seconds: the same, where it may be relied on until packets tell otherwise.
    """

    path: Path
    container: InputContainer
    audio: AudioStream | None
    video: VideoStream | None
    origin: float
    declared: float | None
    seconds: float | None

    @property
    def seekable(self) -> bool:
        """Whether time stamps are right after a jump into the middle of the file."""
        if self.video is not None and self.container.format.name == "avi" and self.video.codec_context.has_b_frames:
            return False
        return not _is_clockless(self.container)

    @property
    def stampless(self) -> bool:
        """Whether the format has no time stamps at all."""
        return bool(self.container.format.flags & _STAMPLESS)

    @property
    def restarts(self) -> bool:
        """Whether clocks may jump within a file of this format."""
        return bool(self.container.format.flags & _RESTARTING)


def _is_clockless(container: InputContainer) -> bool:
    return container.format.name in _CLOCKLESS or bool(container.format.flags & _STAMPLESS)


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
        origin = min((start for start in (_start(audio), _start(video)) if start is not None), default=0.0)
        declared = None if container.duration is None or container.duration <= 0 else container.duration / av.time_base
        guessed = _is_clockless(container) or bool(container.format.flags & _RESTARTING) or abs(origin) > _LATE
        for stream in (audio, video):
            if stream is not None:
                stream.codec_context.thread_count = 1
                stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        yield Source(
            path,
            container,
            audio if isinstance(audio, AudioStream) else None,
            video if isinstance(video, VideoStream) else None,
            origin,
            declared,
            None if guessed else declared,
        )
