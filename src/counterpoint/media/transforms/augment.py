"""Random changes of a batch of sounds: each is drawn once per clip, for the whole batch at once."""

from __future__ import annotations

import torch
from torch import Tensor


def shift(signal: Tensor, most: int) -> Tensor:
    """Move each ``(B, samples)`` signal by up to `most` samples to either side; zeros come in."""
    if most <= 0:
        return signal
    by = torch.randint(-most, most + 1, (signal.shape[0], 1), device=signal.device)
    source = torch.arange(signal.shape[1], device=signal.device) - by
    inside = (source >= 0) & (source < signal.shape[1])
    return signal.gather(1, source.clamp(0, signal.shape[1] - 1)) * inside


def crop(signal: Tensor, length: int, *, random: bool) -> Tensor:
    """Keep `length` samples of each ``(B, samples)`` signal: from anywhere, drawn for each, or from the middle."""
    spare = signal.shape[1] - length
    if spare <= 0:
        return signal
    if not random:
        return signal.narrow(1, spare // 2, length)
    begin = torch.randint(0, spare + 1, (signal.shape[0], 1), device=signal.device)
    return signal.gather(1, begin + torch.arange(length, device=signal.device))


def gain(signal: Tensor, decibels: float) -> Tensor:
    """Make each ``(B, samples)`` signal louder or softer by up to `decibels`."""
    if decibels <= 0:
        return signal
    by = (2 * torch.rand(signal.shape[0], 1, device=signal.device, dtype=signal.dtype) - 1) * decibels
    return signal * 10 ** (by / 20)


def mask(spectrogram: Tensor, axis: int, widest: float) -> Tensor:
    """SpecAugment: set one band along `axis` of each ``(B, 1, F, T)`` to the clip's mean.

    Args:
        spectrogram: ``(B, 1, F, T)``.
        axis: 2 masks frequencies, 3 masks times.
        widest: largest width of the band as a share of the axis, 0 to 1; widths are uniform below it.
    """
    if widest <= 0:
        return spectrogram
    length = spectrogram.shape[axis]
    draw = torch.rand(2, spectrogram.shape[0], 1, device=spectrogram.device)
    width = draw[0] * widest * length
    begin = draw[1] * (length - width)
    at = torch.arange(length, device=spectrogram.device) + 0.5
    hit = (at >= begin) & (at < begin + width)  # (B, length)
    hit = hit[:, None, :, None] if axis == 2 else hit[:, None, None, :]
    return torch.where(hit, spectrogram.mean((1, 2, 3), keepdim=True), spectrogram)
