"""The gradient of Eqs. (4), (7) and (8) of SimAM², derived by hand; the equations themselves stand in `simam2`.

It keeps the streams alone for the backward pass and makes the rest again: 2 tensors of a stream's size for two streams,
where autograd's chain keeps 14, and 18 to 22 with learned weights. In time it gains less than 1.5 times
(``benchmarks/simam2.py``; on two CPU cores, forward and backward, x0.9 to x1.5 eager, x0.8 to x1.4 compiled), and its
gradients differ from the chain's in the last digit (1e-7 in float32): weights that were trained with it are reproduced
with it alone, for which it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from counterpoint.functional.simam import population
from counterpoint.functional.superposition import superpose


def simam2_gradients(
    gradient: Tensor,
    streams: Sequence[Tensor],
    weights: Sequence[Any],
    r: Any,
    needed: Sequence[bool],
    dim: tuple[int, ...],
    lam: float,
    sign: float,
    correction: int,
) -> list[Tensor | None]:
    """The loss's gradients in r, in each stream and in each weight, from its gradient in Ū.

    With ``y = (x - mean) / sqrt(variance + lam)`` an energy is ``e = 4 p`` where ``p = 1 / (y² + 2)``, and for a
    gradient h of the loss in e, with ``b = -8 h y p²``, the gradient in x is that of a layer norm:
    ``(b - mean(b) - y mean(b y)) / sqrt(variance + lam)``.

    Args:
        gradient: in Ū.
        streams: X_1 ... X_M.
        weights: M numbers or tensors.
        r: number or tensor.
        needed: which gradients are wanted, of r, the streams and the weights.
        dim: see `simam2`.
        lam: see `simam2`.
        sign: 1 or -1, what the energy is multiplied by in Eq. (8).
        correction: see `simam2`.

    Returns:
        ``1 + 2 M`` gradients; None where none is wanted, or for a number.
    """
    signals = [superpose(streams, weights), *streams]
    factors = [2 - r, *[-(weight * weight) for weight in weights]]
    statistics = [population(x, dim, 0.0 if n else lam, correction) for n, x in enumerate(signals)]
    ys = [(x - mean) * inverse for x, (mean, inverse, _) in zip(signals, statistics, strict=True)]
    ps = [1 / (y * y + 2) for y in ys]
    energy = 4 * factors[0] * ps[0]
    for factor, p in zip(factors[1:], ps[1:], strict=True):
        energy = energy + 4 * factor * p
    gate = torch.sigmoid(sign * energy)
    at_energy = sign * gradient * signals[0] * gate * (1 - gate)

    def through(n: int) -> Tensor:
        _, inverse, divisor = statistics[n]
        b: Tensor = (-8 * factors[n]) * at_energy * ys[n] * ps[n] * ps[n]
        centre = b.mean(dim, keepdim=True)
        slope = (b * ys[n]).sum(dim, keepdim=True) / divisor
        return (b - centre - ys[n] * slope) * inverse

    at_fused = gradient * gate + through(0)
    at_streams = [weight * at_fused + through(n) for n, weight in enumerate(weights, 1)]
    at_weights = [
        (at_fused * stream - 8 * weight * at_energy * p).sum_to_size(weight.shape)
        if isinstance(weight, Tensor) and wanted
        else None
        for weight, stream, p, wanted in zip(weights, streams, ps[1:], needed[-len(weights) :], strict=True)
    ]
    at_r = (-4 * at_energy * ps[0]).sum_to_size(r.shape) if isinstance(r, Tensor) and needed[0] else None
    return [at_r, *at_streams, *at_weights]
