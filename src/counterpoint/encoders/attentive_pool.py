"""Attentive pooling over time: which moments count is learnt, for each channel apart."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Pooling = Literal["sap", "asp"]
_LEAST_VARIANCE = 1e-5  # below it a square root's slope would grow without bound


class Attention(nn.Sequential):
    """A weight per channel and moment, summing to one over time: ``(B, D, T) -> (B, D, T)``.

    Args:
        channels: D.
        width: channels in between.
    """

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__(
            nn.Conv1d(channels, width, 1),
            nn.ReLU(),
            nn.BatchNorm1d(width),
            nn.Conv1d(width, channels, 1),
            nn.Softmax(2),
        )


def pooled_channels(pooling: Pooling, channels: int) -> int:
    """How many numbers `attentive_pool` gives."""
    return channels if pooling == "sap" else 2 * channels


def attentive_pool(steps: Tensor, weights: Tensor, pooling: Pooling) -> Tensor:
    """Weighted statistics over time.

    Args:
        steps: ``(B, D, T)``.
        weights: ``(B, D, T)``, summing to one over T.
        pooling: ``"sap"``: the mean; ``"asp"``: mean and standard deviation (attentive statistics pooling, Okabe et al.
            2018).

    Returns:
        ``(B, D)``, or ``(B, 2 D)``.
    """
    mean = (steps * weights).sum(2)
    if pooling == "sap":
        return mean
    variance = ((steps - mean[..., None]).square() * weights).sum(2)
    return torch.cat([mean, variance.clamp_min(_LEAST_VARIANCE).sqrt()], 1)
