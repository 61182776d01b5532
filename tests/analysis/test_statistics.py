import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from counterpoint.analysis.statistics import (
    Crossed,
    Difference,
    compare_paired,
    correct_holm,
    holm,
    mean_interval,
    pseudo_values,
)
from counterpoint.metrics import equal_error_rate, event_f1


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


# ---------------------------------------------------------------------- the model


def test_the_crossed_model_by_hand():
    # Rows' means 2 and 4, columns' 2, 3 and 4, the mean 3; rest [[.5, -.5, 0], [-.5, .5, 0]].
    table = np.array([[1.5, 1.5, 3.0], [2.5, 4.5, 5.0]])
    rest, seeds, clips = 4 * 0.25 / 2, 3 * 2.0, 2 * 2.0 / 2  # mean squares
    fitted = Crossed.of(table)
    assert fitted.mean == 3.0
    assert fitted.seeds == pytest.approx((seeds / 6, 1))
    assert fitted.units == pytest.approx(((clips - rest) / 6, 2))
    half = math.sqrt(12.7062047**2 * seeds / 6 + 4.30265273**2 * (clips - rest) / 6)
    assert fitted.interval() == pytest.approx((3 - half, 3 + half))
    assert fitted.interval(1 - fitted.p) == pytest.approx((0, 6), abs=1e-9)


def test_one_seed_is_the_paired_t_test():
    rng = np.random.default_rng(3)
    differences = rng.normal(0.1, 1, (1, 50))
    expected = stats.ttest_1samp(differences[0], 0)
    fitted = Crossed.of(differences)
    assert fitted.seeds is None
    assert fitted.p == pytest.approx(expected.pvalue)
    assert fitted.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)))


def test_without_scatter_over_clips_it_is_the_t_test_over_seeds():
    seeds = np.array([0.3, 0.1, 0.2])
    fitted = Crossed.of(np.repeat(seeds[:, None], 9, axis=1))
    expected = stats.ttest_1samp(seeds, 0)
    assert fitted.p == pytest.approx(expected.pvalue)
    assert fitted.interval() == pytest.approx(tuple(expected.confidence_interval()))


SCATTER = {"neither": (0.0, 0.0), "seeds": (0.08, 0.0), "clips": (0.0, 0.4), "both": (0.08, 0.4)}


