"""Sound and pictures in, an MP4 file out (H.264 + AAC)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from counterpoint._atomic import replacing
from counterpoint.errors import MediaError, ShapeError

_AAC_BITS = 96_000


def write_clip(
    path: str | Path,
    audio: NDArray[np.float32] | None,
    frames: NDArray[np.uint8] | None,
    *,
    fps: float,
    sample_rate: int,
    crf: int = 23,
) -> None:
    """Write sound and pictures that begin together.

    The file appears whole or not at all, and equal input gives equal bytes.

    Args:
        path: of the ``.mp4`` file; an existing one is replaced, missing folders are made.
        audio: mono ``(n,)`` in [-1, 1]; beyond that it is clipped. None: no sound.
        frames: ``(T, H, W, 3)`` RGB, H and W even. None: no pictures.
        fps: frames per second.
        sample_rate: of the sound, Hz; one that AAC has, 7350 to 96000.
        crf: quality of the picture, 0 (lossless) to 51.

    Raises:
        ShapeError: an array has another shape.
        MediaError: the encoder refuses a value, or the file cannot be written.
    """
    path = Path(path)
    if audio is not None and (audio.ndim != 1 or len(audio) == 0):
        raise ShapeError(f"write_clip: audio is {audio.shape}, it must be (n,) with n >= 1")
    if frames is not None and (
        frames.ndim != 4 or frames.shape[3] != 3 or len(frames) == 0 or frames.shape[1] % 2 or frames.shape[2] % 2
    ):
        raise ShapeError(f"write_clip: frames are {frames.shape}, they must be (T, H, W, 3) with even H and W")
    if audio is None and frames is None:
        raise ShapeError("write_clip: neither audio nor frames are given")
    if frames is not None and frames.dtype != np.uint8:
        raise ShapeError(f"write_clip: frames are {frames.dtype}, they must be uint8")

    try:
        with (
            replacing(path, shared=True) as part,
            av.open(f"file:{part}", "w", format="mp4", options={"fflags": "+bitexact"}) as container,
        ):
            _encode(container, audio, frames, fps, sample_rate, crf)
    except (av.error.FFmpegError, OSError, ValueError, ArithmeticError) as error:
        raise MediaError(path, f"cannot be written ({getattr(error, 'strerror', None) or error})") from error


def _encode(
    container: OutputContainer,
    audio: NDArray[np.float32] | None,
    frames: NDArray[np.uint8] | None,
    fps: float,
    sample_rate: int,
    crf: int,
) -> None:
    video_stream = audio_stream = None
    if frames is not None:
        rate = Fraction(fps).limit_denominator(1001)
        # One thread: with several, libx264's rate control may choose differently from run to run.
        # mbtree: with it, equal pictures now and then come out as other bytes.
        options = {"preset": "veryfast", "crf": str(crf), "threads": "1", "flags": "+bitexact"}
        options["x264-params"] = "mbtree=0"
        video_stream = container.add_stream("libx264", rate=rate, options=options)
        assert isinstance(video_stream, VideoStream)
        video_stream.height, video_stream.width = frames.shape[1:3]
        video_stream.pix_fmt = "yuv420p"
        video_stream.thread_count = 1
    if audio is not None:
        audio_stream = container.add_stream("aac", rate=sample_rate, layout="mono", options={"flags": "+bitexact"})
        assert isinstance(audio_stream, AudioStream)
        audio_stream.codec_context.bit_rate = _AAC_BITS
    if video_stream is not None and frames is not None:
        for k, picture in enumerate(frames):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = k, 1 / rate
            container.mux(video_stream.encode(frame.reformat(format="yuv420p", threads=1)))
        container.mux(video_stream.encode(None))
    if audio_stream is not None and audio is not None:
        clipped = np.clip(audio, -1, 1).astype(np.float32)
        for at in range(0, len(clipped), 1024):
            block = AudioFrame.from_ndarray(np.ascontiguousarray(clipped[None, at : at + 1024]), "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = sample_rate, at, Fraction(1, sample_rate)
            container.mux(audio_stream.encode(block))
        container.mux(audio_stream.encode(None))
