"""Which of several classifiers does best on validation clips, fitted on features that are standardised."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from counterpoint.errors import DataError

C_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse strengths of an L2 penalty, the strongest first."""


class Chosen(NamedTuple):
    """What `best_classifier` found.

    Attributes:
        classifier: scikit-learn's, fitted.
        val_accuracy: its top-1 on validation, 0 to 1.
        features: split -> standardised, ``(N, D)``.
    """

    classifier: Any
    val_accuracy: float
    features: dict[str, NDArray[np.float64]]


def best_classifier(
    what: str,
    candidates: Iterable[Any],
    features: Mapping[str, NDArray[np.floating]],
    targets: Mapping[str, NDArray[np.integer]],
    *,
    perhaps: str = "",
) -> Chosen:
    """Fit each on the training split; of those that are equally good on validation the first is taken.

    Mean and spread of the standardisation come from the training split.

    Args:
        what: whose classifiers they are, for messages.
        candidates: scikit-learn's classifiers, the simplest first; at least one.
        features: ``"train"``, ``"val"`` and whatever else -> ``(N, D)``.
        targets: ``"train"`` and ``"val"`` -> class indices ``(N,)``.
        perhaps: why features may not be finite, for the message.

    Raises:
        DataError: features that are not finite, or only one class in the training split.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    for split, values in features.items():
        if not np.isfinite(values).all():
            raise DataError(f"{what}: features of the {split} split are not finite{perhaps}")
    if len(np.unique(targets["train"])) < 2:
        raise DataError(f"{what}: the training split has fewer than two classes")
    scaler = StandardScaler().fit(features["train"])
    x = {split: scaler.transform(values).astype(np.float64) for split, values in features.items()}
    best, best_val = None, -1.0
    for classifier in candidates:
        # Products this small are over before threads have met, and on busy cores waiting for each other takes seconds.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)  # weak penalties on separable features never end
            classifier.fit(x["train"], targets["train"])
        val = float(classifier.score(x["val"], targets["val"]))
        if val > best_val:
            best, best_val = classifier, val
    assert best is not None
    return Chosen(best, best_val, x)
