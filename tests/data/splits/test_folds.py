from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data.splits.folds import consecutive, draw_fold
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
