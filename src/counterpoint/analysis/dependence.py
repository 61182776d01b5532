"""How much two modalities' frozen features say about each other: Soft-HGR over linear maps, fitted and then tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from counterpoint.errors import DataError

if TYPE_CHECKING:
    from counterpoint.analysis.extract import Extraction

RIDGES = (1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3)  # of few clips with long features, only the largest keep what is there
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Dependence:
    """What a pair of linear maps finds in common between two modalities.

    Attributes:
        value: Soft-HGR on test, at most ``width / 2``; 0 for independent modalities, below 0 where what the training
            data showed does not hold.
        val_value: on validation data, of the strength that was chosen.
        ridge: that strength: the share of each modality's mean variance that is added to every direction.
        width: of the maps.
    """

    value: float
    val_value: float
    ridge: float
    width: int


def linear_dependence(
    first: Mapping[str, NDArray[np.floating]], second: Mapping[str, NDArray[np.floating]], width: int
) -> Dependence:
    """Maps that maximise Soft-HGR on train, of the ridge that is best on val, evaluated on test.

    The value of raw features depends on how long they are; that of the best maps of them does not. They have a closed
    form: with both modalities whitened, the product of the maps is the leading part of their cross-covariance.

    Args:
        first: ``"train"``, ``"val"`` and ``"test"`` -> features of one modality, ``(N, D)``.
        second: the same clips' features of another, ``(N, E)``.
        width: how many directions are compared, at least 1; no more than D or E are taken. One less than the number
            of classes holds all that the class makes the modalities have in common.

    Raises:
        DataError: features that are not finite, or fewer than two clips in a split.
    """
    for modality in (first, second):
        for split, values in modality.items():
            if len(values) < 2 or not np.isfinite(values).all():
                raise DataError(f"dependence: the {split} split needs two clips or more with finite features")
    x, y = _centred(first), _centred(second)
    width = min(width, x["train"].shape[1], y["train"].shape[1])
    best: Dependence | None = None
    left, right = _principal(x["train"]), _principal(y["train"])
    cross = x["train"].T @ y["train"] / (len(x["train"]) - 1)
    for ridge in RIDGES:
        a, b = _maps(_whitening(*left, ridge), cross, _whitening(*right, ridge), width)
        val = _value(x["val"] @ a, y["val"] @ b)
        if best is None or val > best.val_value:
            best = Dependence(_value(x["test"] @ a, y["test"] @ b), val, ridge, width)
    assert best is not None
    return best


def modality_dependence(splits: Mapping[str, Extraction], width: int | None = None) -> dict[str, Dependence]:
    """`linear_dependence` of every pair of modalities of a trained model, by its `pair_name`.

    Args:
        splits: ``"train"``, ``"val"`` and ``"test"`` -> what `extract` made.
        width: see there; None: one less than the number of classes.
    """
    from threadpoolctl import threadpool_limits

    some = splits["train"]
    width = max(some.logits.shape[1] - 1, 1) if width is None else width
    features = {m: {s: made.features[m].numpy() for s, made in splits.items()} for m in some.features}
    with threadpool_limits(1):  # as for probes: products this small are over before threads have met
        return {
            pair_name(a, b): linear_dependence(features[a], features[b], width) for a, b in combinations(features, 2)
        }


def pair_name(first: str, second: str) -> str:
    """What two modalities are called together, e.g. ``"audio x visual"``."""
    return f"{first} x {second}"


def _centred(splits: Mapping[str, NDArray[np.floating]]) -> dict[str, Array]:
    mean = splits["train"].mean(0, dtype=np.float64)
    return {split: values.astype(np.float64) - mean for split, values in splits.items()}


def _maps(left: Array, cross: Array, right: Array, width: int) -> tuple[Array, Array]:
    """``(D, width)`` and ``(E, width)``, of both whitenings and the cross-covariance ``(D, E)``."""
    u, values, vt = np.linalg.svd(left.T @ cross @ right, full_matrices=False)
    root = np.sqrt(values[:width])
    return left @ u[:, :width] * root, right @ vt[:width].T * root


def _principal(x: Array) -> tuple[Array, Array]:
    """Variances, ``(D,)``, and directions, ``(D, D)``."""
    values, vectors = np.linalg.eigh(x.T @ x / (len(x) - 1))
    return values, vectors


def _whitening(values: Array, vectors: Array, ridge: float) -> Array:
    """``(D, D)``: after it, the covariance is one (but for the ridge); 0 where nothing varies."""
    raised = values.clip(0) + ridge * values.mean()
    inverse = np.divide(1.0, np.sqrt(raised), out=np.zeros_like(raised), where=raised > 0)
    whitening: Array = vectors * inverse
    return whitening


def _value(f: Array, g: Array) -> float:
    import torch

    from counterpoint.functional import soft_hgr

    return float(soft_hgr([torch.from_numpy(f), torch.from_numpy(g)]))
