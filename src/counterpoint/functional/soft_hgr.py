"""Soft-HGR (Wang et al. 2019): how much the modalities' features depend on each other, without whitening them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional.precision import exact_product, widened


def soft_hgr(features: Sequence[Tensor]) -> Tensor:
    """``E[f^T g] - 1/2 tr(cov(f) cov(g))`` of features with their means taken off, summed over pairs of modalities.

    The Hirschfeld-Gebelein-Rényi maximal correlation is the greatest mean of ``f^T g`` over functions of the two
    modalities that have no mean and are white; Soft-HGR asks for no whiteness and takes off the trace instead. Greatest
    over linear maps of two vectors, it is half the sum of their squared canonical correlations: at most K / 2, where
    one says all about the other, and 0 where they are independent. SimAM² (Sec. 2.1) measures by it how correlated two
    modalities are; to train towards a value, take the distance to it for the loss.

    Expectations are means over the N samples given, divided by N - 1; under several processes gather the features
    first.

    Args:
        features: M >= 2 tensors ``(N, K)`` of one width K, N >= 2; half precisions are computed in float32, under
            autocast too.

    Returns:
        A scalar, of either sign; each pair adds K / 2 at most.

    Raises:
        ConfigError: fewer than two modalities.
        ShapeError: features that are not ``(N, K)`` of one shape, or of fewer than two samples.

    Example:
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> float(soft_hgr([x, x])), float(soft_hgr([x, -x]))
        (0.0, -4.0)
    """
    if len(features) < 2:
        raise ConfigError(f"Soft-HGR compares two modalities or more, got {len(features)}")
    for index, one in enumerate(features):
        if one.ndim != 2 or one.shape != features[0].shape or one.shape[0] < 2:
            raise ShapeError(
                f"the features of modality {index} have shape {tuple(one.shape)}, and those of modality 0 "
                f"{tuple(features[0].shape)}; Soft-HGR needs (N, K) for all, with N of 2 or more"
            )
    scale = (features[0].shape[0] - 1) ** -0.5
    centred = [(one - one.mean(0)) * scale for one in map(widened, features)]
    covariances = [exact_product(one.T, one) for one in centred]
    pairs = [
        (centred[i] * centred[j]).sum() - (covariances[i] * covariances[j]).sum() / 2
        for i, j in combinations(range(len(centred)), 2)
    ]
    return torch.stack(pairs).sum()
