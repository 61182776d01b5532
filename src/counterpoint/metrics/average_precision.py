"""Mean average precision, by ranking the positive samples alone."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterpoint.errors import ShapeError
from counterpoint.metrics.checks import check_scores

# Columns turned into rows together: as many float32 as a cache line holds.
_BLOCK = 16
# Below so many positive samples, a pass over the scores for each costs less than sorting them.
_FEW = 64


def mean_average_precision(scores: Tensor, target: Tensor) -> Tensor:
    """Mean over classes of the average precision of each class against the rest.

    The average precision of a class is the mean, over its samples, of the precision among all samples that score as
    high or higher: the step-wise area under its precision-recall curve, ties counted as one threshold (as
    scikit-learn's ``average_precision_score``). Classes that no sample has are left out of the mean. Any increasing
    change of a class's scores leaves it as it is, but a softmax is none: it mixes classes, and published figures for
    VGGSound are of softmax probabilities.

    Args:
        scores: ``(N, C)``, higher means more likely.
        target: ``(N,)`` class indices, 0 to C - 1.

    Returns:
        Scalar in 0 to 1, float64, on the CPU; NaN where a score is NaN.

    Raises:
        ShapeError: shapes that do not fit, no samples, or targets that are no indices from 0 to C - 1.

    Example:
        >>> float(mean_average_precision(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 1])))
        1.0
    """
    check_scores(scores, target)
    rows = scores.detach().to("cpu", torch.promote_types(scores.dtype, torch.float32)).numpy()
    labels = target.detach().cpu().numpy()
    classes = rows.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise ShapeError(
            f"targets run from {labels.min()} to {labels.max()}, but scores have {classes} classes (0 to {classes - 1})"
        )
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=classes)
    ends = np.cumsum(counts)
    precisions = []
    for first in range(0, classes, _BLOCK):
        columns = np.ascontiguousarray(rows[:, first : first + _BLOCK].T)
        if np.isnan(columns).any():
            return torch.tensor(torch.nan, dtype=torch.float64)
        for column, end, count in zip(columns, ends[first:], counts[first:], strict=False):
            if count:
                positive = np.sort(column[by_class[end - count : end]])
                true = count - np.searchsorted(positive, positive)
                precisions.append((true / _as_high(column, positive)).mean())
    return torch.tensor(np.mean(precisions), dtype=torch.float64)


def _as_high(column: NDArray[np.floating], positive: NDArray[np.floating]) -> NDArray[np.integer]:
    """How many of all samples score as high as each positive one."""
    if len(positive) < _FEW:
        return np.array([np.count_nonzero(row) for row in column >= positive[:, None]])
    return len(column) - np.searchsorted(np.sort(column), positive)
