"""Dropout whose random bits are cheap on CPUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.errors import ConfigError

_LEVELS = 2**16  # of the uniform number that decides over an entry


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Entries zero with probability p, the others scaled so that the expectation stays.

    On a CPU torch draws a double for every entry, one thread alone, which was a sixth of a training step of BMFN. Here
    a draw of 64 bits decides over four entries, and p is rounded to a multiple of 1 / 65536 (the scale follows it).

    Args:
        x: any shape and floating dtype.
        p: in [0, 1].
        training: False for `x` as it is.
    """
    cut = round(p * _LEVELS)
    if x.device.type != "cpu" or torch.compiler.is_compiling() or not 0 < cut < _LEVELS:
        return F.dropout(x, p, training)
    if not training:
        return x
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    levels = bits.view(torch.int16)[: x.numel()].view(x.shape)
    kept = levels >= cut - _LEVELS // 2
    return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - cut))


class Dropout(nn.Dropout):
    """`dropout` as a module.

    Args:
        p: in [0, 1].

    Raises:
        ConfigError: `p` lies outside.
    """

    def __init__(self, p: float) -> None:
        if not 0 <= p <= 1:
            raise ConfigError(f"dropout must lie between 0 and 1, got {p}")
        super().__init__(p)

    def forward(self, input: Tensor) -> Tensor:
        """Any shape to the same."""
        return dropout(input, self.p, self.training)
