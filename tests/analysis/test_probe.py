import numpy as np
import pytest

from counterpoint.analysis.probe import C_GRID, linear_probe
from counterpoint.errors import DataError

SIZES = {"train": 120, "val": 60, "test": 60}


def toy(spread: float, scale: float = 1.0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    centres = 10 * np.eye(3, 8)
    targets = {s: np.arange(n) % 3 for s, n in SIZES.items()}
    features = {s: (scale * (centres[t] + spread * rng.normal(size=(len(t), 8)))) for s, t in targets.items()}
    return {s: f.astype(np.float32) for s, f in features.items()}, targets


def test_separable_features_are_read_out_whole():
    result = linear_probe(*toy(0.5), num_classes=3)
    assert result.accuracy == result.mAP == result.val_accuracy == 1.0
    strongest = min(C_GRID)
    assert strongest == result.C  # all of them are equally good


def test_scale_of_features_does_not_matter():
    assert linear_probe(*toy(8.0, 1e-4), num_classes=3).accuracy == linear_probe(*toy(8.0, 1e3), num_classes=3).accuracy


def test_noise_is_read_out_at_chance():
    features, targets = toy(0.5)
    rng = np.random.default_rng(1)
    noise = {s: rng.normal(size=f.shape) for s, f in features.items()}
    assert linear_probe(noise, targets, num_classes=3).accuracy < 0.6


def test_a_class_missing_in_training_scores_zero():
    features, targets = toy(0.5)
    seen = targets["train"] != 2
    result = linear_probe(
        {**features, "train": features["train"][seen]}, {**targets, "train": targets["train"][seen]}, num_classes=3
    )
    assert result.accuracy == pytest.approx(2 / 3)


def test_diverged_features_are_named():
    features, targets = toy(0.5)
    features["val"][0, 0] = np.nan
    with pytest.raises(DataError, match="val split are not finite"):
        linear_probe(features, targets, num_classes=3)
