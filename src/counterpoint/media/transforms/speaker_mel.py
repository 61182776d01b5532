"""The front end of voxceleb_trainer's speaker networks: pre-emphasis and HTK log-mel bands."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms.audio import AudioOptions, AudioTransform, needs_positive, needs_rate
from counterpoint.media.transforms.mel import triangles
from counterpoint.media.transforms.registry import TRANSFORMS
from counterpoint.media.transforms.stft import power_spectrogram

_RATE, _WINDOW, _HOP, _N_FFT = 16000, 400, 160, 512  # Hz and samples: 25 ms every 10 ms
_EMPHASIS = 0.97
_OFFSET = 1e-6  # added before the logarithm


@TRANSFORMS.register("speaker_mel")
class SpeakerMel(AudioTransform):
    """Log-mel bands for the encoder ``resnet_se34``: ``(B, samples)`` at 16 kHz to ``(B, 1, n_mels, T)``.

    What MMCosine's released code and the published speaker networks read: pre-emphasis 0.97, Hamming windows of 25 ms
    every 10 ms, the power spectrum in triangles of height 1 whose corners lie evenly on HTK's mel scale from 0 to
    8000 Hz, and ``log(mel + 1e-6)``. Beyond both ends the signal is mirrored. The encoder itself normalises bands.

    Args:
        spec: shape of the clips.
        n_mels: number of bands: 40 in MMCosine's released code, 64 in the published network.
        options: what is changed at random, see `AudioOptions`.

    Raises:
        ConfigError: the sound has another sample rate, or `n_mels` is below 1.
    """

    filters: Tensor

    def __init__(
        self,
        spec: MediaSpec,
        *,
        n_mels: int = 40,
        **options: Unpack[AudioOptions],
    ) -> None:
        super().__init__(spec, **options)
        needs_rate("speaker_mel", spec, _RATE)
        needs_positive("speaker_mel", n_mels=n_mels)
        dtype = torch.get_default_dtype()
        beside = (_N_FFT - _WINDOW) // 2
        window = F.pad(torch.hamming_window(_WINDOW, dtype=torch.float64), (beside, beside))
        corners = torch.linspace(0, math.log1p(_RATE / 2 / 700), n_mels + 2, dtype=torch.float64).expm1() * 700
        bins = torch.linspace(0, _RATE / 2, _N_FFT // 2 + 1, dtype=torch.float64)
        self.register_buffer("window", window.to(dtype), persistent=False)
        self.register_buffer("filters", triangles(corners, bins).to(dtype), persistent=False)

    def prepare(self, signal: Tensor) -> Tensor:
        """Pre-emphasis: each sample less 0.97 of the one before it."""
        return signal - _EMPHASIS * F.pad(signal, (1, 0), "reflect")[:, :-1]

    def spectrum(self, signal: Tensor) -> Tensor:
        """``(B, samples)`` to ``(B, n_mels, T)``."""
        signal = F.pad(signal, (_N_FFT // 2, _N_FFT // 2), "reflect")
        return (self.filters @ power_spectrogram(signal, self.window, _HOP, center=False) + _OFFSET).log()
