import itertools
import math

import numpy as np
import pytest

from counterpoint.analysis.statistics import (
    bootstrap_interval,
    compare_paired,
    correct_holm,
    holm,
    mean_interval,
    sign_flip_p,
)


def test_interval_of_a_mean_by_hand():
    # n = 3: mean 2, s = 1, t(0.975, 2) = 4.302653: half-width 4.302653 / sqrt(3)
    estimate = mean_interval([1.0, 2.0, 3.0])
    assert estimate.mean == 2.0
    assert estimate.half_width == pytest.approx(4.30265272975 / math.sqrt(3))


def test_interval_of_five_seeds_from_the_table_of_t():
    values = [0.71, 0.74, 0.69, 0.75, 0.72]
    estimate = mean_interval(values)
    s = math.sqrt(sum((v - 0.722) ** 2 for v in values) / 4)
    assert estimate.half_width == pytest.approx(2.7764451052 * s / math.sqrt(5))  # t(0.975, 4)


def test_one_seed_has_no_interval_and_none_has_no_mean():
    assert mean_interval([0.5]).half_width is None
    assert mean_interval([0.5]).mean == 0.5
    assert mean_interval([]).mean is None
    assert mean_interval([float("nan"), 0.5]).values == (0.5,)


@pytest.mark.parametrize(
    "differences", [[0.5, -0.25, 1.0, 0.75], [1.0] * 8, [1.0, -1.0, 0.0], [0.2, 0.0, 0.0, 0.4, -0.1]]
)
def test_permutation_is_exact_for_few_clips(differences):
    observed = abs(np.mean(differences))
    signs = list(itertools.product((-1, 1), repeat=len(differences)))
    extreme = sum(abs(np.mean(np.multiply(s, differences))) >= observed - 1e-12 for s in signs)
    assert sign_flip_p(differences) == pytest.approx(extreme / len(signs))


def test_a_difference_on_a_single_clip_proves_nothing():
    assert sign_flip_p([0.0, 0.0, -0.5, 0.0]) == 1.0


def test_equal_methods_have_p_of_one_and_no_verdict():
    correct = np.tile([1, 0, 1, 1], (2, 1))
    difference = compare_paired(correct, correct)
    assert (difference.mean, difference.low, difference.high, difference.p) == (0, 0, 0, 1.0)
    assert difference.verdict == "no clear difference"
    assert difference.identical


def test_many_clips_are_close_to_mcnemar():
    # One seed: differences are +1 on b clips and -1 on c clips, so the sign-flip test is McNemar's exact test.
    from scipy.stats import binomtest

    baseline = np.zeros(300)
    baseline[:40] = 1
    method = np.zeros(300)
    method[40:102] = 1
    assert sign_flip_p(method - baseline, seed=1) == pytest.approx(binomtest(40, 102).pvalue, abs=0.01)


def test_bootstrap_of_one_seed_agrees_with_the_normal_interval():
    rng = np.random.default_rng(0)
    differences = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.6, 0.3], size=(1, 2000))
    low, high = bootstrap_interval(differences)
    error = 1.959964 * differences.std() / math.sqrt(2000)
    assert low == pytest.approx(differences.mean() - error, abs=0.002)
    assert high == pytest.approx(differences.mean() + error, abs=0.002)


def test_bootstrap_widens_when_seeds_disagree():
    agree = np.full((3, 200), 0.1)
    disagree = np.repeat([[0.4], [0.0], [-0.1]], 200, axis=1)
    assert bootstrap_interval(agree) == pytest.approx((0.1, 0.1))
    low, high = bootstrap_interval(disagree)
    assert low < 0 < high
    # All three seeds the same, the rarest draw that a 95 % interval keeps: probability 1/27 each.
    assert (low, high) == pytest.approx((-0.1, 0.4))


def test_a_lucky_seed_makes_no_verdict():
    baseline = np.zeros((3, 200))
    method = np.zeros((3, 200))
    method[0, :60] = 1
    difference = compare_paired(method, baseline)
    assert difference.p < 0.01
    assert difference.low == 0
    assert difference.verdict == "no clear difference"


def test_verdicts_of_clear_differences():
    worse, better = np.zeros((2, 100)), np.ones((2, 100))
    assert compare_paired(better, worse).verdict == "better"
    assert compare_paired(worse, better).verdict == "worse"


def test_resampling_repeats():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 3, 50))
    assert compare_paired(a, b) == compare_paired(a, b)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        compare_paired(np.zeros((2, 3)), np.zeros((2, 4)))


def test_holm_by_hand():
    # sorted 0.01, 0.03, 0.04: times 3, 2, 1 gives 0.03, 0.06, 0.04, made monotone 0.03, 0.06, 0.06
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_correction_can_take_a_verdict_away():
    baseline = np.zeros((1, 40))
    method = np.zeros((1, 40))
    method[0, :6] = 1  # p = 2 / 2**6
    difference = compare_paired(method, baseline)
    assert difference.p == pytest.approx(2 / 64)
    assert difference.verdict == "better"
    corrected = correct_holm({"a": difference, "b": difference})
    assert corrected["a"].p_holm == pytest.approx(4 / 64)
    assert corrected["a"].verdict == "no clear difference"
