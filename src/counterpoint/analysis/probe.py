"""How much a frozen encoder knows: a linear classifier on its features (Alain & Bengio; Table 2 of MMCosine)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.errors import DataError

C_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class ProbeResult:
    """What a linear probe reads out of one modality's features.

    Attributes:
        accuracy: top-1 on test, 0 to 1.
        mAP: one-vs-rest mean average precision on test, 0 to 1.
        val_accuracy: top-1 on validation of the strength that was chosen.
        C: inverse strength of the L2 penalty, chosen on validation data.
        logits: log-probabilities on test, ``(N, num_classes)``; -inf for a class without training clips.
    """

    accuracy: float
    mAP: float
    val_accuracy: float
    C: float
    logits: NDArray[np.float64]


def linear_probe(
    features: Mapping[str, NDArray[np.floating]], targets: Mapping[str, NDArray[np.integer]], num_classes: int
) -> ProbeResult:
    """Logistic regression on standardised features, fitted on train; its penalty is chosen on val, scored on test.

    Mean and spread of the standardisation come from the training split. Of penalties that are equally good on
    validation the strongest is taken.

    Args:
        features: ``"train"``, ``"val"`` and ``"test"`` -> ``(N, D)``.
        targets: the same splits -> class indices ``(N,)``.
        num_classes: C; a class without training clips scores zero.

    Raises:
        DataError: features that are not finite, or only one class in the training split.
    """
    import torch
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    from counterpoint.metrics import mean_average_precision

    for split, values in features.items():
        if not np.isfinite(values).all():
            raise DataError(f"linear probe: features of the {split} split are not finite; the training diverged")
    if len(np.unique(targets["train"])) < 2:
        raise DataError("linear probe: the training split has fewer than two classes")

    scaler = StandardScaler().fit(features["train"])
    x = {split: scaler.transform(values).astype(np.float64) for split, values in features.items()}
    best, best_val = None, -1.0
    for strength in C_GRID:
        classifier = LogisticRegression(C=strength, max_iter=500)
        # Products this small are over before threads have met, and on busy cores waiting for each other takes seconds.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)  # weak penalties on separable features never end
            classifier.fit(x["train"], targets["train"])
        val = float(classifier.score(x["val"], targets["val"]))
        if val > best_val:
            best, best_val = classifier, val
    assert best is not None
    logits = np.full((len(x["test"]), num_classes), -np.inf)
    logits[:, best.classes_] = best.predict_log_proba(x["test"])
    target = torch.from_numpy(np.asarray(targets["test"], dtype=np.int64))
    return ProbeResult(
        accuracy=float(best.score(x["test"], targets["test"])),
        mAP=float(mean_average_precision(torch.from_numpy(np.exp(logits)), target)),
        val_accuracy=best_val,
        C=float(best.C),
        logits=logits,
    )
