"""Orthogonal projection loss, as FOP (Saeed et al. 2022) takes it: classes along axes of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import ShapeError
from counterpoint.functional.mmcosine import unit_rows
from counterpoint.functional.precision import exact_product, widened


def orthogonal_projection_loss(
    features: Tensor, target: Tensor, *, gamma: float = 0.7, keep: Tensor | None = None
) -> Tensor:
    """``(1 - mean cos of pairs of one class) + gamma mean |cos| of pairs of two classes``.

    Features of one class are to point the same way, those of two classes to stand at right angles. A batch without
    pairs of one kind has 0 for their mean.

    Args:
        features: ``(N, D)``; half precisions are computed in float32, under autocast too. One without length has a
            cosine of 0.
        target: class indices, ``(N,)``.
        gamma: what a pair of two classes counts; 0.7 in FOP's code.
        keep: which samples are compared, truth values ``(N,)``; None: all.

    Returns:
        A scalar, 0 to ``2 + gamma``.

    Raises:
        ShapeError: features and target that do not fit each other.

    Example:
        >>> right_angles = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> float(orthogonal_projection_loss(right_angles, torch.tensor([0, 0, 1])))
        0.0
    """
    keep = torch.ones_like(target, dtype=torch.bool) if keep is None else keep
    if features.ndim != 2 or target.shape != features.shape[:1] or keep.shape != target.shape:
        raise ShapeError(
            f"the orthogonal projection loss needs features (N, D), and target and keep (N,), but got "
            f"{tuple(features.shape)}, {tuple(target.shape)} and {tuple(keep.shape)}"
        )
    unit = unit_rows(torch.where(keep[:, None], widened(features), 0))
    cosine = exact_product(unit, unit.T)
    same = target[:, None] == target
    itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
    compared = keep & keep[:, None] & ~itself
    alike = (cosine * (same & compared)).sum() / (same & compared).sum().clamp_min(1)
    apart = (cosine.abs() * (~same & compared)).sum() / (~same & compared).sum().clamp_min(1)
    return 1 - alike + gamma * apart
