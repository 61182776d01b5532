import numpy as np
import pytest
import torch

from counterpoint.analysis.dependence import linear_dependence, modality_dependence
from counterpoint.analysis.extract import Extraction
from counterpoint.errors import DataError

SIZES = {"train": 600, "val": 200, "test": 200}


def made(noise, seed=0, dims=(5, 7)):
    """Two modalities that share two directions, each hidden in noise of its own."""
    rng = np.random.default_rng(seed)
    mixing = [rng.normal(size=(2, d)) for d in dims]
    splits = {}
    for split, n in SIZES.items():
        shared = rng.normal(size=(n, 2))
        splits[split] = [shared @ m + noise * rng.normal(size=(n, m.shape[1])) + 3 for m in mixing]
    return [{split: pair[k] for split, pair in splits.items()} for k in range(2)]


def test_two_shared_directions_are_found_whatever_the_scale():
    first, second = made(0.05)
    found = linear_dependence(first, second, width=2)
    assert 0.9 < found.value <= 1.1 and found.width == 2
    scaled = linear_dependence(first, {s: 1000 * v for s, v in second.items()}, width=2)
    assert scaled.value == pytest.approx(found.value)


def test_more_noise_leaves_less_in_common_and_none_leaves_nothing():
    values = [linear_dependence(*made(noise), width=2).value for noise in (0.05, 1.0, 3.0)]
    assert values == sorted(values, reverse=True)
    first, _ = made(1.0)
    _, other = made(1.0, seed=9)
    assert abs(linear_dependence(first, other, width=2).value) < 0.05


def test_on_the_training_clips_it_is_half_the_sum_of_squared_canonical_correlations():
    first, second = made(0.7)
    x, y = (m["train"] - m["train"].mean(0) for m in (first, second))
    canonical = np.linalg.svd(np.linalg.qr(x)[0].T @ np.linalg.qr(y)[0], compute_uv=False)
    same = [{"train": m["train"], "val": m["train"], "test": m["train"]} for m in (first, second)]
    found = linear_dependence(*same, width=5)
    assert found.ridge == 1e-3
    assert found.value == pytest.approx((canonical**2).sum() / 2, rel=1e-3)


def test_width_is_at_most_that_of_the_features_and_what_never_varies_adds_nothing():
    first, second = made(0.05)
    found = linear_dependence(first, {s: v[:, :1] for s, v in second.items()}, width=9)
    assert found.width == 1
    constant = {s: np.ones((n, 3)) for s, n in SIZES.items()}
    assert linear_dependence(first, constant, width=2).value == 0


def test_long_features_of_few_clips_hide_nothing_and_make_nothing_up():
    """Whitened by hardly more clips than directions, noise would count for more than all that is there."""
    rng = np.random.default_rng(0)
    sizes, dims = {"train": 100, "val": 60, "test": 400}, 80
    mixing = [rng.normal(size=(1, dims)) for _ in range(2)]
    related, unrelated = ([{}, {}] for _ in range(2))
    for split, n in sizes.items():
        shared = rng.normal(size=(n, 1))
        for k in range(2):
            noise = 2 * rng.normal(size=(n, dims))
            related[k][split], unrelated[k][split] = shared @ mixing[k] + noise, noise
    assert 0.2 < linear_dependence(*related, width=3).value < 0.6
    assert abs(linear_dependence(*unrelated, width=3).value) < 0.02


def extraction(features):
    n = len(next(iter(features.values())))
    logits = torch.zeros(n, 3)
    return Extraction((), torch.zeros(n, dtype=torch.long), features, logits, {}, {}, {}, None)


def test_every_pair_of_modalities_of_a_model():
    first, second = made(0.05)
    splits = {
        s: extraction({m: torch.from_numpy(v).float() for m, v in (("a", first[s]), ("v", second[s]), ("t", first[s]))})
        for s in SIZES
    }
    found = modality_dependence(splits)
    assert list(found) == ["a x v", "a x t", "v x t"]
    assert all(d.width == 2 for d in found.values())  # three classes
    assert found["a x v"].value == pytest.approx(linear_dependence(first, second, 2).value, rel=1e-4)
    assert found["a x t"].value == pytest.approx(1.0, rel=0.3)


def test_broken_features_are_told():
    first, second = made(0.05)
    second["test"][3, 1] = np.nan
    with pytest.raises(DataError, match="test split"):
        linear_dependence(first, second, width=2)
    first["val"] = first["val"][:1]
    with pytest.raises(DataError, match="val split"):
        linear_dependence(first, made(0.05)[1], width=2)
