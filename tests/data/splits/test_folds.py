from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data.splits.folds import consecutive, draw_fold, draw_folds
from counterpoint.errors import ConfigError, DataError

FOLDS = consecutive("abcdefgh", 2, 3)  # g and h are never tested


def clips(groups, each=3):
    return {f"{group}{k}": group for group in groups for k in range(each)}


def test_consecutive_groups():
    assert FOLDS == (("a", "b"), ("c", "d"), ("e", "f"))


@given(st.integers(0, 2), st.floats(0, 0.99), st.integers(0, 99), st.permutations("abcdefgh"))
def test_no_group_stands_on_two_sides(fold, val, seed, order):
    kinds = dict(zip("abcdefgh", "mfmfmfmf", strict=True))
    drawn = draw_fold("toy", clips(order), FOLDS, fold, strata=kinds, val=val, seed=seed)
    assert drawn.sides.keys() == clips(order).keys()
    sides = {side: {clip[0] for clip, s in drawn.sides.items() if s == side} for side in ("train", "val", "test")}
    assert sum(map(len, sides.values())) == 8  # each on one
    assert sides["test"] == set(FOLDS[fold])
    assert {kinds[group] for group in sides["train"]} == {"m", "f"}
    of_kind = Counter(kinds[group] for group in sides["val"])
    assert of_kind["m"] == of_kind["f"] == (min(2, max(1, int(3 * val + 0.5))) if val else 0)
    # neither the order of the clips nor how many a group has makes a difference
    again = draw_fold("toy", clips(sorted(order), 1), FOLDS, fold, strata=kinds, val=val, seed=seed)
    assert {clip[0]: side for clip, side in drawn.sides.items()} == {c[0]: side for c, side in again.sides.items()}


def test_what_readers_of_results_are_told():
    notes = draw_fold("toy", clips("abcdefg"), FOLDS, 1, val=0.2, group_word="speaker").notes
    assert notes[0].endswith("Fold 1 (of 3, counted from 0) tests the speakers c, d.")
    assert "held out with seed 0" in notes[1]
    assert notes[2] == "No fold tests the speakers g."
    assert notes[3] == "No speaker of the test clips is in training or validation."
    assert "Not there, and so not tested: d." in draw_fold("toy", clips("abcefg"), FOLDS, 1).notes


def test_one_of_each_kind_gives_up_balance_rather_than_validation():
    drawn = draw_fold("toy", clips("abcd"), FOLDS, 0, strata={"c": "m", "d": "f"})
    assert sorted(set(drawn.sides.values())) == ["test", "train", "val"]


@pytest.mark.parametrize(
    ("groups", "val", "side"), [("cdef", 0.1, "test"), ("ab", 0.1, "train"), ("abc", 0.1, "val"), ("a", 0, "train")]
)
def test_nobody_left(groups, val, side):
    with pytest.raises(DataError, match=rf"toy: fold 0 tests a, b; .* none is left for {side}"):
        draw_fold("toy", clips(groups), FOLDS, 0, val=val)


@pytest.mark.parametrize("fold", [-1, 3, True, 1.0, "1", None])
def test_there_is_no_such_fold(fold):
    with pytest.raises(ConfigError, match="there are 3, 0 to 2"):
        draw_fold("toy", clips("abcdef"), FOLDS, fold)


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(("folds", "val"), [(2, 0.2), (4, 0.1), (5, 0)])
def test_drawn_folds_test_each_clip_once_and_keep_groups_whole(folds, val, grouped):
    labels = {f"{speaker}{label}{k}": label for speaker in "abcdefghij" for label in "xy" for k in range(3)}
    groups = {clip: clip[0] for clip in labels} if grouped else None
    drawn = [draw_folds("toy", labels, groups, folds=folds, fold=k, val=val) for k in range(folds)]
    tested = [clip for one in drawn for clip, side in one.sides.items() if side == "test"]
    assert sorted(tested) == sorted(labels)
    for one in drawn:
        sides = {side: [c for c, s in one.sides.items() if s == side] for side in ("train", "val", "test")}
        assert len(sides["test"]) == pytest.approx(len(labels) / folds, abs=6 if grouped else 1)
        assert len(sides["val"]) == pytest.approx(val * len(labels), abs=6 if grouped else 1)
        for clips_of in sides.values():
            counts = Counter(labels[clip] for clip in clips_of)
            assert abs(counts["x"] - counts["y"]) <= (0 if grouped else 1)
        if grouped:
            speakers = {side: {clip[0] for clip in found} for side, found in sides.items()}
            assert sum(map(len, speakers.values())) == len(set().union(*speakers.values()))
    again = draw_folds("toy", dict(reversed(labels.items())), groups, folds=folds, fold=0, val=val)
    assert again.sides == drawn[0].sides


def test_folds_that_cannot_be_drawn_are_told():
    labels = {f"{speaker}{k}": "xy"[k % 2] for speaker in "abc" for k in range(4)}
    groups = {clip: clip[0] for clip in labels}
    with pytest.raises(ConfigError, match="there are 3, 0 to 2"):
        draw_folds("toy", labels, groups, folds=3, fold=3)
    with pytest.raises(ConfigError, match="below 0.5"):
        draw_folds("toy", labels, groups, folds=2, fold=0, val=0.5)
    with pytest.raises(DataError, match="3 speakers are too few for 4 folds"):
        draw_folds("toy", labels, groups, folds=4, fold=0)
    with pytest.raises(DataError, match="class 'z' is in one speaker alone"):
        draw_folds("toy", {**labels, "a9": "z"}, {**groups, "a9": "a"}, folds=3, fold=0, val=0)
