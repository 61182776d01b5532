import bisect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.metrics import (
    ErrorCurve,
    VerificationMetric,
    equal_error_rate,
    error_curve,
    min_dcf,
    roc_auc,
    verification,
)
from processes import in_processes

COSTS = [(0.01, 1, 1), (0.05, 1, 1), (0.5, 1, 1), (0.01, 10, 1), (0.9, 1, 3)]


def every_threshold(scores, labels):
    """FNR and FPR with the trials of each threshold counted one by one."""
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels, bool)
    thresholds = [*sorted(set(scores.tolist())), math.inf]
    accepted = [[s >= t for s in scores] for t in thresholds[:-1]] + [[False] * len(scores)]
    fnr = np.array([np.mean([not a for a, y in zip(row, labels, strict=True) if y]) for row in accepted])
    fpr = np.array([np.mean([a for a, y in zip(row, labels, strict=True) if not y]) for row in accepted])
    return np.array(thresholds), fnr, fpr


def crossing(fnr, fpr):
    """Where two broken lines meet: of each stretch, solve for the point where both are equal."""
    for k in range(1, len(fnr)):
        a, b = fnr[k - 1] - fpr[k - 1], fnr[k] - fpr[k]
        if a <= 0 <= b:
            return fnr[k - 1] + (fnr[k] - fnr[k - 1]) * (-a / (b - a))
    raise AssertionError


def detection_cost(fnr, fpr, p, miss, alarm):
    return np.min(miss * p * fnr + alarm * (1 - p) * fpr) / min(miss * p, alarm * (1 - p))


def draw(n, levels=None, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(n, generator=generator) < 0.3
    target[:2] = torch.tensor([True, False])
    scores = torch.randn(n, generator=generator) + 1.2 * target
    return (scores if levels is None else (scores * levels).round() / levels).to(dtype), target


trials = st.lists(
    st.tuples(st.sampled_from([-math.inf, -2.5, -0.0, 0.0, 0.1, 0.2, 1e-30, 3.0, math.inf]), st.booleans()), min_size=2
).filter(lambda rows: len({label for _, label in rows}) == 2)


@given(rows=trials, costs=st.sampled_from(COSTS))
@settings(max_examples=100, deadline=None)
def test_equals_counting_at_every_threshold(rows, costs):
    scores, labels = zip(*rows, strict=True)
    curve = error_curve(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels))
    thresholds, fnr, fpr = every_threshold(scores, labels)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    np.testing.assert_allclose(curve.fnr, fnr, atol=1e-15)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-15)
    assert curve.eer().value == pytest.approx(crossing(fnr, fpr), abs=1e-12)
    p, miss, alarm = costs
    lowest = curve.min_dcf(p_target=p, c_miss=miss, c_fa=alarm)
    assert lowest.value == pytest.approx(detection_cost(fnr, fpr, *costs), abs=1e-12)
    assert detection_cost(np.array([lowest.fnr]), np.array([lowest.fpr]), *costs) == pytest.approx(lowest.value)
    pairs = [(a > b) + (a == b) / 2 for a, y in rows if y for b, z in rows if not z]
    assert curve.roc_auc() == pytest.approx(np.mean(pairs), abs=1e-12)


@pytest.mark.parametrize("levels", [None, 1, 3, 10])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_equals_scikit_learn(levels, dtype):
    scores, target = draw(700, levels, dtype=dtype)
    fpr, tpr, _ = roc_curve(target.numpy(), scores.double().numpy(), drop_intermediate=False)
    assert equal_error_rate(scores, target) == pytest.approx(crossing(1 - tpr[::-1], fpr[::-1]), abs=1e-12)
    for costs in COSTS:
        ours = min_dcf(scores, target, p_target=costs[0], c_miss=costs[1], c_fa=costs[2])
        assert ours == pytest.approx(detection_cost(1 - tpr, fpr, *costs), abs=1e-12)
    assert roc_auc(scores, target) == pytest.approx(roc_auc_score(target.numpy(), scores.double().numpy()), abs=1e-12)


def test_by_hand():
    scores = torch.tensor([0.9, 0.4, 0.5, 0.1, 0.0])
    curve = error_curve(scores, torch.tensor([1, 1, 0, 0, 0]))
    assert curve.misses.tolist() == [0, 0, 0, 1, 1, 2] and curve.false_alarms.tolist() == [3, 2, 1, 1, 0, 0]
    assert (curve.targets, curve.nontargets) == (2, 3)
    assert curve.eer().value == pytest.approx(1 / 3)  # from 0.4 to 0.5, only misses rise: FPR is 1/3 throughout
    assert curve.eer().threshold == pytest.approx(0.5)
    assert curve.roc_auc() == pytest.approx(5 / 6)
    lowest = curve.min_dcf(p_target=0.01)
    assert lowest == pytest.approx((0.5, 0.5, 0.0, 0.9))


def test_equal_scores_are_one_threshold():
    curve = error_curve(torch.zeros(4), torch.tensor([1, 0, 0, 0]))
    assert curve.thresholds.tolist() == [0, math.inf]
    assert curve.eer().value == curve.roc_auc() == 0.5
    assert curve.min_dcf().value == 1


