"""Temperatures beside a search over many, and averages beside probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from counterpoint.analysis.calibration import average, fit_temperature
from counterpoint.errors import DataError


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def loss(logits, target, temperature):
    return -log_softmax(logits / temperature, axis=1)[np.arange(len(target)), target].mean()


@given(st.integers(0, 10_000), st.floats(0.2, 8.0))
def test_no_other_temperature_fits_better(seed, scale):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(30, 4)) * scale
    target = np.array([rng.choice(4, p=p) for p in softmax(logits / 2)])
    found = fit_temperature(logits, target)
    assert 0.01 <= found <= 100
    for other in np.geomspace(0.02, 50, 200):
        assert loss(logits, target, found) <= loss(logits, target, other) + 1e-6


def test_answers_that_are_all_right_or_say_nothing_have_a_temperature_all_the_same():
    target = np.arange(4)
    assert 0.01 <= fit_temperature(np.eye(4), target) < 0.1
    assert fit_temperature(-np.eye(4), target) > 50
    assert np.isfinite(fit_temperature(np.zeros((4, 4)), target))


def test_average_is_the_mean_of_calibrated_probabilities():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 6, 3)) * 30
    expected = (softmax(one / 2) + softmax(other / 0.5)) / 2
    np.testing.assert_allclose(np.exp(average([one, other], [2, 0.5])), expected, rtol=1e-12)
    assert np.isfinite(average([one * 1e3, other * 1e3], [1, 1])).all()


def test_without_clips():
    with pytest.raises(DataError, match="there is none"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, int))
