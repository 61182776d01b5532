"""Modality-wise cosine logits: Eq. (3) of MMCosine, Eq. (4) of MMCosine and Eq. (6) of MMCosine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional.precision import widened

# Vectors of lengths between these can be multiplied as they are: neither products nor squares leave float32.
_PLAIN = 1e-15, 1e18


def _inverse_norm(x: Tensor) -> Tensor:
    """``1 / ||x||`` along the last axis; 0 for a vector of zeros, or of entries too small to be squared.

    The largest entry is taken out first: squares of entries above 1e19 overflow float32.
    """
    largest = x.abs().amax(-1, keepdim=True)
    zero = largest < torch.finfo(x.dtype).tiny ** 0.5
    largest = largest.masked_fill(zero, 1.0)
    norm = torch.linalg.vector_norm(x * (1 / largest), dim=-1, keepdim=True)
    inverse: Tensor = 1 / (norm * largest).masked_fill(zero, 1.0)
    return inverse.masked_fill(zero, 0.0)


class _Unit(torch.autograd.Function):
    """Rows divided by their norm, with the three passes that the gradient needs (autograd's own chain takes eight)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wide = widened(x)
        inverse = _inverse_norm(wide)
        unit = (wide * inverse).to(x.dtype)
        ctx.save_for_backward(x, unit, inverse)
        return unit

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, unit, inverse = ctx.saved_tensors
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # the gradient will itself be differentiated
            inverse = _inverse_norm(widened(x))
        gradient, direction = widened(gradients[0]), widened(unit)
        along = (gradient * direction).sum(-1, keepdim=True)
        at_x = torch.addcmul(gradient, direction, along, value=-1) * inverse
        return cast(Tensor, at_x.to(x.dtype))


def unit_rows(x: Tensor) -> Tensor:
    """`x` with every vector along its last axis brought to length one.

    A zero vector stays zero and receives no gradient, as it has no direction; so does one without an entry above 1e-19
    (in float32). Large vectors do not overflow.

    Example:
        >>> unit_rows(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """
    return cast(Tensor, _Unit.apply(x))  # type: ignore[no-untyped-call]


class _CosineLogits(torch.autograd.Function):
    """``scale cos(theta)`` of every feature with every weight, scaled where there is least: behind the product.

    With g the gradient of the logits l, that of a feature x is ``sum_c g_c scale w_c / (|x| |w_c|) - sum_c g_c l_c x /
    |x|²``, and likewise for a weight: features and weights are passed over once, not once per step of a chain.
    """

    @staticmethod
    def forward(
        ctx: Any, feature: Tensor, weight: Tensor, for_feature: Tensor, for_weight: Tensor, scale: float
    ) -> Tensor:
        factor = (for_feature * scale) * for_weight.T
        logits = (feature @ weight.T).mul_(factor)
        ctx.save_for_backward(feature, weight, for_feature, for_weight, factor, logits)
        ctx.scale = scale
        return logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        feature, weight, for_feature, for_weight, factor, logits = ctx.saved_tensors
        (gradient,), needed = gradients, ctx.needs_input_grad
        if torch.is_grad_enabled():  # the gradient will itself be differentiated
            again = _chain(feature, weight, ctx.scale)
            wanted = [tensor for tensor, n in zip((feature, weight), needed[:2], strict=True) if n]
            found = iter(torch.autograd.grad(again, wanted, gradient, create_graph=True))
            return *(next(found) if n else None for n in needed[:2]), None, None, None
        inner, along = gradient * factor, gradient * logits
        at_feature = at_weight = None
        if needed[0]:
            share = along.sum(1, keepdim=True) * for_feature.square()
            at_feature = (inner @ weight).addcmul_(feature, share, value=-1)
        if needed[1]:
            share = along.sum(0)[:, None] * for_weight.square()
            at_weight = (inner.T @ feature).addcmul_(weight, share, value=-1)
        return at_feature, at_weight, None, None, None


def _chain(feature: Tensor, weight: Tensor, scale: float) -> Tensor:
    """Right for lengths and precisions of every kind."""
    return F.linear(unit_rows(feature) * scale, unit_rows(weight))


def _inverse_if_plain(x: Tensor) -> Tensor | None:
    """``1 / ||x||`` along the last axis, where it costs nothing to look whether all of that is in the plain range."""
    kind = x.device.type
    if kind != "cpu" or torch.compiler.is_compiling() or torch.is_autocast_enabled(kind):
        return None
    if x.dtype not in (torch.float32, torch.float64) or not x.numel():
        return None
    norm = torch.linalg.vector_norm(x.detach(), dim=-1, keepdim=True)
    least, most = norm.aminmax()
    return norm.reciprocal_() if _PLAIN[0] < least.item() and most.item() < _PLAIN[1] else None


def cosine_logits(feature: Tensor, weight: Tensor, scale: float) -> Tensor:
    """One modality's part of Eq. (3) of MMCosine: ``scale cos(theta_j)`` for every class j.

    Args:
        feature: ``(..., D)``.
        weight: ``(C, D)``.
        scale: the paper's s.

    Returns:
        ``(..., C)``, in ``[-scale, scale]``.

    Example:
        >>> cosine_logits(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), scale=10.0)
        tensor([[10.,  0.]])
    """
    if feature.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"the feature has shape {tuple(feature.shape)}, but the weight {tuple(weight.shape)} needs "
            f"(..., {weight.shape[-1]})"
        )
    rows = feature.reshape(-1, feature.shape[-1])
    for_feature = _inverse_if_plain(rows)
    for_weight = None if for_feature is None else _inverse_if_plain(weight)
    if for_weight is None:
        return _chain(feature, weight, scale)
    logits = _CosineLogits.apply(rows, weight, for_feature, for_weight, scale)  # type: ignore[no-untyped-call]
    return cast(Tensor, logits).view(*feature.shape[:-1], len(weight))


