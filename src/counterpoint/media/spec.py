"""What a clip is turned into: one fixed shape of sound and of sight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real

from counterpoint.errors import ConfigError


@dataclass(frozen=True)
class MediaSpec:
    """The shape of a decoded clip; a different one means that the clips are decoded anew.

    Attributes:
        sample_rate: samples per second of the mono sound, Hz.
        seconds: length that every clip is padded or cut to, seconds.
        fps: frames per second that are taken.
        size: height and width of a frame, pixels.
        gray: one channel (luma) instead of three (RGB).
        crop: part of the upright picture that is kept before resizing, as fractions ``(left, top, right, bottom)``.
    """

    sample_rate: int = 16000
    seconds: float = 3.0
    fps: float = 25.0
    size: int = 64
    gray: bool = True
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for name, kind, what in (
            ("sample_rate", Integral, "a whole number"),
            ("seconds", Real, "a number"),
            ("fps", Real, "a number"),
            ("size", Integral, "a whole number"),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind) or not 0 < float(value) < math.inf:
                raise ConfigError(f"media.{name} is {value!r}; it must be {what} greater than 0")
        if not isinstance(self.gray, bool):
            raise ConfigError(f"media.gray is {self.gray!r}; it must be true or false")
        if not _is_crop(self.crop):
            raise ConfigError(
                f"media.crop is {self.crop!r}; it must be fractions 0 <= left < right <= 1, 0 <= top < bottom <= 1"
            )

    @property
    def num_samples(self) -> int:
        """Samples per clip."""
        return round(self.seconds * self.sample_rate)

    @property
    def num_frames(self) -> int:
        """Frames per clip, at least one."""
        return max(1, round(self.seconds * self.fps))

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return 1 if self.gray else 3


def _is_crop(crop: object) -> bool:
    if not isinstance(crop, tuple) or len(crop) != 4 or not all(isinstance(edge, Real) for edge in crop):
        return False
    left, top, right, bottom = crop
    return bool(0 <= left < right <= 1 and 0 <= top < bottom <= 1)