@pytest.mark.parametrize("scatter", SCATTER)
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_intervals_cover_the_true_difference_as_often_as_they_say(scatter, seeds):
    """The former test, which permuted clips alone, had p < 0.05 in 40 % of tables of no difference where seeds scatter,
    and its p contradicted its interval in a quarter of them.
    """
    of_seeds, of_clips = SCATTER[scatter]
    if seeds == 1:
        of_seeds = 0.0  # its scatter is in no interval
    rng = np.random.default_rng([seeds, len(scatter)])
    covered = 0
    for _ in range(500):
        table = rng.normal(0.03, of_seeds, (seeds, 1)) + rng.normal(0, of_clips, (1, 100))
        low, high = Crossed.of(table + rng.normal(0, 0.4, (seeds, 100))).interval()
        covered += low <= 0.03 <= high
    assert 0.925 <= covered / 500 <= 1  # two standard errors of 500 draws are 0.02


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(("of_seeds", "of_clips"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_and_so_they_do_of_right_and_wrong(seeds, of_seeds, of_clips):
    of_seeds *= seeds > 1
    true = stats.norm.cdf(1 / math.sqrt(2 + of_seeds**2 + of_clips**2)) - stats.norm.cdf(1 / math.sqrt(2))
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(300):
        ease = rng.normal(1, 1, 80)
        method = ease + rng.normal(0, of_seeds, (seeds, 1)) + rng.normal(0, of_clips, (1, 80))
        right = [stats.norm.cdf(x) > rng.random((seeds, 80)) for x in (method, np.tile(ease, (seeds, 1)))]
        found = compare_paired(*right)
        covered += found.low <= true <= found.high
    assert 0.92 <= covered / 300 <= 1


@pytest.mark.parametrize("speakers", [4, 12])
def test_new_speakers_are_covered_where_clips_alone_would_not(speakers):
    rng = np.random.default_rng(speakers)
    by_clip, by_speaker = 0, 0
    for _ in range(300):
        groups = np.repeat(np.arange(speakers), rng.integers(10, 30, speakers))
        of_speaker = rng.normal(0, 0.15, speakers)[groups]
        table = 0.05 + of_speaker + rng.normal(0, 0.05, (3, 1)) + rng.normal(0, 0.3, (3, len(groups)))
        zero = np.zeros_like(table)
        by_clip += (d := compare_paired(table, zero)).low <= 0.05 <= d.high
        by_speaker += (d := compare_paired(table, zero, groups.astype(str))).low <= 0.05 <= d.high
    assert by_speaker / 300 > 0.92 and by_clip < by_speaker


def test_speakers_take_the_place_of_clips_and_the_mean_stays():
    rng = np.random.default_rng(0)
    table = rng.normal(0.2, 0.1, (2, 9)) + np.repeat([0.3, 0.0, -0.3], 3)
    zero, names = np.zeros_like(table), list("aaabbbccc")
    grouped, alone = compare_paired(table, zero, names), compare_paired(table, zero)
    assert (grouped.groups, alone.groups, grouped.clips) == (3, None, 9)
    assert grouped.mean == alone.mean == pytest.approx(table.mean())
    # Of equal size, groups are the columns of a smaller table.
    assert grouped.models[1] == Crossed.of(table.reshape(2, 3, 3).mean(axis=2)).__class__(
        *(pytest.approx(v) for v in vars(Crossed.of(table.reshape(2, 3, 3).mean(axis=2))).values())
    )
    assert grouped.low <= alone.low and grouped.high >= alone.high and grouped.p >= alone.p
    assert compare_paired(table, zero, list("abcdefghi")).groups is None  # a group for every clip says nothing more
    assert compare_paired(table, zero, ["a"] * 9).groups is None


# ---------------------------------------------------------------------- interval, p-value and verdict are one


def consistent(found: Difference) -> bool:
    beyond = not found.low <= 0 <= found.high
    return beyond == (found.p < 0.05) and found.low <= found.high and 0 <= found.p <= 1


def corrected(differences: list[Difference]) -> bool:
    """Whether intervals, corrected p-values and verdicts say the same of every one of several methods."""
    for found in correct_holm({str(i): d for i, d in enumerate(differences)}).values():
        differs = found.p_holm < 0.05
        if (not found.low_holm <= 0 <= found.high_holm) != differs or (
            found.verdict != "no clear difference"
        ) != differs:
            return False
        if differs and (found.mean > 0) != (found.verdict == "better"):
            return False
    return True


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 40), st.integers(0, 2**31), st.floats(0, 1), st.floats(-0.6, 0.6))
def test_they_never_contradict_each_other_for_classifiers(seeds, clips, draw, lucky, better):
    rng = np.random.default_rng(draw)
    theirs = rng.random((seeds, clips)) < 0.5
    skill = np.clip(0.5 + better + lucky * rng.normal(size=(3, seeds, 1)), 0, 1)
    speakers = rng.integers(0, 5, clips).astype(str)
    methods = [compare_paired(rng.random((seeds, clips)) < s, theirs, speakers) for s in skill]
    assert all(map(consistent, methods)) and corrected(methods)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**31), st.floats(0.3, 0.9))
def test_nor_for_localisers_whose_f1_is_no_mean_over_clips(seeds, draw, skill):
    rng = np.random.default_rng(draw)
    target = torch.from_numpy(np.sort(rng.integers(0, 4, (12, 10)), axis=1))

    def found(share):
        return torch.where(torch.from_numpy(rng.random((12, 10)) < share), target, 3)

    def table(share):
        runs = [found(share) for _ in range(seeds)]
        return [pseudo_values(lambda i, r=r: float(event_f1(r[i], target[i], 3)), 12) for r in runs]

    baseline = table(0.6)
    methods = [compare_paired(table(s), baseline) for s in (skill, 0.7)]
    assert all(map(consistent, methods)) and corrected(methods)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**31), st.floats(0, 3))
