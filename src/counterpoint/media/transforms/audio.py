"""What all sound transforms share: samples in, augmentation around the spectrum, one fixed output layout."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor

from counterpoint._moved import former_names
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import augment as random
from counterpoint.media.transforms.base import Transform
from counterpoint.media.transforms.stft import wave

# Clips transformed together on a CPU: the spectra of more of them leave its cache.
_TOGETHER = 4


class WholeClipOptions(TypedDict, total=False):
    """What every audio transform changes at random.

    Attributes:
        augment: change clips at random in ``train()``, by the options that follow.
        shift: largest move in time to either side, seconds.
        gain_db: largest change of loudness, dB.
        freq_mask: largest share of the frequencies that one band hides, 0 to 1.
        time_mask: largest share of the times that one band hides, 0 to 1.
    """

    augment: bool
    shift: float
    gain_db: float
    freq_mask: float
    time_mask: float


class AudioOptions(WholeClipOptions, total=False):
    """As `WholeClipOptions`, for transforms that may hear a part of the clip.

    Attributes:
        crop_seconds: length of the segment that is heard, seconds: in ``train()`` with `augment` drawn anew for each
            clip each time, else the middle; None: the whole clip. Frames are of the whole clip all the same.
    """

    crop_seconds: float | None


class AudioTransform(Transform):
    """Base: ``(B, samples)`` int16, or floating point in [-1, 1], to ``(B, 1, F, T)``.

    Subclasses say `spectrum`, and `prepare` where the signal is changed first; they register a buffer `window`.
    What is changed at random, `AudioOptions` says.

    Args:
        spec: shape of the clips.

    Raises:
        ConfigError: a value outside its range.
    """

    window: Tensor

    def __init__(
        self,
        spec: MediaSpec,
        *,
        augment: bool = False,
        shift: float = 0.1,
        gain_db: float = 6.0,
        freq_mask: float = 0.15,
        time_mask: float = 0.1,
        crop_seconds: float | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("freq_mask", freq_mask), ("time_mask", time_mask)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{type(self).__name__}: {name} is {value}; it must be a share from 0 to 1")
        for name, value in (("shift", shift), ("gain_db", gain_db)):
            if value < 0:
                raise ConfigError(f"{type(self).__name__}: {name} is {value}; it must not be negative")
        self.spec, self.augment = spec, augment
        self.shift, self.gain_db = round(shift * spec.sample_rate), gain_db
        self.freq_mask, self.time_mask = freq_mask, time_mask
        self.crop: int | None = None
        if crop_seconds is not None:
            needs_positive(type(self).__name__, crop_seconds=crop_seconds)
            self.crop = max(1, round(crop_seconds * spec.sample_rate))

    def forward(self, audio: Tensor) -> Tensor:
        """``(B, samples)`` to ``(B, 1, F, T)``, in float32 also under autocast: logarithms need its precision.

        Raises:
            ShapeError: not two axes.
        """
        if audio.ndim != 2:
            raise ShapeError(f"{type(self).__name__} got audio of shape {tuple(audio.shape)}; it needs (B, samples)")
        with torch.autocast(audio.device.type, enabled=False):
            if audio.device.type != "cpu" or len(audio) <= _TOGETHER:
                return self._transform(audio)
            return torch.cat([self._transform(part) for part in torch.split(audio, _TOGETHER)])

    def _transform(self, audio: Tensor) -> Tensor:
        signal = self.prepare(wave(audio, self.window.dtype))
        varied = self.augment and self.training
        if self.crop is not None:
            signal = random.crop(signal, self.crop, random=varied)
        if not varied:
            return self.spectrum(signal)[:, None]
        signal = random.gain(random.shift(signal, self.shift), self.gain_db)
        spectrum = self.spectrum(signal)[:, None]
        return random.mask(random.mask(spectrum, 2, self.freq_mask), 3, self.time_mask)

    def prepare(self, signal: Tensor) -> Tensor:
        """The signal ``(B, samples)`` before anything random."""
        return signal

    def spectrum(self, signal: Tensor) -> Tensor:
        """``(B, samples)`` to ``(B, F, T)``."""
        raise NotImplementedError


def needs_positive(part: str, **values: float) -> None:
    """Refuse what is not above zero.

    Raises:
        ConfigError: naming the option.
    """
    for name, value in values.items():
        if value <= 0:
            raise ConfigError(f"{part}: {name} is {value}; it must be greater than 0")


def needs_rate(part: str, spec: MediaSpec, rate: int | None) -> None:
    """Refuse audio of another sample rate than the part was made for; None: any will do.

    Raises:
        ConfigError: naming the option that sets it.
    """
    if rate is not None and spec.sample_rate != rate:
        raise ConfigError(
            f"{part} is for audio at {rate} Hz, the clips have {spec.sample_rate} Hz; set media.sample_rate to {rate}"
        )


__getattr__ = former_names(__name__, {"SoundTransform": "media.transforms.audio:AudioTransform"})
