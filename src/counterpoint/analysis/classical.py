"""What does without deep learning: statistics of sound and picture, and a classifier of a few parameters on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from counterpoint.analysis.best_classifier import C_GRID, best_classifier
from counterpoint.analysis.calibration import average, fit_temperature
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import create_transform

Array = NDArray[np.float64]

KERNEL_CLIPS = 5000
"""Above so many training clips the support vector machine, whose cost grows with their square, is left out."""
_PIXELS = 16


def audio_statistics(samples: Tensor, spec: MediaSpec) -> Tensor:
    """Mean, deviation, least and greatest of 20 MFCCs, of their differences in time, and of loudness, over a clip.

    Args:
        samples: int16 ``(B, num_samples)``.
        spec: of the clips.

    Returns:
        ``(B, 164)``, float32.
    """
    mfcc = create_transform("mfcc", spec=spec, augment=False, n_mfcc=20)(samples).flatten(1, -2)  # (B, 20, T)
    frame = max(1, spec.sample_rate // 40)
    padded = F.pad(samples.float() / 32768, (0, -samples.shape[-1] % frame))
    loudness = padded.view(len(padded), -1, frame).square().mean(-1).add(1e-10).log10().mul(10).unsqueeze(1)
    return torch.cat([_over_time(x) for x in (mfcc, _differences(mfcc), loudness)], dim=1)


def visual_statistics(frames: Tensor) -> Tensor:
    """Mean and deviation over time of a picture of 16 x 16 gray pixels, and of how much each of them changes.

    Args:
        frames: uint8 ``(B, T, H, W, C)``.

    Returns:
        ``(B, 1024)``, float32.
    """
    gray = frames.float().mean(-1) / 255
    small = F.interpolate(gray, size=(_PIXELS, _PIXELS), mode="area").flatten(2).transpose(1, 2)  # (B, pixels, T)
    parts = [x for each in (small, _differences(small).abs()) for x in (each.mean(-1), each.std(-1, correction=0))]
    return torch.cat(parts, dim=1)


def _differences(x: Tensor) -> Tensor:
    return x.diff(dim=-1) if x.shape[-1] > 1 else torch.zeros_like(x)


def _over_time(x: Tensor) -> Tensor:
    return torch.cat([x.mean(-1), x.std(-1, correction=0), x.amin(-1), x.amax(-1)], dim=1)


STATISTICS: Mapping[str, Callable[[Tensor, MediaSpec], Tensor]] = {
    "audio": audio_statistics,
    "visual": lambda frames, spec: visual_statistics(frames),
}
"""Modality of decoded clips -> what a classical method sees of them."""


@dataclass(frozen=True)
class ClassicalResult:
    """A classifier chosen on validation data.

    Attributes:
        classifier: its name, ``"logistic regression"`` or ``"SVM"``.
        C: inverse strength of its L2 penalty.
        val_accuracy: top-1 on validation, 0 to 1.
        logits: split -> calibrated log-probabilities, ``(N, num_classes)``, of ``"val"`` and ``"test"``; low, but
            finite, for a class without training clips.
    """

    classifier: str
    C: float
    val_accuracy: float
    logits: Mapping[str, Array]


def fit_classical(
    features: Mapping[str, NDArray[np.floating]], targets: Mapping[str, NDArray[np.integer]], num_classes: int
) -> ClassicalResult:
    """Logistic regression and a support vector machine (RBF kernel) on standardised features; validation chooses.

    Mean and spread of the standardisation come from the training split. Of settings that are equally good on
    validation the simplest is taken: regression before the machine, a strong penalty before a weak one.

    Args:
        features: ``"train"``, ``"val"`` and ``"test"`` -> ``(N, D)``.
        targets: the same splits -> class indices ``(N,)``.
        num_classes: C.

    Raises:
        DataError: features that are not finite, only one class in the training split, or no validation clip.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    candidates: list[Any] = [LogisticRegression(C=strength, max_iter=500) for strength in C_GRID]
    if len(features["train"]) <= KERNEL_CLIPS:
        candidates += [SVC(C=strength) for strength in C_GRID[2:]]
    classifier, best_val, x = best_classifier("classical baseline", candidates, features, targets)
    name = "SVM" if isinstance(classifier, SVC) else "logistic regression"
    scores = {split: _scores(classifier, x[split], num_classes) for split in ("val", "test")}
    temperature = fit_temperature(scores["val"], targets["val"])
    logits = {split: average([values], [temperature]) for split, values in scores.items()}
    return ClassicalResult(name, float(classifier.C), best_val, logits)


def _scores(classifier: Any, x: Array, num_classes: int) -> Array:
    """How far each clip lies on each class's side, ``(N, C)``; of classes that were not trained on, farther off."""
    decision = classifier.decision_function(x)
    if decision.ndim == 1:  # of two classes: on the side of the second
        decision = np.stack([-decision / 2, decision / 2], axis=1)
    scores = np.full((len(x), num_classes), decision.min() - 10)
    scores[:, classifier.classes_] = decision
    return scores
