"""What a clip is turned into: one fixed shape of sound and of sight."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

from counterpoint._moved import former_keywords
from counterpoint._typecheck import fits
from counterpoint.errors import ConfigError
from counterpoint.registry import did_you_mean

FORMER_FIELDS = {"sound_start": "audio_start", "sound_seconds": "audio_seconds"}
"""Of `MediaSpec`: former name -> name."""

Crop = tuple[float, float, float, float]  # left, top, right, bottom as fractions of the upright picture


@former_keywords(**FORMER_FIELDS)
@dataclass(frozen=True)
class MediaSpec:
    """The shape of a decoded clip; a different one means that the clips are decoded anew.

    Attributes:
        sample_rate: samples per second of the mono sound, Hz.
        seconds: length that every clip is cut to, and filled up to where it is shorter, seconds.
        fps: frames per second that are taken.
        size: height and width of a frame, pixels.
        gray: one channel (luma) instead of three (RGB).
        crop: part of the upright picture that is kept before resizing, as fractions ``(left, top, right, bottom)``; of
            clips with landmarks the face is kept instead. ``"face"``: the face that a detector finds, one box for the
            clip; a clip without one cannot be read. It needs the extra ``faces``.
        frames: this many frames instead of `fps`, spread evenly over what a clip has, its first `seconds` at most: the
            times ``(k + 1/2) / frames`` of it, so that a short clip is not filled up with its last frame.
        audio_start: where the sound begins, seconds into the clip.
        audio_seconds: length of the sound, seconds; None: to the end of `seconds`. It must end by then.
        audio_snr_db: speech-shaped noise is added to the sound, which is this much louder, dB (see `add_noise`); None:
            none is.
        face_margin: how far the face's box is widened to each side, as a share of its width and height, for clips with
            landmarks, and for `crop` ``"face"``; below 0 it is narrowed.
    """

    sample_rate: int = 16000
    seconds: float = 3.0
    fps: float = 25.0
    size: int = 64
    gray: bool = True
    crop: Crop | Literal["face"] = (0.0, 0.0, 1.0, 1.0)
    frames: int | None = None
    audio_start: float = 0.0
    audio_seconds: float | None = None
    face_margin: float = 0.0
    audio_snr_db: float | None = None

    def __post_init__(self) -> None:
        for name, wanted, what in (
            ("sample_rate", int, "an int"),
            ("seconds", float, "a number"),
            ("fps", float, "a number"),
            ("size", int, "an int"),
            ("frames", int, "an int"),
            ("audio_seconds", float, "a number"),
        ):
            value = getattr(self, name)
            if value is None and name in ("frames", "audio_seconds"):
                continue
            if not fits(value, wanted) or not 0 < value < math.inf:
                raise ConfigError(f"media.{name} is {value!r}; it must be {what} greater than 0")
        if not fits(self.gray, bool):
            raise ConfigError(f"media.gray is {self.gray!r}; it must be true or false")
        if self.crop != "face" and not _is_crop(self.crop):
            raise ConfigError(
                f"media.crop is {self.crop!r}; it must be fractions 0 <= left < right <= 1, 0 <= top < bottom <= 1, "
                "or 'face'"
            )

        self._check_audio()
        snr = self.audio_snr_db
        if snr is not None and not (fits(snr, float) and math.isfinite(snr)):
            raise ConfigError(f"media.audio_snr_db is {snr!r}; it must be a number of dB, or null for no noise")
        if not fits(self.face_margin, float) or not -0.5 < self.face_margin < math.inf:
            raise ConfigError(f"media.face_margin is {self.face_margin!r}; it must be a number greater than -0.5")

    def _check_audio(self) -> None:
        start, seconds = self.audio_start, self.audio_seconds
        if not fits(start, float) or not 0 <= start < self.seconds:
            raise ConfigError(
                f"media.audio_start is {start!r}; it must be a number from 0 to media.seconds ({self.seconds:g})"
            )
        if seconds is not None and start + seconds > self.seconds * (1 + 1e-9):  # of sums such as 0.1 + 0.2
            raise ConfigError(
                f"media.audio_seconds is {seconds!r}; it must be at most {self.seconds - start:g}, so that the audio "
                f"from {start:g} s on ends within media.seconds ({self.seconds:g})"
            )

    @property
    def audio_span(self) -> tuple[float, float]:
        """First and last moment of the sound, seconds into the clip."""
        return self.audio_start, self.audio_start + (self.audio_seconds or self.seconds - self.audio_start)

    @property
    def num_samples(self) -> int:
        """Samples per clip, at least one."""
        return max(1, round((self.audio_seconds or self.seconds - self.audio_start) * self.sample_rate))

    @property
    def num_frames(self) -> int:
        """Frames per clip, at least one."""
        return max(1, round(self.seconds * self.fps)) if self.frames is None else self.frames

    @property
    def num_bytes(self) -> int:
        """Of a decoded clip, sound and picture together."""
        return 2 * self.num_samples + self.num_frames * self.size**2 * self.channels

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return 1 if self.gray else 3


def require_fields(names: Iterable[str]) -> None:
    """Refuse names that are no field of `MediaSpec`, as the option ``data.media`` may have them.

    Raises:
        ConfigError: naming the first, and what is near.
    """
    known = [field.name for field in fields(MediaSpec)]
    for name in names:
        if name not in known and name not in FORMER_FIELDS:
            raise ConfigError(f"data.media has no field {name!r}.{did_you_mean(name, known)}")


def _is_crop(crop: object) -> bool:
    if not isinstance(crop, tuple) or len(crop) != 4 or not all(fits(edge, float) for edge in crop):
        return False
    left, top, right, bottom = crop
    return bool(0 <= left < right <= 1 and 0 <= top < bottom <= 1)
