"""How much each head of a network is to be trained: the weights of Gradient-Blending (Wang, Tran and Feiszli 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import ShapeError


def blending_weights(train: Tensor, held_out: Tensor) -> Tensor:
    """``w_k ∝ G_k / O_k²``: what a head came to know of clips it never saw, over the square of what it learnt by heart.

    Between two moments of training, ``G`` is by how much the loss on held-out clips fell, and ``O`` by how much the gap
    between it and the training loss grew. A head that came to know less on new clips (G < 0) weighs nothing; where no
    head gained, or a loss is not finite, there is nothing to choose by and all weigh the same.

    Args:
        train: each head's mean loss on training clips before and after, ``(2, K)``.
        held_out: the same on clips that are not trained on.

    Returns:
        ``(K,)`` in float64, at least 0; they sum to one.

    Raises:
        ShapeError: tensors that are not both ``(2, K)``.

    Example:
        >>> train, held_out = torch.tensor([[2.0, 2.0], [1.0, 0.5]]), torch.tensor([[2.0, 2.0], [1.5, 1.9]])
        >>> blending_weights(train, held_out).round(decimals=2)
        tensor([0.9800, 0.0200], dtype=torch.float64)
    """
    if train.ndim != 2 or train.shape[0] != 2 or train.shape != held_out.shape or not train.shape[1]:
        raise ShapeError(
            f"losses before and after are needed, (2, K) each; got {tuple(train.shape)} and {tuple(held_out.shape)}"
        )
    train, held_out = train.double(), held_out.double()
    gained = (held_out[0] - held_out[1]).clamp_min(0)
    gap = held_out - train
    overfitted = gap[1] - gap[0]
    scores = gained / overfitted.square().clamp_min(torch.finfo(torch.float64).eps)
    weights = scores / scores.sum()
    return torch.where(weights.isfinite().all(), weights, torch.full_like(weights, 1 / len(weights)))
