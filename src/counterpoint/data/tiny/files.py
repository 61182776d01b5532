"""Tiny media files of every kind that a dataset comes in; a tone and a grey level tell the class."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from counterpoint.media.encode import write_clip

RATE, FPS, SIZE, SECONDS = 16000, 10, 32, 0.5
"""Of every clip: samples and frames per second, pixels to a side, length."""


def tone(label: int, take: int) -> NDArray[np.float32]:
    """Mono sound in [-1, 1]: the class gives the pitch, `take` tells clips of one class apart."""
    rng = np.random.default_rng([label, take])
    times = np.arange(round(SECONDS * RATE)) / RATE
    pitch = (300 + 350 * label) * rng.uniform(0.95, 1.05)
    return (0.3 * np.sin(2 * np.pi * pitch * times) + 0.05 * rng.standard_normal(len(times))).astype(np.float32)


def pictures(label: int, take: int, frames: int | None = None) -> NDArray[np.uint8]:
    """RGB ``(frames, SIZE, SIZE, 3)``: the class gives the grey level. `frames` None: as many as a clip has."""
    rng = np.random.default_rng([label, take, 1])
    count = round(SECONDS * FPS) if frames is None else frames
    noisy = rng.normal(40 + 25 * (label % 8), 8, (count, SIZE, SIZE, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def write_video(path: Path, label: int, take: int, *, sound: bool = True) -> None:
    """A clip as MP4, with sound or without."""
    audio = tone(label, take) if sound else None
    write_clip(path, audio, pictures(label, take), fps=FPS, sample_rate=RATE)


def write_sound(path: Path, label: int, take: int) -> None:
    """A clip's sound: ``.wav``, or AAC for ``.m4a``."""
    samples = tone(label, take)
    if path.suffix == ".m4a":
        write_clip(path, samples, None, fps=FPS, sample_rate=RATE)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def write_flash(path: Path, label: int, take: int) -> None:
    """A clip's pictures as Flash video, without sound."""
    _write_pictures(path, pictures(label, take), "flv", "flv1", "yuv420p")


def write_jpeg(path: Path, label: int, take: int) -> None:
    """One picture of a clip."""
    _write_pictures(path, pictures(label, take, 1), "image2", "mjpeg", "yuvj420p")


def _write_pictures(path: Path, frames: NDArray[np.uint8], container: str, codec: str, pixels: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        for k, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts = k
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
