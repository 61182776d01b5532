"""Multi-modal factorised bilinear pooling: Eq. (2) of BMFN, without its projections, and the same folded."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import ShapeError
from counterpoint.functional.mmcosine import unit_rows
from counterpoint.functional.simam import widened

SMALLEST = 1e-12  # below it a signed square root is taken to be flat: its true slope grows without bound


def sum_pool(product: Tensor, factors: int) -> Tensor:
    """SP(f, p) of Eq. (2) of BMFN: the sum of every p neighbours.

    Args:
        product: ``(..., J p)``; the p factors of one output lie side by side.
        factors: p.

    Returns:
        ``(..., J)``.

    Raises:
        ShapeError: the last axis does not divide into groups of p.
    """
    if factors < 1 or product.shape[-1] % factors:
        raise ShapeError(f"{product.shape[-1]} channels do not divide into groups of {factors} factors")
    return torch.unflatten(product, -1, (-1, factors)).sum(-1)


def folded_sum_pool(x: Tensor, weight: Tensor, bias: Tensor | None, y: Tensor, factors: int) -> Tensor:
    """``sum_pool((W x + b) * y, p)`` without ever making ``W x``, which is p times as wide as the result.

    It is exact, as ``sum_k (W x)_jk y_jk = x . (sum_k W_jk y_jk)``: the matrix in brackets is made once for each y and
    serves all positions x that share it. Worth it where these are more than a few.

    Args:
        x: ``(..., L, D)``: L positions for each y.
        weight: W, ``(J p, D)``.
        bias: b, ``(J p,)``, or None.
        y: ``(..., J p)``, the other modality's projection.
        factors: p.

    Returns:
        ``(..., L, J)``.
    """
    grouped = torch.unflatten(y, -1, (-1, factors))
    matrix = torch.einsum("...jk,jkd->...jd", grouped, torch.unflatten(weight, 0, (-1, factors)))
    pooled = x @ matrix.transpose(-1, -2)
    return pooled if bias is None else pooled + sum_pool(y * bias, factors).unsqueeze(-2)


def power_normalise(x: Tensor) -> Tensor:
    """``sign(x) sqrt(|x|)``, then length one along the last axis: the second row of Eq. (2) of BMFN.

    A zero stays zero and receives no gradient, as do entries below 1e-12, where the slope of the root explodes.
    """
    wide = widened(x)
    root = torch.sign(wide) * wide.abs().clamp_min(SMALLEST).sqrt()
    return unit_rows(root).to(x.dtype)


def mfb(x: Tensor, y: Tensor, factors: int = 5) -> Tensor:
    """Multi-modal factorised bilinear pooling of two projected features, Eq. (2) of BMFN without dropout.

    Args:
        x: ``(..., J p)``.
        y: broadcastable to it.
        factors: p.

    Returns:
        ``(..., J)``, of length one along its last axis (or zero).
    """
    return power_normalise(sum_pool(x * y, factors))
