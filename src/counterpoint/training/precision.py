"""Number formats and memory layout: bfloat16 and channels-last where they pay."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T", Tensor, nn.Module)

DTYPES: dict[str, torch.dtype | None] = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""What autocast computes in; None: nothing is cast."""


def channels_last(part: T) -> T:
    """Convolution weights and inputs, 4-D ``(N, C, H, W)`` and 5-D ``(N, C, T, H, W)``, with channels innermost.

    Convolutions run 1.2 to 1.3 times as fast so on CPUs; shapes and values stay the same.
    """
    if isinstance(part, nn.Module):
        for parameter in part.parameters():
            parameter.data = channels_last(parameter.data)
        return part
    if part.dim() == 4:
        return part.contiguous(memory_format=torch.channels_last)
    if part.dim() == 5:
        return part.contiguous(memory_format=torch.channels_last_3d)
    return part
