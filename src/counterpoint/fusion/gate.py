"""The learnable module behind zeta of Eq. (4) of SimAM²."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ZetaGate(nn.Module):
    """Superposition weights per sample and channel from the features of all modalities: ``sigmoid(MLP([x_1; x_2]))``.

    The paper says "a learnable module" and leaves it open; its Eq. (6) takes the variance of zeta over a batch, so zeta
    must differ from sample to sample. FOP, which the paper follows here, has Linear-BatchNorm-ReLU-Linear. The batch
    norm is left out: with it the weights of a sample would depend on its neighbours while training, on the batch size,
    and on how a batch is divided among processes.

    For M > 2 streams it is a softmax over streams per channel, so that the weights sum to one as for two.

    Args:
        inputs: summed width of the features.
        channels: width of the streams that are weighted.
        num_streams: M.
        hidden: width of the hidden layer; None for a single linear layer.

    Example:
        >>> zeta, rest = ZetaGate(10, 8, 2, hidden=16)([torch.ones(2, 4), torch.ones(2, 6)])
        >>> torch.allclose(zeta + rest, torch.ones(2, 8))
        True
    """

    def __init__(self, inputs: int, channels: int, num_streams: int, *, hidden: int | None) -> None:
        super().__init__()
        outputs = channels if num_streams == 2 else num_streams * channels
        self.net: nn.Module
        if hidden is None:
            self.net = nn.Linear(inputs, outputs)
        else:
            self.net = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        self.num_streams = num_streams
        self.channels = channels

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features ``(B, ..., D_m)`` to M weights ``(B, ..., channels)`` in (0, 1)."""
        scores = self.net(torch.cat(list(features), -1))
        if self.num_streams == 2:
            zeta = torch.sigmoid(scores)
            return [zeta, 1 - zeta]
        return list(scores.unflatten(-1, (self.num_streams, self.channels)).softmax(-2).unbind(-2))
