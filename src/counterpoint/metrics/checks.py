"""What every metric needs of its arguments."""

from __future__ import annotations

from torch import Tensor

from counterpoint.errors import ShapeError


def check_scores(scores: Tensor, target: Tensor) -> None:
    """Raise a ShapeError unless scores are ``(N, C)`` and targets N class indices, for N and C of 1 or more."""
    if scores.ndim != 2 or target.shape != scores.shape[:1]:
        raise ShapeError(
            f"scores must be (N, C) and targets (N,), but are {tuple(scores.shape)} and {tuple(target.shape)}"
        )
    if scores.numel() == 0:
        raise ShapeError(f"there is nothing to average over: scores are {tuple(scores.shape)}")
    if target.is_floating_point() or target.is_complex():
        raise ShapeError(f"targets must be class indices, integers, but are {target.dtype}")
