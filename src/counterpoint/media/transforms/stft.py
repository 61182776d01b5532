"""The short-time Fourier transform that every sound transform rests on."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def wave(audio: Tensor, dtype: torch.dtype) -> Tensor:
    """Samples as `dtype`: int16 is scaled to [-1, 1), floating point keeps its scale."""
    return audio.to(dtype) if audio.is_floating_point() else audio.to(dtype) / 32768


def hann(length: int) -> Tensor:
    """Hann window in float64, periodic as for spectral analysis."""
    return torch.hann_window(length, periodic=True, dtype=torch.float64)


def tukey(length: int, taper: float = 0.25) -> Tensor:
    """Tukey window in float64, periodic: flat but for cosine slopes over the share `taper` of it."""
    at = torch.arange(length, dtype=torch.float64)
    slope = taper * length / 2
    distance = torch.minimum(at, length - at)  # from the nearer end
    return torch.where(distance < slope, 0.5 * (1 - torch.cos(math.pi * distance / slope)), torch.ones_like(at))


def power_spectrogram(
    signal: Tensor, window: Tensor, hop_length: int, *, center: bool = True, detrend: bool = False
) -> Tensor:
    """Squared magnitude of the short-time Fourier transform.

    Args:
        signal: ``(..., samples)``.
        window: ``(n_fft,)``.
        hop_length: samples from one frame to the next.
        center: put frames around multiples of the hop, with zeros beyond both ends; else frames lie within the signal.
        detrend: take each frame's mean away before the window.

    Returns:
        ``(..., n_fft // 2 + 1, frames)``
    """
    n_fft = window.shape[0]
    if center:
        signal = F.pad(signal, (n_fft // 2, n_fft // 2))
    frames = signal.unfold(-1, n_fft, hop_length)
    if detrend:
        frames = frames - frames.mean(-1, keepdim=True)
    spectrum = torch.fft.rfft(frames * window)
    parts = torch.view_as_real(spectrum).square()
    return (parts[..., 0] + parts[..., 1]).transpose(-1, -2)  # the complex absolute value costs five times as much


def magnitude(power: Tensor) -> Tensor:
    """Square root whose gradient is finite at zero; the floor, 1e-12, is far below what any logarithm here sees."""
    return (power + 1e-24).sqrt()


def per_clip(x: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over all but the first axis; a clip that is constant becomes zero."""
    axes = tuple(range(1, x.ndim))
    x = x - x.mean(axes, keepdim=True)
    deviation = (x.square().mean(axes, keepdim=True) + 1e-12).sqrt()
    return x / deviation.clamp_min(1e-3)
