"""Enough digits for what is small beside what it comes from: squares, and means over all pairs of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """`x` in a precision that can hold squared deviations: float32 for the half precisions, else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def exact_product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` in the precision that both have, where autocast would lower it: for losses, as torch's own."""
    kind = a.device.type
    if not torch.amp.is_autocast_available(kind):
        return a @ b
    with torch.autocast(kind, enabled=False):
        return a @ b
