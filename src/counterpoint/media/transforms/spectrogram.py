"""Log-spectrograms, with the settings of OGM-GE and of MMCosine as named presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from counterpoint.errors import ConfigError
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms.audio import AudioOptions, AudioTransform, needs_positive, needs_rate
from counterpoint.media.transforms.registry import TRANSFORMS
from counterpoint.media.transforms.stft import hann, magnitude, per_clip, power_spectrogram, tukey


@dataclass(frozen=True)
class SpectrogramPreset:
    """Settings that belong together.

    Attributes:
        n_fft: samples per frame.
        hop_length: samples from one frame to the next.
        normalize: mean 0 and deviation 1 per clip.
        density: power spectral density of detrended, Tukey-windowed frames within the signal, instead of the
            magnitude of Hann-windowed frames centred on multiples of the hop.
        tile: seconds that the clip is repeated to; None: left as it is.
        crop: seconds that are heard of it, by then; None: all.
        sample_rate: what the other numbers were chosen for; None: any.
    """

    n_fft: int = 512
    hop_length: int = 160
    normalize: bool = True
    density: bool = False
    tile: float | None = None
    crop: float | None = None
    sample_rate: int | None = None


Preset = Literal["ogm_ge", "ogm_ge_vggsound", "mmcosine"]

PRESETS: dict[Preset, SpectrogramPreset] = {
    # As released for CREMA-D: librosa's stft with hop 353, where the paper (and MMCosine) have overlap 353.
    "ogm_ge": SpectrogramPreset(hop_length=353, normalize=False, tile=3.0, sample_rate=22050),
    # As released for VGGSound; there the 5 s are drawn in the test as well.
    "ogm_ge_vggsound": SpectrogramPreset(
        n_fft=256, hop_length=128, normalize=False, tile=10.0, crop=5.0, sample_rate=16000
    ),
    # scipy.signal.spectrogram(nperseg=512, noverlap=353) with its defaults.
    "mmcosine": SpectrogramPreset(hop_length=512 - 353, density=True, tile=3.0, sample_rate=16000),
}

_RUN = 512  # samples that are copied at once


@TRANSFORMS.register("log_spectrogram")
class LogSpectrogram(AudioTransform):
    """``log(|STFT| + 1e-7)``: ``(B, samples)`` to ``(B, 1, n_fft // 2 + 1, T)``.

    Args:
        spec: shape of the clips.
        preset: ``"ogm_ge"`` (22050 Hz, 3 s: 257 x 188, as its code does for CREMA-D), ``"mmcosine"`` (16000 Hz, 3 s:
            257 x 299, normalised per clip; also what OGM-GE's paper says), ``"ogm_ge_vggsound"`` (16000 Hz, 5 s of
            10 s: 129 x 626), or None (512 samples, hop 160, normalised). The presets repeat a shorter clip, without the
            zeros that fill it up, to 3 s or 10 s.
        n_fft: takes the place of the preset's.
        hop_length: takes the place of the preset's.
        normalize: takes the place of the preset's.
        options: what is changed at random, see `AudioOptions`; `crop_seconds` takes the place of the preset's.

    Raises:
        ConfigError: an unknown preset, or one that is for another sample rate than the spec's.
    """

    def __init__(
        self,
        spec: MediaSpec,
        *,
        preset: Preset | None = None,
        n_fft: int | None = None,
        hop_length: int | None = None,
        normalize: bool | None = None,
        **options: Unpack[AudioOptions],
    ) -> None:
        chosen = SpectrogramPreset() if preset is None else PRESETS[preset]
        if options.get("crop_seconds") is None:
            options["crop_seconds"] = chosen.crop
        super().__init__(spec, **options)
        needs_rate(f"log_spectrogram preset {preset!r}", spec, chosen.sample_rate)
        given: dict[str, Any] = {"n_fft": n_fft, "hop_length": hop_length, "normalize": normalize}
        self.settings = replace(chosen, **{name: value for name, value in given.items() if value is not None})
        needs_positive("log_spectrogram", n_fft=self.settings.n_fft, hop_length=self.settings.hop_length)
        self.samples = spec.num_samples if chosen.tile is None else round(chosen.tile * spec.sample_rate)
        heard = self.samples if self.crop is None else min(self.crop, self.samples)
        if chosen.density and heard < self.settings.n_fft:
            raise ConfigError(f"log_spectrogram: n_fft {self.settings.n_fft} is longer than the clip ({heard} samples)")
        window = hann(self.settings.n_fft)
        if chosen.density:  # of one-sided spectra, in power per Hz
            window = tukey(self.settings.n_fft)
            window = window / (spec.sample_rate * window.square().sum()).sqrt()
        self.register_buffer("window", window.to(torch.get_default_dtype()), persistent=False)

    def prepare(self, signal: Tensor) -> Tensor:
        """The signal, repeated where the preset says so, within [-1, 1]."""
        if self.settings.tile is not None:
            signal = repeat_sound(signal, self.samples)
        return signal.clamp(-1, 1)

    def spectrum(self, signal: Tensor) -> Tensor:
        """``(B, samples)`` to ``(B, F, T)``."""
        settings = self.settings
        power = power_spectrogram(
            signal, self.window, settings.hop_length, center=not settings.density, detrend=settings.density
        )
        if settings.density:
            twice = torch.full_like(power[0, :, :1], 2.0)  # a one-sided spectrum stands for both sides ...
            twice[0] = 1.0  # ... but the constant part and, for even n_fft, the highest have no other side
            if settings.n_fft % 2 == 0:
                twice[-1] = 1.0
            out = (power * twice + 1e-7).log()
        else:
            out = (magnitude(power) + 1e-7).log()
        return per_clip(out) if settings.normalize else out


def repeat_sound(signal: Tensor, samples: int) -> Tensor:
    """Repeat each ``(B, n)`` signal up to ``(B, samples)``, without the exact zeros at its end, which are padding."""
    batch, n = signal.shape
    device = signal.device
    position = torch.arange(1, n + 1, device=device, dtype=torch.float32 if n < 2**24 else torch.float64)
    length = (position * signal.sign().abs()).amax(1, keepdim=True).long()  # signs: much faster than comparisons
    length = torch.where(length == 0, n, length)
    # Each signal is begun anew behind its end, so that every run of `_RUN` samples of the result stands in memory as it
    # is needed; picking runs copies them whole, many times faster than picking samples.
    again = torch.arange(_RUN, device=device)
    row = F.pad(signal, (0, _RUN)).scatter(1, length + again, signal.gather(1, again % length))
    begin = torch.arange(0, samples, _RUN, device=device) % length + torch.arange(batch, device=device)[:, None] * (
        n + _RUN
    )
    runs = row.flatten().unfold(0, _RUN, 1).index_select(0, begin.flatten())
    return runs.view(batch, -1)[:, :samples]
