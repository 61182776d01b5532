"""Outer products in few dimensions: count sketches and their circular convolution (Fukui et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional.precision import widened


def count_sketch(x: Tensor, index: Tensor, sign: Tensor, size: int) -> Tensor:
    """Project `x` at random onto `size` dimensions: ``y_k`` is the sum of all ``sign_i x_i`` with ``index_i = k``.

    Args:
        x: ``(..., D)``.
        index: ``(D,)`` of whole numbers from 0 to below `size`.
        sign: ``(D,)`` of -1 and 1.
        size: d.

    Returns:
        ``(..., d)``.

    Raises:
        ShapeError: `index` or `sign` is not of the last axis' length.

    Example:
        >>> count_sketch(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 1, 0]), torch.tensor([1, 1, -1]), size=2)
        tensor([-2.,  2.])
    """
    if index.shape != x.shape[-1:] or sign.shape != x.shape[-1:]:
        raise ShapeError(
            f"a count sketch of {tuple(x.shape)} needs one index and one sign for each of the last axis, got "
            f"{tuple(index.shape)} and {tuple(sign.shape)}"
        )
    return x.new_zeros(*x.shape[:-1], size).index_add(-1, index, x * sign.to(x.dtype))


def compact_bilinear(sketches: Sequence[Tensor]) -> Tensor:
    """Circular convolution of M sketches: the count sketch of the outer product of what they are sketches of.

    An outer product's entry ``x_i y_j`` falls on dimension ``index_i + index'_j`` modulo d with the product of both
    signs; that is what convolving the sketches does, and what multiplying their Fourier transforms does in
    ``d log d`` steps.

    Args:
        sketches: M tensors ``(..., d)``; half precisions are computed in float32.

    Returns:
        ``(..., d)``, of the dtype that it was computed in.

    Raises:
        ConfigError: no sketch.
        ShapeError: sketches of different sizes.

    Example:
        >>> compact_bilinear([torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])])
        tensor([0., 1.])
    """
    if not sketches:
        raise ConfigError("compact bilinear pooling needs one sketch or more")
    sizes = [sketch.shape[-1] for sketch in sketches]
    if len(set(sizes)) > 1:
        raise ShapeError(f"sketches to be convolved must be of one size, got {sizes}")
    wide = [widened(sketch) for sketch in sketches]
    if not wide[0].numel():  # libraries of Fourier transforms refuse an empty batch
        return reduce(torch.mul, wide)
    product: Tensor = torch.fft.irfft(reduce(torch.mul, map(torch.fft.rfft, wide)), n=sizes[0])
    return product