def mmcosine_logits(features: Sequence[Tensor], weights: Sequence[Tensor], scale: float) -> Tensor:
    """The joint logits in Eq. (3) of MMCosine, before the softmax: ``s (cos theta_a + cos theta_v)``; no bias.

    Eq. (6) writes the same for two modalities as ``2 s cos((theta_a + theta_v) / 2) cos((theta_a - theta_v) / 2)``:
    a logit is large only where both modalities agree on the class.

    Args:
        features: M tensors ``(..., D_m)``.
        weights: M tensors ``(C, D_m)``, one row per class.
        scale: s, above the bound of `mmcosine_scale_bound`.

    Returns:
        ``(..., C)``, in ``[-M s, M s]``.

    Raises:
        ConfigError: not as many features as weights, or none.
        ShapeError: a feature's last axis is not its weight's.

    Example:
        >>> weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> mmcosine_logits([torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 2.0]])], [weight, weight], scale=10.0)
        tensor([[10., 10.]])
    """
    if not features or len(features) != len(weights):
        raise ConfigError(f"need one weight per modality, got {len(features)} features and {len(weights)} weights")
    logits = cosine_logits(features[0], weights[0], scale)
    for feature, weight in zip(features[1:], weights[1:], strict=True):
        logits = logits + cosine_logits(feature, weight, scale)
    return logits


def mmcosine_scale_bound(num_classes: int, p: float, *, num_modalities: int = 2) -> float:
    """Lower bound of the scale s, Eq. (4) of MMCosine: ``(C - 1) / (2 (C + 1)) log((C - 1) p / (1 - p))``.

    The printed 2 is the number of modalities whose cosines are summed; for M it is M. (CosFace's derivation for two
    cosines gives C instead of C + 1 in the denominator, so the printed bound is slightly the lower of the two. The
    released code takes s = 10 for every CREMA-D model, its authors 50 for FiLM and gated fusion.)

    Args:
        num_classes: C, at least 2.
        p: expected posterior probability of the true class, in ``(1 / C, 1)``.
        num_modalities: M.

    Raises:
        ConfigError: a value outside its range.

    Example:
        >>> round(mmcosine_scale_bound(6, 0.999), 2)
        3.04
    """
    if num_classes < 2 or num_modalities < 1:
        raise ConfigError(f"the bound needs two classes and one modality, got {num_classes} and {num_modalities}")
    if not 1 / num_classes < p < 1:
        raise ConfigError(f"p must lie above chance (1 / {num_classes}) and below 1, got {p}")
    odds = math.log((num_classes - 1) * p / (1 - p))
    return (num_classes - 1) / (num_modalities * (num_classes + 1)) * odds