def test_zero_has_no_sign():
    assert len(error_curve(torch.tensor([0.0, -0.0]), torch.tensor([1, 0])).thresholds) == 2


@pytest.mark.parametrize("turned", [False, True])
def test_at_its_best_and_at_its_worst(turned):
    scores, target = torch.arange(10.0), torch.arange(10) >= 4
    curve = error_curve(-scores if turned else scores, target)
    assert curve.eer().value == curve.min_dcf().value == 1 - curve.roc_auc() == float(turned)


@pytest.mark.parametrize("levels", [None, 2])
def test_the_order_of_the_trials_does_not_matter(levels):
    scores, target = draw(300, levels)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    a, b = error_curve(scores, target), error_curve(scores[order], target[order].long())
    for field in ("thresholds", "misses", "false_alarms"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


def test_two_threads_give_the_same(monkeypatch):
    scores, target = draw(5000, 100)
    alone = error_curve(scores, target)
    monkeypatch.setattr(verification, "_MANY", 10)
    np.testing.assert_array_equal(error_curve(scores, target).misses, alone.misses)


def test_only_as_many_points_as_there_are_scores():
    scores, target = draw(4000, 1)
    assert len(error_curve(scores, target).misses) == len(scores.unique()) + 1


def test_the_sum_over_many_trials_is_exact():
    half = 3_000_000
    curve = ErrorCurve(np.array([0.0, 1.0, np.inf]), np.array([0, 0, half]), np.array([half, 0, 0]))
    assert curve.roc_auc() == 1 and curve.eer().value == 0


def test_the_arguments_are_left_as_they_are():
    scores, target = draw(50)
    before = scores.clone()
    error_curve(scores.requires_grad_(), target)
    assert torch.equal(scores.detach(), before)


@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(3, 2), "must both be"),
        (torch.zeros(3), torch.zeros(2), "must both be"),
        (torch.arange(3), torch.tensor([0, 1, 1]), "floating point"),
        (torch.zeros(3), torch.tensor([0.0, 1, 1]), "bool, or integers"),
        (torch.zeros(3), torch.tensor([0, 1, 2]), "at position 2 stands 2"),
        (torch.tensor([0.0, torch.nan, torch.nan]), torch.tensor([0, 1, 1]), "2 of 3 scores are NaN, .* position 1"),
        (torch.zeros(3), torch.tensor([1, 1, 1]), "of 3 trials 3 belong together"),
        (torch.zeros(3), torch.tensor([0, 0, 0]), "of 3 trials 0 belong together"),
        (torch.zeros(0), torch.zeros(0, dtype=torch.bool), "of 0 trials"),
    ],
)
def test_refuses_what_has_no_error_rate(scores, target, message):
    with pytest.raises(ShapeError, match=message):
        error_curve(scores, target)


@pytest.mark.parametrize(
    "costs", [(0, 1, 1), (1, 1, 1), (0.1, 0, 1), (0.1, 1, -1), (0.1, math.inf, 1), (math.nan, 1, 1)]
)
def test_refuses_costs_out_of_range(costs):
    curve = error_curve(*draw(20))
    with pytest.raises(ConfigError, match="p_target must lie between"):
        curve.min_dcf(p_target=costs[0], c_miss=costs[1], c_fa=costs[2])


def test_batches_give_what_the_whole_gives():
    scores, target = draw(101)
    metric = VerificationMetric(p_target=0.05, c_miss=2)
    for _ in range(2):
        for part in torch.arange(101).split(17):
            metric.update(scores[part], target[part].long())
        curve = error_curve(scores, target)
        assert metric.compute() == {
            "eer": curve.eer().value,
            "min_dcf": curve.min_dcf(p_target=0.05, c_miss=2).value,
            "roc_auc": curve.roc_auc(),
        }
        metric.reset()
    with pytest.raises(ShapeError, match="of 0 trials"):
        metric.compute()
    with pytest.raises(ShapeError, match="labels must be 0 or 1"):
        metric.update(torch.zeros(2), torch.tensor([0, 256]))


def _shares(rank, world, sizes):
    scores, target = draw(60, 5)
    metric = VerificationMetric()
    ends = np.cumsum([0, *sizes])
    mine = slice(ends[rank], ends[rank + 1])
    if sizes[rank]:
        metric.update(scores[mine], target[mine])
    return metric.compute()


def test_processes_give_what_one_gives():
    scores, target = draw(60, 5)
    curve = error_curve(scores, target)
    expected = {"eer": curve.eer().value, "min_dcf": curve.min_dcf().value, "roc_auc": curve.roc_auc()}
    assert in_processes(3, _shares, (41, 0, 19)) == [expected] * 3


def test_the_threshold_of_the_eer_lies_on_the_nearer_side():
    scores, target = draw(200)
    point = error_curve(scores, target).eer()
    thresholds, fnr, fpr = every_threshold(scores, target)
    k = bisect.bisect_left(fnr - fpr, 0)
    nearer = min((k - 1, k), key=lambda i: abs(fnr[i] - fpr[i]))
    assert point.threshold == thresholds[nearer] and point.fnr == point.fpr == point.value
