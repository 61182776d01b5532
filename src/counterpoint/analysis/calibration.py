"""Temperatures, and the ensemble of answers that were calibrated by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from counterpoint.errors import DataError

Array = NDArray[np.float64]

_COLDEST, _HOTTEST = 0.01, 100.0


def fit_temperature(logits: NDArray[np.floating], target: NDArray[np.integer]) -> float:
    """The temperature T at which ``softmax(logits / T)`` fits the classes best (Guo et al., ICML 2017).

    The negative log-likelihood is convex in 1/T. Answers that are all right would be sharpened without end, and those
    that say nothing flattened; T stays between 0.01 and 100.

    Args:
        logits: ``(N, C)``, of clips that the model was not trained on.
        target: classes, ``(N,)``.

    Raises:
        DataError: there is no clip.

    Example:
        >>> logits = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
        >>> round(fit_temperature(logits, np.array([0, 0, 0, 1])), 2)  # right three times of four: 4 / T = log 3
        3.64
    """
    if not len(logits):
        raise DataError("a temperature is fitted on clips, and there is none")
    values, rows = logits.astype(np.float64), np.arange(len(logits))

    def loss(log_inverse: float) -> float:
        return -float(log_softmax(values * np.exp(log_inverse), axis=1)[rows, target].mean())

    found = minimize_scalar(loss, bounds=(-np.log(_HOTTEST), -np.log(_COLDEST)), method="bounded")
    return float(np.exp(-found.x))


def average(logits: Sequence[NDArray[np.floating]], temperatures: Sequence[float]) -> Array:
    """Logarithm of the mean of calibrated probabilities: ``log mean_m softmax(z_m / T_m)``.

    Args:
        logits: of each member, ``(N, C)``.
        temperatures: of each.

    Returns:
        ``(N, C)``.
    """
    each = [log_softmax(one.astype(np.float64) / t, axis=1) for one, t in zip(logits, temperatures, strict=True)]
    joint: Array = logsumexp(each, axis=0) - np.log(len(each))
    return joint
