"""What reading a media file gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MODALITIES = ("audio", "visual")
SILENT = "its sound is silent throughout"
"""A note on a clip."""
STILLS = frozenset({".bmp", ".jpeg", ".jpg", ".png"})
"""Suffixes of single pictures."""


@dataclass(frozen=True)
class DecodedClip:
    """One clip in the fixed shape of a `MediaSpec`.

    Attributes:
        audio: int16 ``(num_samples,)``, mono; zeros where the file has no sound. None if it was not asked for.
        visual: uint8 ``(T, H, W, C)``, upright, full range 0 to 255. None if it was not asked for.
        seconds: length of the whole file, of which this may be a part; None where the file does not say, and for a
            single picture.
        notes: what is out of the ordinary with it, in words.
    """

    audio: NDArray[np.int16] | None
    visual: NDArray[np.uint8] | None
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        """It has a sound, in which nothing is louder than one step of 16 bits."""
        return self.audio is not None and bool(self.audio.max() <= 1) and bool(self.audio.min() >= -1)


@dataclass(frozen=True)
class MediaInfo:
    """What a file says, without decoding it.

    Attributes:
        path: the file.
        container: FFmpeg's names of the file format, e.g. ``"matroska,webm"``.
        seconds: from its first to the end of its last packet; None where it has none.
        audio_codec: codec of the sound that would be read; None: no sound.
        sample_rate: samples per second of that sound, Hz.
        channels: of that sound.
        video_codec: codec of the picture that would be read; None: no picture (cover art is none).
        width: of the stored picture, pixels, before rotation metadata is applied.
        height: of the stored picture, pixels.
        fps: frames per second on average; None where the file does not say.
    """

    path: Path
    container: str
    seconds: float | None = None
    audio_codec: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    video_codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
