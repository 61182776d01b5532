"""From a sequence of vectors to one: what the small encoders of sound and of sight end in."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int | tuple[int, int] = 1
) -> nn.Sequential:
    """Convolution that keeps the size but for its stride (odd kernels), batch normalisation, ReLU."""
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (sides[0] // 2, sides[1] // 2)
    conv = nn.Conv2d(inputs, outputs, sides, stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class TemporalPool(nn.Module):
    """Convolutions over time, then maximum and mean over time: ``(B, inputs, T) -> (B, out_features)``.

    The convolutions see a syllable's length; the maximum keeps that a syllable was there at all, wherever in the clip,
    and the mean keeps how much of the clip was like it. Time is the second axis of a 2-D convolution, so that kernels
    have four axes as those of all other convolutions here.

    Args:
        inputs: channels that come in.
        out_features: even: half of them are maxima, half are means.
        depth: convolutions of width 3 after the one of width 1.
    """

    def __init__(self, inputs: int, out_features: int, depth: int = 2) -> None:
        super().__init__()
        width = out_features // 2
        blocks = [conv_bn_relu(width, width, (1, 3)) for _ in range(depth)]
        self.convs = nn.Sequential(conv_bn_relu(inputs, width, 1), *blocks)

    def steps(self, x: Tensor) -> Tensor:
        """What is pooled, ``(B, inputs, T) -> (B, out_features / 2, T)``."""
        out: Tensor = self.convs(x[:, :, None])[:, :, 0]
        return out

    def pool(self, steps: Tensor) -> Tensor:
        """Maximum and mean, ``(B, out_features / 2, T) -> (B, out_features)``."""
        return torch.cat([steps.amax(-1), steps.mean(-1)], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Both in turn."""
        return self.pool(self.steps(x))
