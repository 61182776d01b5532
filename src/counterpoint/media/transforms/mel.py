"""Log-mel spectrograms and MFCC, on the mel scale of Slaney's Auditory Toolbox, as librosa has it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from typing_extensions import Unpack

from counterpoint.errors import ConfigError
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms.audio import AudioOptions, AudioTransform, needs_positive
from counterpoint.media.transforms.registry import TRANSFORMS
from counterpoint.media.transforms.stft import hann, per_clip, power_spectrogram

# Slaney's mel scale: linear below 1000 Hz, 15 mel there, then 27 mel per factor 6.4.
_LINEAR_STEP = 200 / 3
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _LINEAR_STEP
_LOG_STEP = math.log(6.4) / 27

# A frame of log-mel is padded with zeros to at most this multiple of its length.
_LONGEST = 8


def _to_mel(hertz: float) -> float:
    if hertz < _KNEE_HZ:
        return hertz / _LINEAR_STEP
    return _KNEE_MEL + math.log(hertz / _KNEE_HZ) / _LOG_STEP


def mel_filters(sample_rate: int, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None) -> Tensor:
    """Triangular filters of equal area, ``(n_mels, n_fft // 2 + 1)`` in float64.

    Raises:
        ConfigError: the band is empty.
    """
    top = sample_rate / 2 if fmax is None else fmax
    needs_positive("mel filters", n_fft=n_fft, n_mels=n_mels)
    if not 0 <= fmin < top <= sample_rate / 2:
        raise ConfigError(f"mel filters from {fmin} to {top} Hz; it must be 0 <= fmin < fmax <= {sample_rate / 2}")
    mels = torch.linspace(_to_mel(fmin), _to_mel(top), n_mels + 2, dtype=torch.float64)
    edges = torch.where(mels < _KNEE_MEL, mels * _LINEAR_STEP, _KNEE_HZ * torch.exp((mels - _KNEE_MEL) * _LOG_STEP))
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    return triangles(edges, bins) * 2 / (edges[2:] - edges[:-2])[:, None]


def triangles(edges: Tensor, at: Tensor) -> Tensor:
    """Triangles of height 1, each from one edge over the next to the one after: ``(K + 2,), (N,) -> (K, N)``."""
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return torch.minimum((at - low) / (middle - low), (high - at) / (high - middle)).clamp_min(0)


def _all_hear(filters: Tensor) -> bool:
    """No filter falls between two frequencies."""
    return bool(filters.any(1).all())


def _may_hear(n_mels: int, n_fft: int) -> bool:
    """Whether all could hear something: a frequency is in two bands at most. Says no before large filters are made."""
    return n_mels <= 2 * (n_fft // 2 + 1)


@TRANSFORMS.register("log_mel")
class LogMel(AudioTransform):
    """Log-mel spectrogram, 25 ms Hann windows every 10 ms: ``(B, samples)`` to ``(B, 1, n_mels, T)``.

    Args:
        spec: shape of the clips.
        n_mels: number of bands.
        window: length of a frame, seconds.
        hop: from one frame to the next, seconds.
        normalize: mean 0 and deviation 1 per clip.
        fmin: lower end of the band, Hz.
        fmax: upper end, Hz; None: half the sample rate.
        options: what is changed at random, see `AudioOptions`.
    """

    filters: Tensor

    def __init__(
        self,
        spec: MediaSpec,
        *,
        n_mels: int = 64,
        window: float = 0.025,
        hop: float = 0.01,
        normalize: bool = True,
        fmin: float = 0.0,
        fmax: float | None = None,
        **options: Unpack[AudioOptions],
    ) -> None:
        super().__init__(spec, **options)
        needs_positive("log_mel", window=window, hop=hop)
        length = max(1, round(window * spec.sample_rate))
        n_fft = 2 ** math.ceil(math.log2(length))
        too_many = f"log_mel: {n_mels} bands are too many for windows of {window} s; lower n_mels"
        if not _may_hear(n_mels, 2 * _LONGEST * length):
            raise ConfigError(too_many)
        filters = mel_filters(spec.sample_rate, n_fft, n_mels, fmin, fmax)
        while not _all_hear(filters) and n_fft < _LONGEST * length:
            n_fft *= 2  # low bands may be narrower than the frame resolves: pad it until each holds a frequency
            filters = mel_filters(spec.sample_rate, n_fft, n_mels, fmin, fmax)
        if not _all_hear(filters):
            raise ConfigError(too_many)
        self.hop_length, self.normalize = max(1, round(hop * spec.sample_rate)), normalize
        before = (n_fft - length) // 2
        padded = torch.nn.functional.pad(hann(length), (before, n_fft - length - before))
        dtype = torch.get_default_dtype()
        self.register_buffer("window", padded.to(dtype), persistent=False)
        self.register_buffer("filters", filters.to(dtype), persistent=False)

    def spectrum(self, signal: Tensor) -> Tensor:
        """``(B, samples)`` to ``(B, n_mels, T)``."""
        power = power_spectrogram(signal, self.window, self.hop_length)
        out = (self.filters @ power + 1e-6).log()
        return per_clip(out) if self.normalize else out


@TRANSFORMS.register("mfcc")
class MFCC(AudioTransform):
    """Mel-frequency cepstral coefficients as of ``librosa.feature.mfcc``: ``(B, samples)`` to ``(B, 1, n_mfcc, T)``.

    Args:
        spec: shape of the clips.
        n_mfcc: coefficients kept.
        n_fft: samples per frame.
        hop_length: samples from one frame to the next.
        n_mels: mel bands in front of the cosine transform.
        top_db: levels this far below the clip's loudest are lifted to it, dB; None: none.
        normalize: mean 0 and deviation 1 per coefficient and clip, over time (librosa does not).
        options: what is changed at random, see `AudioOptions`.
    """

    filters: Tensor
    cosines: Tensor
    constant: Tensor

    def __init__(
        self,
        spec: MediaSpec,
        *,
        n_mfcc: int = 20,
        n_fft: int = 2048,
        hop_length: int = 512,
        n_mels: int = 128,
        top_db: float | None = 80.0,
        normalize: bool = False,
        **options: Unpack[AudioOptions],
    ) -> None:
        super().__init__(spec, **options)
        needs_positive("mfcc", n_mfcc=n_mfcc, n_fft=n_fft, hop_length=hop_length)
        if n_mfcc > n_mels:
            raise ConfigError(f"mfcc: {n_mfcc} coefficients of {n_mels} mel bands; n_mfcc must not exceed n_mels")
        if top_db is not None and top_db < 0:
            raise ConfigError(f"mfcc: top_db is {top_db}; it must not be negative")
        self.hop_length, self.top_db, self.normalize = hop_length, top_db, normalize
        dtype = torch.get_default_dtype()
        self.register_buffer("window", hann(n_fft).to(dtype), persistent=False)
        filters = mel_filters(spec.sample_rate, n_fft, n_mels) if _may_hear(n_mels, n_fft) else None
        if filters is None or not _all_hear(filters):
            raise ConfigError(f"mfcc: {n_mels} mel bands are too many for n_fft {n_fft}; raise n_fft or lower n_mels")
        self.register_buffer("filters", filters.to(dtype), persistent=False)
        cosines = dct_matrix(n_mfcc, n_mels)
        self.register_buffer("cosines", cosines.to(dtype), persistent=False)
        self.register_buffer("constant", cosines.sum(1, keepdim=True).to(dtype), persistent=False)

    def spectrum(self, signal: Tensor) -> Tensor:
        """``(B, samples)`` to ``(B, n_mfcc, T)``."""
        mel = self.filters @ power_spectrogram(signal, self.window, self.hop_length)
        level = 10 * mel.clamp_min(1e-10).log10()
        if self.top_db is not None:
            level = torch.maximum(level, level.amax((1, 2), keepdim=True) - self.top_db)
        # The mean apart: summing 128 levels of -50 dB in float32 loses what the third decimal needs.
        mean = level.mean(1, keepdim=True)
        out = self.cosines @ (level - mean) + self.constant * mean
        return per_clip(out.flatten(0, 1)).view_as(out) if self.normalize else out


def dct_matrix(rows: int, length: int) -> Tensor:
    """The first rows of the orthonormal DCT-II, ``(rows, length)`` in float64."""
    k = torch.arange(rows, dtype=torch.float64)[:, None]
    n = torch.arange(length, dtype=torch.float64)
    matrix = torch.cos(math.pi * k * (2 * n + 1) / (2 * length)) * math.sqrt(2 / length)
    matrix[0] *= math.sqrt(0.5)
    return matrix
