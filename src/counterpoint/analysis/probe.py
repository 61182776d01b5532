"""How much a frozen encoder knows: a linear classifier on its features (Alain & Bengio; Table 2 of MMCosine)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.analysis.best_classifier import C_GRID, best_classifier


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
    from sklearn.linear_model import LogisticRegression

    from counterpoint.metrics import mean_average_precision

    candidates = (LogisticRegression(C=strength, max_iter=500) for strength in C_GRID)
    best, best_val, x = best_classifier(
        "linear probe", candidates, features, targets, perhaps="; the training diverged"
    )
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
