"""Mean average precision, by sorting once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from counterpoint.errors import ShapeError
from counterpoint.metrics.checks import check_scores


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
    """
    check_scores(scores, target)
    columns = scores.detach().to("cpu", torch.promote_types(scores.dtype, torch.float32)).t().contiguous().numpy()
    labels = target.detach().cpu().numpy()
    classes = scores.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise ShapeError(
            f"targets run from {labels.min()} to {labels.max()}, but scores have {classes} classes (0 to {classes - 1})"
        )
    if np.isnan(columns).any():
        return torch.tensor(torch.nan, dtype=torch.float64)
    by_class = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=classes))
    precisions = []
    for column, end, count in zip(columns, ends, np.diff(ends, prepend=0), strict=True):
        if count:
            positive = np.sort(column[by_class[end - count : end]])
            # Only how many samples score as high as a positive one is needed: sorting those that do is enough.
            rivals = np.sort(column[column >= positive[0]])
            as_high = len(rivals) - np.searchsorted(rivals, positive)
            true = count - np.searchsorted(positive, positive)
            precisions.append((true / as_high).mean())
    return torch.tensor(np.mean(precisions), dtype=torch.float64)
