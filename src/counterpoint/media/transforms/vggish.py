"""VGGish's own front end: log-mel patches of 0.96 s, as its TensorFlow code makes them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms.audio import AudioTransform, WholeClipOptions, needs_positive, needs_rate
from counterpoint.media.transforms.registry import TRANSFORMS
from counterpoint.media.transforms.stft import hann, magnitude, power_spectrogram

_RATE, _WINDOW, _HOP, _N_FFT = 16000, 400, 160, 512  # Hz and samples: 25 ms every 10 ms
_BANDS, _LOW, _HIGH = 64, 125.0, 7500.0  # Hz
_OFFSET = 0.01  # added before the logarithm
_STEPS = 96  # of a patch, 0.96 s


@TRANSFORMS.register("vggish_mel")
class VGGishMel(AudioTransform):
    """Log-mel patches for the encoder ``vggish``: ``(B, samples)`` at 16 kHz to ``(B, 1, 64, segments * P * 96)``.

    The clip is cut into equal segments, and each is read by itself, as AVE's features were made: a segment of 1 s gives
    its first 0.96 s, one of 2 s two such patches, one behind the other. A segment too short for a patch (0.975 s) gives
    the one around its middle, which reaches into its neighbours; beyond the clip there is silence. So the result falls
    into as many equal parts as the clip has segments.

    Steps begin within the segment (frames are not centred); windows are periodic Hann; of the spectrum's magnitude, 64
    triangles are taken that are linear on HTK's mel scale, from 125 to 7500 Hz; then ``log(mel + 0.01)``.

    Args:
        spec: shape of the clips.
        segments: into how many equal parts the clip is cut.
        options: what is changed at random, see `AudioOptions`; there is no `crop_seconds`.

    Raises:
        ConfigError: the sound has another sample rate, or `segments` is below 1.
    """

    wants = ("segments",)
    filters: Tensor

    def __init__(
        self,
        spec: MediaSpec,
        *,
        segments: int = 1,
        **options: Unpack[WholeClipOptions],
    ) -> None:
        super().__init__(spec, **options)
        needs_rate("vggish_mel", spec, _RATE)
        needs_positive("vggish_mel", segments=segments)
        self.segments = segments
        dtype = torch.get_default_dtype()
        window = F.pad(hann(_WINDOW), (0, _N_FFT - _WINDOW))
        self.register_buffer("window", window.to(dtype), persistent=False)
        self.register_buffer("filters", htk_filters(_RATE, _N_FFT, _BANDS, _LOW, _HIGH).to(dtype), persistent=False)

    def spectrum(self, signal: Tensor) -> Tensor:
        """``(B, samples)`` to ``(B, 64, segments * patches * 96)``."""
        length = signal.shape[1] / self.segments
        patches = max(1, (int(length) - _WINDOW + _HOP) // (_HOP * _STEPS))
        needed = (patches * _STEPS - 1) * _HOP + _WINDOW
        early = max(0, round((needed - length) / 2))  # before the segment's beginning
        signal = F.pad(signal, (early, needed + _N_FFT - _WINDOW))
        begins = [round(k * length) for k in range(self.segments)]
        parts = torch.stack([signal[:, at : at + needed + _N_FFT - _WINDOW] for at in begins], 1)
        mel = self.filters @ magnitude(power_spectrogram(parts, self.window, _HOP, center=False))
        return (mel + _OFFSET).log().transpose(1, 2).flatten(2)


def htk_filters(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Tensor:
    """Filters that are triangles of height 1 on HTK's mel scale, ``(n_mels, n_fft // 2 + 1)`` in float64.

    Nothing is taken of the constant part of the spectrum.
    """
    mel = _to_mel(torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64))
    low, high = _to_mel(torch.tensor([fmin, fmax], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, n_mels + 2, dtype=torch.float64)[:, None]
    filters = torch.minimum((mel - edges[:-2]) / edges.diff(dim=0)[:-1], (edges[2:] - mel) / edges.diff(dim=0)[1:])
    filters[:, 0] = 0
    return filters.clamp_min(0)


def _to_mel(hertz: Tensor) -> Tensor:
    return 1127 * (1 + hertz / 700).log()
