"""Multi-modal factorised bilinear pooling: Eq. (2) of BMFN, without its projections, and the same folded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor

from counterpoint.errors import ShapeError
from counterpoint.functional.precision import widened

SMALLEST = 1e-12  # below it a signed square root is taken to be flat: its true slope grows without bound
CHUNK = 64  # how many folded matrices are held at a time


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
    serves all positions x that share it. Worth it where these are more than a few: with 49 positions and p = 5 it takes
    a quarter of the multiplications, with gradients a third. The matrices are made for a few y at a time, and again for
    the gradient, so that memory is that of `x` and the result. Autocast lowers it like a linear layer.

    Args:
        x: ``(..., L, D)``: L positions for each y.
        weight: W, ``(J p, D)``.
        bias: b, ``(J p,)``, or None.
        y: ``(..., J p)``, the other modality's projection.
        factors: p.

    Returns:
        ``(..., L, J)``.
    """
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind) and x.dtype != torch.float64:
        x, weight, y = (tensor.to(torch.get_autocast_dtype(kind)) for tensor in (x, weight, y))
    grouped = torch.unflatten(weight, 0, (-1, factors))
    asked = torch.unflatten(y.reshape(-1, y.shape[-1]), -1, (-1, factors))
    pooled = cast(Tensor, _FoldedPool.apply(x.reshape(-1, *x.shape[-2:]), grouped, asked))  # type: ignore[no-untyped-call]
    pooled = pooled.reshape(*x.shape[:-1], -1)
    return pooled if bias is None else pooled + sum_pool(y * bias, factors).unsqueeze(-2).to(pooled.dtype)


class _FoldedPool(torch.autograd.Function):
    """``x (N, L, D)``, ``weight (J, p, D)`` and ``y (N, J, p)`` to ``(N, L, J)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, y)
        return torch.cat([part @ _matrices(weight, by).transpose(1, 2) for part, by in _chunks(x, y)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight, y = ctx.saved_tensors
        at_x, at_weight, at_y = [], [], []
        for part, by, gradient in _chunks(x, y, gradients[0]):
            at_x.append(gradient @ _matrices(weight, by))
            at_matrices = (gradient.transpose(1, 2) @ part).transpose(0, 1).contiguous()  # read twice
            at_weight.append(widened(by.permute(1, 2, 0) @ at_matrices))
            at_y.append((at_matrices @ weight.transpose(1, 2)).transpose(0, 1))
        return torch.cat(at_x), sum(at_weight[1:], at_weight[0]).to(weight.dtype), torch.cat(at_y)


def _matrices(weight: Tensor, y: Tensor) -> Tensor:
    """``sum_k W_jk y_jk`` of each y, ``(N, J, D)``."""
    return (y.transpose(0, 1) @ weight).transpose(0, 1).contiguous()


def _chunks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    size = len(tensors[0]) if torch.compiler.is_compiling() else CHUNK
    return zip(*(torch.split(tensor, size) for tensor in tensors), strict=True)


def power_normalise(x: Tensor) -> Tensor:
    """``sign(x) sqrt(|x|)``, then length one along the last axis: the second row of Eq. (2) of BMFN.

    The square of that length is ``sum |x|``. A zero stays zero and receives no gradient, as do entries below 1e-12,
    where the slope of the root explodes.
    """
    return cast(Tensor, _PowerUnit.apply(x))  # type: ignore[no-untyped-call]


class _PowerUnit(torch.autograd.Function):
    """One pass each way over few tensors (autograd's own chain keeps six)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wide = widened(x)
        size = wide.abs()
        unit = (torch.sign(wide) * (size * _inverse_total(size)).sqrt()).to(x.dtype)
        ctx.save_for_backward(x, unit)
        return unit

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, saved = ctx.saved_tensors
        gradient, unit, size = widened(gradients[0]), widened(saved), widened(x).abs()
        along = (gradient * unit).sum(-1, keepdim=True)
        slope = torch.rsqrt(size).masked_fill(size < SMALLEST, 0.0) * (0.5 * _inverse_total(size).sqrt())
        return (torch.addcmul(gradient, unit, along, value=-1) * slope).to(x.dtype)


def _inverse_total(size: Tensor) -> Tensor:
    return 1 / size.sum(-1, keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)


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
