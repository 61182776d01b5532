"""The energy of a neuron among its neighbours: Eq. (1) of SimAM², Eq. (2) of SimAM² and Eq. (3) of SimAM².

And SimAM itself, which weighs a single modality's neurons by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional.precision import widened

Dims = int | Sequence[int]


def axes(dim: Dims) -> tuple[int, ...]:
    """The population's axes as a tuple."""
    return (dim,) if isinstance(dim, int) else tuple(dim)


def population(x: Tensor, dim: Dims, lam: float, correction: int) -> tuple[Tensor, Tensor, int]:
    """Mean, ``1 / sqrt(variance + lam)`` and divisor of the variance of each population of `x`.

    Both statistics come from one pass over the data, of deviations from the population's first member. Being a member,
    it lies within ``sqrt(n - 1)`` standard deviations of the mean (Samuelson's inequality), so that what cancels is at
    most n rounding errors of the variance, whatever the mean; and in a constant population the deviations are zero.

    A `lam` too small to hold against rounding errors is raised to those, which keeps constant populations from dividing
    zero by zero where Eq. (5) sets it to zero. Where a square overflows, the second value is zero, and so is all that
    it multiplies.
    """
    dim = axes(dim)
    size, anchor = 1, x.detach()
    for axis in dim:
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(f"dim={dim} names axes of the population, but the tensor has only {x.ndim} axes")
        size *= x.shape[axis]
        anchor = anchor.narrow(axis, 0, 1)
    divisor = max(size - correction, 1)
    deviation = x - anchor
    shift = deviation.sum(dim, keepdim=True) / size
    squares = (deviation * deviation).sum(dim, keepdim=True)
    variance = ((squares - size * shift * shift) / divisor).nan_to_num(nan=math.inf, posinf=math.inf).clamp_min(0.0)
    floor = max(lam, torch.finfo(x.dtype).eps ** 2)
    return anchor + shift, torch.rsqrt(variance + floor), divisor


def simam_energy(x: Tensor, *, dim: Dims = -1, lam: float, correction: int = 0) -> Tensor:
    """Minimal energy e* of every neuron, Eq. (3) of SimAM²; low where a neuron stands out from its population.

    Eq. (1) asks for the linear transform ``w t + b`` that tells a neuron t from the others of its population with the
    least squared error (plus ``lam w²``); Eq. (2) is that transform in closed form, and Eq. (3) the error that remains,
    with mean and variance taken over all neurons of the population, t among them.

    Args:
        x: any shape and floating dtype; half precisions are computed in float32.
        dim: axes of the population: ``(-2, -1)`` for maps ``(B, C, H, W)`` as SimAM has it, ``-1`` for vectors
            ``(B, C)`` and for sequences ``(B, T, C)``. Never the batch: a sample would depend on its neighbours.
        lam: regularisation lambda, at least 0. Too small to hold against rounding errors, it is raised to those.
        correction: 0 divides squared deviations by the size of the population (the papers' "variance calculated over
            all neurons"), 1 by one less (SimAM's released code).

    Returns:
        The energies, shaped like `x`, in ``[0, 2]``; 2 throughout where a population is constant.

    Raises:
        ConfigError: `lam` is negative.
        ShapeError: `dim` names an axis that `x` does not have.

    Example:
        >>> energy = simam_energy(torch.tensor([0.0, 0.0, 0.0, 1.0]), lam=1e-6)
        >>> bool(energy[3] < energy[0])
        True
    """
    if lam < 0:
        raise ConfigError(f"lam weights a penalty and must not be negative, got {lam}")
    wide = widened(x)
    mean, inverse, _ = population(wide, dim, lam, correction)
    # Both sides of Eq. (3) divided by variance + lam: what remains cannot overflow before the energy vanishes.
    return (4 / (((wide - mean) * inverse).square() + 2)).to(x.dtype)


def simam(x: Tensor, *, dim: Dims = (-2, -1), lam: float = 1e-4, correction: int = 1) -> Tensor:
    """SimAM (Yang et al. 2021) of one modality's maps: ``sigmoid(1 / e*) ⊙ x``, with e* of Eq. (3) of SimAM².

    Neurons that stand out from their population, whose energy is low, weigh more; no weight is below sigmoid(0.5) =
    0.62. SimAM² multiplies with sigmoid(E*) instead, an energy and not its inverse, see `simam2`.

    Args:
        x: maps ``(B, C, ...)`` of any floating dtype; half precisions are computed in float32.
        dim: axes of the population: ``(-2, -1)`` for maps ``(B, C, H, W)``, ``(-3, -2, -1)`` for clips
            ``(B, C, T, H, W)``.
        lam: regularisation lambda, at least 0; SimAM's own default.
        correction: 1 divides squared deviations by one less than the population's size, as SimAM's code does; 0 by its
            size, as Eq. (3) of SimAM² reads.

    Returns:
        Shaped like `x`.

    Raises:
        ConfigError: `lam` is negative.
        ShapeError: `dim` names an axis that `x` does not have.

    Example:
        >>> simam(torch.randn(2, 8, 7, 7)).shape
        torch.Size([2, 8, 7, 7])
    """
    if lam < 0:
        raise ConfigError(f"lam weights a penalty and must not be negative, got {lam}")
    wide = widened(x)
    mean, inverse, _ = population(wide, dim, lam, correction)
    return (wide * torch.sigmoid(((wide - mean) * inverse).square() / 4 + 0.5)).to(x.dtype)
