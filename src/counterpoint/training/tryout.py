"""What the first training step would refuse, told when the parts are made."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from counterpoint.fusion import Fusion
from counterpoint.modes import evaluating


def try_out(fusion: Fusion, loss: Callable[..., Tensor]) -> None:
    """Fuse features of two samples that are zero throughout, and judge what comes out; weights and records stay.

    Some options of parts fit by themselves, but not each other or not features ``(B, D)``: a loss of each modality's
    own logits and a fusion that has none to learn from, a population of SimAM² that takes in the batch.

    Args:
        fusion: of the model.
        loss: of ``(output, target)``.

    Raises:
        CounterpointError: what the parts say of each other.
    """
    like = next(fusion.parameters())
    features = {name: like.new_zeros(2, width) for name, width in fusion.dims.items()}
    with evaluating(fusion), torch.enable_grad():
        loss(fusion(features), torch.zeros(2, dtype=torch.long, device=like.device))
