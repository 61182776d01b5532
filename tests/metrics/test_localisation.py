"""Hand-counted examples, and a derivation by trying every matching."""

from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.metrics import event_counts, event_f1, per_class_accuracy, segment_accuracy, video_accuracy

B = 2  # background of two classes


def rows(*clips: str) -> torch.Tensor:
    """Clips as text: a and b are classes, - is background."""
    return torch.tensor([["ab-".index(letter) for letter in clip] for clip in clips])


@pytest.mark.parametrize(
    ("predicted", "target", "counts"),
    [
        (["-aaa-"], ["-aaa-"], (1, 0, 0)),
        (["-aa--"], ["-aaaa"], (1, 0, 0)),  # 2 of 4 is half: enough
        (["-aa---"], ["-aaaaa"], (0, 1, 1)),  # 2 of 5 is not
        (["-bbb-"], ["-aaa-"], (0, 1, 1)),  # the class counts
        (["-----"], ["-aaa-"], (0, 0, 1)),
        (["-aaa-"], ["-----"], (0, 1, 0)),
        (["-----"], ["-----"], (0, 0, 0)),
        (["aa-aa"], ["aaaaa"], (0, 2, 1)),  # two halves of one event: neither covers half of it
        (["a-a"], ["aaa"], (0, 2, 1)),
        (["aabb"], ["aabb"], (2, 0, 0)),  # runs that touch are two events
        (["ab"], ["aa"], (1, 1, 0)),  # a: 1 of 2
        (["--aa", "aa--"], ["--aa", "aa--"], (2, 0, 0)),  # an event ends with its clip
        (["aaaa"], ["aa" + "aa"], (1, 0, 0)),
        (["aabbaa"], ["aaaaaa"], (0, 3, 1)),
        (["aaabbb", "bb----"], ["aabbbb", "--bb--"], (2, 1, 1)),
    ],
)
def test_events_by_hand(predicted, target, counts):
    predicted, target = rows(*predicted), rows(*target)
    assert tuple(int(n) for n in event_counts(predicted, target, B)) == counts
    tp, fp, fn = counts
    expected = 2 * tp / (2 * tp + fp + fn) if sum(counts) else np.nan
    assert event_f1(predicted, target, B).item() == pytest.approx(expected, nan_ok=True)


def test_one_event_that_meets_two_finds_one():
    assert event_counts(rows("aaaa"), rows("aa-a"), B, iou=0.25) == (1, 0, 1)
    assert event_counts(rows("aa-a"), rows("aaaa"), B, iou=0.25) == (1, 1, 0)


def test_few_overlap_is_matched_as_well_as_can_be():
    # The second prediction meets both true events; the first meets one of them, and only by leaving it are both found.
    predicted, target = rows("aa-aaaaa--"), rows("-aaaa-aaaa")
    assert event_counts(predicted, target, B, iou=0.1) == (2, 0, 0)
    # By IoU the outer two pairs come last: taking the middle one first would find one event.
    predicted, target = rows("a-aaaaaa"), rows("aaaaaa-a")
    assert event_counts(predicted, target, B, iou=0.1) == (2, 0, 0)


@pytest.mark.parametrize(("iou", "found"), [(0.55, 1), (0.56, 0)])
def test_the_overlap_asked_for_is_enough(iou, found):
    assert event_counts(rows("a" * 11 + "-" * 9), rows("a" * 20), B, iou=iou).tp == found


def brute_force(predicted, target, background, iou):
    """Largest matching over all ways to match, clip by clip."""

    def events(clip):
        out, at = [], 0
        for label, run in groupby(clip):
            length = len(list(run))
            if label != background:
                out.append((label, set(range(at, at + length))))
            at += length
        return out

    def most(left, right):
        if not left:
            return 0
        (label, span), rest = left[0], left[1:]
        fitting = [k for k, (c, s) in enumerate(right) if c == label and len(s & span) / len(s | span) >= iou]
        return max([most(rest, right), *(1 + most(rest, right[:k] + right[k + 1 :]) for k in fitting)])

    tp = fp = fn = 0
    for clip, true in zip(predicted.tolist(), target.tolist(), strict=True):
        p, t = events(clip), events(true)
        found = most(p, t)
        tp, fp, fn = tp + found, fp + len(p) - found, fn + len(t) - found
    return tp, fp, fn


pairs = st.tuples(st.integers(1, 4), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.int64, shape, elements=st.integers(0, 2))] * 2)
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(pair=pairs, iou=st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.75, 1.0]), background=st.integers(0, 2))
def test_equals_trying_every_matching(pair, iou, background):
    predicted, target = map(torch.from_numpy, pair)
    assert event_counts(predicted, target, background, iou) == brute_force(*pair, background, iou)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pair=pairs)
def test_equals_numpy(pair):
    predicted, target = pair
    p, t = map(torch.from_numpy, pair)
    assert segment_accuracy(p, t).item() == pytest.approx(np.mean(predicted == target))
    expected = [np.mean(predicted[target == c] == c) if (target == c).any() else np.nan for c in range(4)]
    np.testing.assert_allclose(per_class_accuracy(p, t, 3).numpy(), expected)
    assert video_accuracy(p[:, 0], t[:, 0]).item() == pytest.approx(np.mean(predicted[:, 0] == target[:, 0]))


def test_segments_by_hand():
    predicted, target = rows("aab-", "bb--"), rows("aabb", "b-a-")
    assert segment_accuracy(predicted, target).item() == 5 / 8
    assert per_class_accuracy(predicted, target, 2).tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 2])
    assert per_class_accuracy(predicted[:1], target[:1], 2)[2].isnan()


def test_video_accuracy_takes_scores_or_classes():
    scores = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    target = torch.tensor([1, 2, 2])
    assert video_accuracy(scores, target).item() == video_accuracy(scores.argmax(1), target).item() == 2 / 3


def test_small_integers_are_enough():
    predicted, target = rows("aab-", "bb--"), rows("aabb", "b-a-")
    small = [x.to(torch.uint8) for x in (predicted, target)]
    assert event_counts(*small, B) == event_counts(predicted, target, B)
    assert per_class_accuracy(*small, 2).tolist() == per_class_accuracy(predicted, target, 2).tolist()


@pytest.mark.parametrize("metric", [segment_accuracy, lambda p, t: per_class_accuracy(p, t, 2), video_accuracy])
@pytest.mark.parametrize(
    ("predicted", "target"),
    [
        (torch.zeros(2, 3), torch.zeros(2, 3)),
        (torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, 0, dtype=torch.long)),
        (torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 4, dtype=torch.long)),
        (torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3)),
    ],
)
def test_refuses_what_does_not_fit(metric, predicted, target):
    with pytest.raises(ShapeError):
        metric(predicted, target)


@pytest.mark.parametrize("iou", [0.0, -1.0, 1.1, float("nan")])
def test_refuses_an_overlap_outside_its_range(iou):
    with pytest.raises(ConfigError, match="iou"):
        event_counts(rows("a"), rows("a"), B, iou)


@pytest.mark.parametrize("label", [-1, 3])
def test_refuses_targets_outside_the_classes(label):
    with pytest.raises(ShapeError, match="0 to 2"):
        per_class_accuracy(rows("a"), torch.tensor([[label]]), 2)