def test_nor_for_equal_error_rates_of_trials(seeds, draw, apart):
    rng = np.random.default_rng(draw)
    same = np.arange(20) % 2

    def table(distance):
        runs = [torch.from_numpy(rng.normal(same * distance)) for _ in range(seeds)]
        target = torch.from_numpy(same)
        return [pseudo_values(lambda i, r=r: float(equal_error_rate(r[i], target[i])), 20) for r in runs]

    found = compare_paired(table(apart), table(1.0))
    assert consistent(found) and corrected([found])


def test_pseudo_values_of_a_mean_are_the_clips_own():
    values = np.random.default_rng(0).random(9)
    assert pseudo_values(lambda i: values[i].mean(), 9) == pytest.approx(values)


def test_a_lucky_seed_makes_no_verdict():
    """The case of the faults: a permutation of clips called it 0.003, beside an interval that held zero."""
    baseline, method = np.zeros((3, 200)), np.zeros((3, 200))
    method[0, :60] = 1
    found = compare_paired(method, baseline)
    assert found.p > 0.3 and found.low < 0 < found.high
    assert found.verdict == "no clear difference"


def test_equal_methods_have_p_of_one_and_no_verdict():
    correct = np.tile([1, 0, 1, 1], (2, 1))
    found = compare_paired(correct, correct)
    assert (found.mean, found.p, found.verdict, found.identical) == (0, 1.0, "no clear difference", True)
    assert found.low < 0 < found.high  # four clips do not prove that there is none


def test_verdicts_of_clear_differences():
    worse, better = np.zeros((2, 100)), np.ones((2, 100))
    assert compare_paired(better, worse).verdict == "better"
    assert compare_paired(worse, better).verdict == "worse"


@pytest.mark.parametrize("clips", [1, 2, 3, 4])
def test_a_handful_of_clips_proves_nothing(clips):
    found = compare_paired(np.ones((1, clips)), np.zeros((1, clips)))
    assert found.p > 0.05 and found.low < 0


def test_many_clips_are_close_to_mcnemar():
    # One seed: +1 on b clips and -1 on c clips. McNemar's exact test of 40 against 62.
    baseline, method = np.zeros((1, 300)), np.zeros((1, 300))
    baseline[0, :40] = 1
    method[0, 40:102] = 1
    assert compare_paired(method, baseline).p == pytest.approx(stats.binomtest(40, 102).pvalue, abs=0.01)
    few = np.zeros((1, 40))
    few[0, :6] = 1
    assert compare_paired(few, np.zeros((1, 40))).p == pytest.approx(2 / 2**6, abs=0.01)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        compare_paired(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="groups has 2 entries for 3 clips"):
        compare_paired(np.zeros((2, 3)), np.zeros((2, 3)), ["a", "b"])


# ---------------------------------------------------------------------- several methods


def test_holm_by_hand():
    # sorted 0.01, 0.03, 0.04: times 3, 2, 1 gives 0.03, 0.06, 0.04, made monotone 0.03, 0.06, 0.06
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_intervals_are_at_the_level_at_which_holm_tests():
    zero, noise = np.zeros((1, 400)), np.tile([-0.4, 0.4], 200)[None]
    tables = {"far": noise + 0.3, "near": noise + 0.047, "not": noise + 0.01}
    found = correct_holm({name: compare_paired(table, zero) for name, table in tables.items()})
    p = [found[name].p for name in tables]
    assert p[0] < p[1] < 0.05 < p[2] and p[1] > 0.05 / 3  # the second passes at 0.05 / 2
    for name, tested in (("far", 3), ("near", 2), ("not", 1)):
        assert (found[name].low_holm, found[name].high_holm) == found[name].models[0].interval(1 - 0.05 / tested)


def test_correction_can_take_a_verdict_away():
    baseline, method = np.zeros((1, 40)), np.zeros((1, 40))
    method[0, :6] = 1
    difference = compare_paired(method, baseline)
    assert difference.verdict == "better" and difference.low > 0
    found = correct_holm({"a": difference, "b": difference})["a"]
    assert found.p_holm == pytest.approx(2 * difference.p)
    assert found.verdict == "no clear difference" and found.low_holm < 0 < found.high_holm
