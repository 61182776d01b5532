"""What is kept of a training step, on the device: no step waits for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor


@dataclasses.dataclass
class StepRecord:
    """One training step, kept on the device until the epoch ends.

    Attributes:
        loss: scalar.
        ratio: ``(M,)`` of the balancer; None without one.
        coefficient: ``(M,)`` of the balancer; None without one.
        modalities: ``(M,)`` bool: whether something in each one's own logits is not finite; M may be 0.
        gradients: ``(P,)`` bool: whether something in each parameter's gradient is not finite.
    """

    loss: Tensor
    ratio: Tensor | None
    coefficient: Tensor | None
    modalities: Tensor
    gradients: Tensor


@torch.no_grad()
def not_finite(tensors: Sequence[Tensor | None], like: Tensor) -> Tensor:
    """For each whether something in it is not finite: then its sum is not, which is cheap.

    Args:
        tensors: None counts as finite.
        like: the result, ``(number of tensors,)`` bool, is on its device.
    """
    zero = torch.zeros((), device=like.device)
    return ~torch.stack([zero, *(zero if one is None else one.sum().float() for one in tensors)])[1:].isfinite()
