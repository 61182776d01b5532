"""A file at a glance: a handful of its frames, and a spectrogram of a fixed number of columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from counterpoint.errors import MediaError
from counterpoint.media.decode import read_clip
from counterpoint.media.source import opened
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import create_transform
from counterpoint.media.video import Orientation
from counterpoint.media.windows import Windows

_STEP = 0.01  # from one frame of the spectrogram to the next, seconds
_FRAME = MediaSpec(seconds=0.04, fps=25, size=144, gray=False)
_SOUND = MediaSpec(seconds=10.0)


def aspect(path: Path) -> float:
    """Width over height of the upright picture.

    Raises:
        MediaError: there is no picture that can be decoded.
    """
    with opened(path) as source:
        for frame in () if source.video is None else source.container.decode(source.video):
            width, height = frame.width, frame.height
            pixel = source.video.sample_aspect_ratio if source.video is not None else None
            shown = width / height * float(pixel or 1)
            return 1 / shown if Orientation.of(frame).transpose else shown
    raise MediaError(path, "has no moving picture")


def frames_at(path: Path, times: list[float]) -> list[NDArray[np.uint8] | None]:
    """The frames shown at the given times, each squeezed to a square, ``(H, W, 3)``; None where there is none."""
    return [_frame_at(path, time) for time in times]


def _frame_at(path: Path, time: float) -> NDArray[np.uint8] | None:
    try:
        clip = read_clip(path, _FRAME, start=time, modalities=("visual",))
    except MediaError:
        return None
    return None if clip.visual is None else clip.visual[0]


def spectrogram(path: Path, seconds: float, columns: int = 1200, bands: int = 64) -> NDArray[np.float64]:
    """Log-mel spectrogram up to 8 kHz, read in pieces, ``(bands, columns)``; NaN where there is no sound.

    Args:
        path: of the file.
        seconds: its length.
        columns: at most; each is the mean over what falls into it.
        bands: mel bands.

    Raises:
        MediaError: the file cannot be read, or has no sound.
    """
    columns = max(1, min(columns, int(seconds / _STEP)))  # none so narrow that it falls between two frames
    transform = create_transform("log_mel", spec=_SOUND, n_mels=bands, hop=_STEP, normalize=False)
    sums, counts = np.zeros((bands, columns)), np.zeros(columns)
    for piece in Windows(path, _SOUND, modalities=("audio",)):
        if piece.undecodable is not None:
            continue
        with torch.inference_mode():
            power = transform(torch.from_numpy(piece.clip.audio)[None])[0, 0].double().numpy()
        times = (np.arange(power.shape[1]) + 0.5) * _STEP
        inside = times < piece.seconds
        column = ((piece.start + times[inside]) / seconds * columns).astype(int).clip(0, columns - 1)
        np.add.at(sums.T, column, power.T[inside])
        counts += np.bincount(column, minlength=columns)
    with np.errstate(invalid="ignore"):
        return sums / counts
