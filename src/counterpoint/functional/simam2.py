"""Attention of the fused signal: Eq. (5) of SimAM², Eq. (7) of SimAM² and Eq. (8) of SimAM²."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from counterpoint.errors import ConfigError
from counterpoint.functional._simam2_kernel import simam2_gradients
from counterpoint.functional.precision import widened
from counterpoint.functional.simam import Dims, axes, simam_energy
from counterpoint.functional.superposition import check_streams, superpose
from counterpoint.registry import check_choices

Sign = Literal["paper", "opposite"]
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

    Example:
        >>> x, y = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0])
        >>> simam2_energy([x, y], (x + y) / 2, [0.5, 0.5], r=0.76).shape
        torch.Size([3])
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
    sign: Sign = "paper",
    correction: int = 0,
) -> Tensor:
    """The updated fusion, Eq. (8) of SimAM²: ``sigmoid(E*) ⊙ U``.

    Its value is that of `superpose`, `simam2_energy` and their product. Its gradient is derived by hand, see
    `_simam2_kernel`: the same to rounding, of an eighth of the memory. ``torch.compile`` whatever calls this: fused, it
    is several times as fast.

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

    Example:
        >>> x, y = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0])
        >>> simam2([x, y], [0.5, 0.5], r=0.76).shape
        torch.Size([3])
    """
    return simam2_with_energy(streams, weights, r, dim=dim, lam=lam, sign=sign, correction=correction)[0]


@check_choices
def simam2_with_energy(
    streams: Sequence[Tensor],
    weights: Sequence[Tensor | float],
    r: Tensor | float,
    *,
    dim: Dims = -1,
    lam: float = 1e-6,
    sign: Sign = "paper",
    correction: int = 0,
) -> tuple[Tensor, Tensor]:
    """`simam2` and the energies E* of Eq. (7) behind it; those carry no gradient.

    Example:
        >>> x, y = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0])
        >>> fused, energy = simam2_with_energy([x, y], [0.5, 0.5], r=0.76)
        >>> energy.requires_grad
        False
    """
    check_streams(streams, weights)
    if lam < 0:
        raise ConfigError(f"lam weights a penalty and must not be negative, got {lam}")
    wide = [widened(stream) for stream in streams]
    dtype = wide[0].dtype
    scales = [weight.to(dtype) if isinstance(weight, Tensor) else float(weight) for weight in weights]
    r = r.to(dtype) if isinstance(r, Tensor) else float(r)
    options = axes(dim), lam, SIGNS[sign], correction
    tensors = [value for value in (r, *wide, *scales) if isinstance(value, Tensor)]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        updated, energy = _WithGradient.apply(*options, len(wide), r, *wide, *scales)  # type: ignore[no-untyped-call]
    else:
        updated, energy = _equations(wide, scales, r, *options)
    return updated.to(streams[0].dtype), energy.to(streams[0].dtype)


def _equations(
    streams: Sequence[Tensor],
    weights: Sequence[Tensor | float],
    r: Tensor | float,
    dim: tuple[int, ...],
    lam: float,
    sign: float,
    correction: int,
) -> tuple[Tensor, Tensor]:
    """Eqs. (4), (7) and (8): Ū and E*."""
    fused = superpose(streams, weights)
    energy = simam2_energy(streams, fused, weights, r, dim=dim, lam=lam, correction=correction)
    return torch.sigmoid(sign * energy) * fused, energy


class _WithGradient(torch.autograd.Function):
    """The equations, with the gradient of `_simam2_kernel` in place of autograd's."""

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
        updated, energy = _equations(streams, parts[count:], r, dim, lam, sign, correction)
        ctx.options, ctx.count = (dim, lam, sign, correction), count
        ctx.numbers = [None if isinstance(value, Tensor) else value for value in (r, *parts)]
        ctx.save_for_backward(*[value for value in (r, *parts) if isinstance(value, Tensor)])
        ctx.mark_non_differentiable(energy)
        return updated, energy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        tensors = iter(ctx.saved_tensors)
        r, *parts = [next(tensors) if number is None else number for number in ctx.numbers]
        needed = ctx.needs_input_grad[5:]
        found = simam2_gradients(gradients[0], parts[: ctx.count], parts[ctx.count :], r, needed, *ctx.options)
        return (None, None, None, None, None, *found)
