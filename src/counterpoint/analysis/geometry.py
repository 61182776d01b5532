"""Where features stand to the class centres, and how long the centres are (Figs. 3 and 4 of MMCosine)."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import ShapeError


def weight_norms(weights: Tensor) -> Tensor:
    """Length of each class's weight vector: ``(C, D)`` to ``(C,)`` (Fig. 3, c-d, of MMCosine)."""
    norms: Tensor = torch.linalg.vector_norm(weights.double(), dim=1)
    return norms


def angles(features: Tensor, weights: Tensor, target: Tensor) -> Tensor:
    """Angle between each feature and the weight vector of its true class, in degrees (Fig. 4 of MMCosine).

    Args:
        features: ``(N, D)``.
        weights: ``(C, D)``; the class centres of this modality.
        target: class indices, ``(N,)``.

    Returns:
        ``(N,)``, 0 to 180; NaN where a feature or a centre has no length, for then it has no direction.

    Raises:
        ShapeError: features and weights differ in their last axis.
    """
    if features.ndim != 2 or weights.ndim != 2 or features.shape[1] != weights.shape[1]:
        raise ShapeError(
            f"angles: features have shape {tuple(features.shape)} and weights {tuple(weights.shape)}; "
            "they must be (N, D) and (C, D) with the same D"
        )
    x, w = features.double(), weights.double()[target]
    lengths = torch.linalg.vector_norm(x, dim=1) * torch.linalg.vector_norm(w, dim=1)
    cosine = (x * w).sum(dim=1) / lengths  # 0 / 0 is NaN, as promised
    return torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
