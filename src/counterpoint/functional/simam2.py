"""Attention of the fused signal: Eq. (5) of SimAM², Eq. (7) of SimAM² and Eq. (8) of SimAM²."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from counterpoint.errors import ConfigError
from counterpoint.functional.precision import widened
from counterpoint.functional.simam import Dims, axes, population, simam_energy
from counterpoint.functional.superposition import check_streams
from counterpoint.registry import check_choice

SIGNS = {"paper": 1.0, "opposite": -1.0}


def simam2_energy(
    streams: Sequence[Tensor],
    fused: Tensor,
    weights: Sequence[Tensor | float],
    r: Tensor | float,
    *,
    dim: Dims = -1,
    lam: float = 1e-6,
    correction: int = 0,
) -> Tensor:
    """E* of Eq. (7) of SimAM²: ``(2 - r) e_U - zeta² e_1 - (1 - zeta)² e_2``.

    By Eq. (5), e_U less the weighted energies of the modalities is the mutual energy ``2 zeta (1 - zeta) E(x_1, x_2)``
    (which that equation defines, as energies are not quadratic); Eq. (7) adds to it ``(1 - r) e_U``, so E is never
    needed alone. The energies of the modalities are taken without regularisation, that of the fused signal with `lam`.

    Args:
        streams: M >= 2 tensors of one shape, X_1 ... X_M.
        fused: U, of the same shape; of `superpose`.
        weights: M numbers or tensors that broadcast to it; zeta and 1 - zeta for two.
        r: of `zeta_spread`, in ``(0, 1)``.
        dim: axes of the population, see `simam_energy`.
        lam: lambda in e_U.
        correction: see `simam_energy`.

    Returns:
        E*, of the streams' shape; for weights that sum to one in ``(-2, 4)``.
    """
    check_streams(streams, weights)
    energy = (2 - r) * simam_energy(fused, dim=dim, lam=lam, correction=correction)
    for stream, weight in zip(streams, weights, strict=True):
        energy = energy - weight * weight * simam_energy(stream, dim=dim, lam=0.0, correction=correction)
    return energy


def simam2(
    streams: Sequence[Tensor],
    weights: Sequence[Tensor | float],
    r: Tensor | float,
    *,
    dim: Dims = -1,
    lam: float = 1e-6,
    sign: str = "paper",
    correction: int = 0,
) -> Tensor:
    """The updated fusion, Eq. (8) of SimAM²: ``sigmoid(E*) ⊙ U``.

    The value and gradients of `superpose`, `simam2_energy` and the product, but in two passes over the
    streams forward and two backward where a compiler fuses them: ``torch.compile`` whatever calls this to make it fast.

    Args:
        streams: M >= 2 tensors of one shape; maps ``(B, C, H, W)``, vectors ``(B, C)``, sequences ``(B, T, C)``.
        weights: M numbers or tensors that broadcast to it and sum to one.
        r: of `zeta_spread`; ``tanh(1)`` for constant weights.
        dim: axes of the population: ``(-2, -1)`` for maps, ``-1`` for vectors and sequences.
        lam: lambda in the fused signal's energy.
        sign: ``"paper"`` for sigmoid(E*), as printed. Low energy means an important neuron, so this damps what stands
            out; ``"opposite"`` for sigmoid(-E*), which raises it, as SimAM does.
        correction: see `simam_energy`.

    Returns:
        Ū, of the streams' shape.

    Raises:
        ConfigError: fewer than two streams, another number of weights, or an unknown `sign`.
        ShapeError: streams of different shapes, or `dim` outside them.
    """
    return simam2_with_energy(streams, weights, r, dim=dim, lam=lam, sign=sign, correction=correction)[0]


def simam2_with_energy(
    streams: Sequence[Tensor],
    weights: Sequence[Tensor | float],
    r: Tensor | float,
    *,
    dim: Dims = -1,
    lam: float = 1e-6,
    sign: str = "paper",
    correction: int = 0,
) -> tuple[Tensor, Tensor]:
    """`simam2` and the energies E* of Eq. (7) behind it; those carry no gradient."""
    check_streams(streams, weights)
    check_choice("sign", sign, SIGNS)
    if lam < 0:
        raise ConfigError(f"lam weights a penalty and must not be negative, got {lam}")
    wide = [widened(stream) for stream in streams]
    dtype = wide[0].dtype
    scales = [weight.to(dtype) if isinstance(weight, Tensor) else float(weight) for weight in weights]
    r = r.to(dtype) if isinstance(r, Tensor) else float(r)
    updated, energy = _SimAM2.apply(  # type: ignore[no-untyped-call]
        axes(dim), lam, SIGNS[sign], correction, len(wide), r, *wide, *scales
    )
    return updated.to(streams[0].dtype), energy.to(streams[0].dtype)


class _SimAM2(torch.autograd.Function):
    """Eqs. (4), (7) and (8) with a gradient derived by hand.

    With ``y = (x - mean) / sqrt(variance + lam)`` an energy is ``e = 4 p`` where ``p = 1 / (y² + 2)``, and for a
    gradient h of the loss in e, with ``b = -8 h y p²``, the gradient in x is that of a layer norm:
    ``(b - mean(b) - y mean(b y)) / sqrt(variance + lam)``. The statistics of the forward pass are kept, so that the
    backward pass needs one pass over the streams for its own sums and one to apply them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        dim: tuple[int, ...],
        lam: float,
        sign: float,
        correction: int,
        count: int,
        r: Tensor | float,
        *parts: Tensor | float,
    ) -> tuple[Tensor, Tensor]:
        streams = [part for part in parts[:count] if isinstance(part, Tensor)]
        weights = parts[count:]
        fused = _weighted_sum(streams, weights)
        statistics = [population(fused, dim, lam, correction)]
        statistics += [population(stream, dim, 0.0, correction) for stream in streams]
        energy = _energies(_standardised((fused, *streams), statistics), _factors(r, weights))[0]
        ctx.dim, ctx.lam, ctx.sign, ctx.correction = dim, lam, sign, correction
        ctx.count, ctx.divisor = count, statistics[0][2]
        ctx.numbers = [None if isinstance(value, Tensor) else value for value in (r, *weights)]
        ctx.save_for_backward(
            *streams,
            *[mean for mean, _, _ in statistics],
            *[inverse for _, inverse, _ in statistics],
            *[value for value in (r, *weights) if isinstance(value, Tensor)],
        )
        ctx.mark_non_differentiable(energy)
        return torch.sigmoid(sign * energy) * fused, energy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        gradient, count, dim = gradients[0], ctx.count, ctx.dim
        saved = ctx.saved_tensors
        streams, means = saved[:count], saved[count : 2 * count + 1]
        inverses = saved[2 * count + 1 : 3 * count + 2]
        tensors = iter(saved[3 * count + 2 :])
        r, *weights = [next(tensors) if number is None else number for number in ctx.numbers]

        fused = _weighted_sum(streams, weights)
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # the gradient will itself be differentiated
            statistics = [population(fused, dim, ctx.lam, ctx.correction)]
            statistics += [population(stream, dim, 0.0, ctx.correction) for stream in streams]
            inverses = [inverse for _, inverse, _ in statistics]
        else:
            statistics = [(mean, inverse, ctx.divisor) for mean, inverse in zip(means, inverses, strict=True)]
        ys = _standardised((fused, *streams), statistics)
        factors = _factors(r, weights)
        energy, ps = _energies(ys, factors)
        gate = torch.sigmoid(ctx.sign * energy)
        at_energy = ctx.sign * gradient * fused * gate * (1 - gate)

        def through(y: Tensor, p: Tensor, inverse: Tensor, factor: Any) -> Tensor:
            b: Tensor = (-8 * factor) * at_energy * y * p * p
            centre = b.mean(dim, keepdim=True)
            slope = (b * y).sum(dim, keepdim=True) / ctx.divisor
            at_x: Tensor = (b - centre - y * slope) * inverse
            return at_x

        at_fused = gradient * gate + through(ys[0], ps[0], inverses[0], factors[0])
        at_streams = [
            weight * at_fused + through(y, p, inverse, factor)
            for weight, y, p, inverse, factor in zip(weights, ys[1:], ps[1:], inverses[1:], factors[1:], strict=True)
        ]
        at_weights = [
            (at_fused * stream - 8 * weight * at_energy * p).sum_to_size(weight.shape)
            if isinstance(weight, Tensor) and needed
            else None
            for weight, stream, p, needed in zip(weights, streams, ps[1:], ctx.needs_input_grad[-count:], strict=True)
        ]
        at_r = None
        if isinstance(r, Tensor) and ctx.needs_input_grad[5]:
            at_r = (-4 * at_energy * ps[0]).sum_to_size(r.shape)
        return (None, None, None, None, None, at_r, *at_streams, *at_weights)


def _weighted_sum(streams: Sequence[Tensor], weights: Sequence[Any]) -> Tensor:
    total: Tensor = weights[0] * streams[0]
    for weight, stream in zip(weights[1:], streams[1:], strict=True):
        total = total + weight * stream
    return total


def _standardised(signals: Sequence[Any], statistics: Sequence[tuple[Tensor, Tensor, int]]) -> list[Tensor]:
    return [(x - mean) * inverse for x, (mean, inverse, _) in zip(signals, statistics, strict=True)]


def _factors(r: Any, weights: Sequence[Any]) -> list[Any]:
    return [2 - r, *[-(weight * weight) for weight in weights]]


def _energies(ys: Sequence[Tensor], factors: Sequence[Any]) -> tuple[Tensor, list[Tensor]]:
    """E* of Eq. (7), and p = e / 4 of each signal."""
    ps = [1 / (y * y + 2) for y in ys]
    energy: Tensor = 4 * factors[0] * ps[0]
    for factor, p in zip(factors[1:], ps[1:], strict=True):
        energy = energy + 4 * factor * p
    return energy, ps
