from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.data import Clip
from counterpoint.data.splits.draw import draw_split, used_note
from counterpoint.errors import ConfigError, CounterpointError, DataError


def clips(classes=4, each=25, speakers=1):
    labels = {f"s{s}/c{c}_{k}": f"class{c}" for s in range(speakers) for c in range(classes) for k in range(each)}
    return labels, {clip: clip.split("/")[0] for clip in labels}


def per_class(labels, sides):
    return {c: Counter(sides[k] for k in labels if labels[k] == c) for c in set(labels.values())}


def test_shares_hold_in_every_class():
    labels, groups = clips(10, 100)
    drawn = draw_split("toy", labels, groups)
    assert set(map(tuple, (sorted(c.items()) for c in per_class(labels, drawn.sides).values()))) == {
        (("test", 20), ("train", 70), ("val", 10))
    }
    assert "700 train, 100 val, 200 test clips" in drawn.notes[0]
    assert "share 1 speaker (s0)" in drawn.notes[1]


def test_order_of_files_does_not_matter_and_seeds_do():
    labels, _ = clips()
    turned = dict(reversed(labels.items()))
    assert draw_split("toy", labels).sides == draw_split("toy", turned).sides
    assert draw_split("toy", labels).sides != draw_split("toy", labels, seed=1).sides
    labels, groups = clips(3, 5, speakers=9)
    turned = dict(reversed(labels.items()))
    assert draw_split("toy", labels, groups).sides == draw_split("toy", turned, groups).sides
    tests = [
        {groups[k] for k, s in draw_split("t", labels, groups, seed=n).sides.items() if s == "test"} for n in range(5)
    ]
    assert any(t != tests[0] for t in tests)


def test_a_clip_more_moves_few_others():
    labels, _ = clips()
    before = draw_split("toy", labels).sides
    after = draw_split("toy", {**labels, "new": "class0"}).sides
    assert sum(before[k] != after[k] for k in before) <= 3


@pytest.mark.parametrize("speakers", [3, 4, 10, 34])
def test_speakers_stand_on_one_side_only(speakers):
    labels, groups = clips(3, 4, speakers)
    drawn = draw_split("toy", labels, groups)
    for speaker in set(groups.values()):
        assert len({drawn.sides[k] for k in labels if groups[k] == speaker}) == 1
    assert set(drawn.sides.values()) == {"train", "val", "test"}
    assert "speaker-disjoint" in drawn.notes[0]
    counts = Counter(drawn.sides.values())
    assert counts["train"] >= counts["test"] and counts["train"] >= counts["val"]
    if speakers == 34:
        assert abs(counts["test"] / len(labels) - 0.2) < 0.04 and abs(counts["val"] / len(labels) - 0.1) < 0.04


def test_two_speakers_keep_the_test_speaker_apart():
    labels, groups = clips(3, 20, 2)
    drawn = draw_split("toy", labels, groups)
    on = {side: {groups[k] for k, s in drawn.sides.items() if s == side} for side in ("train", "val", "test")}
    assert on["train"] == on["val"] and not on["train"] & on["test"]
    assert any("Validation shares its speaker" in note for note in drawn.notes)


def test_speakers_may_be_mixed_when_asked_for():
    labels, groups = clips(3, 20, 3)
    drawn = draw_split("toy", labels, groups, disjoint=False)
    assert "share 3 speakers (s0, s1, s2)" in drawn.notes[1]


def test_videos_of_one_class_each_are_stratified():
    labels = {f"v{v}_{k}": f"class{v % 5}" for v in range(60) for k in range(3)}
    groups = {k: k.split("_")[0] for k in labels}
    sides = draw_split("toy", labels, groups).sides
    assert all(set(c) == {"train", "val", "test"} for c in per_class(labels, sides).values())


def test_clips_of_unknown_group_stand_alone():
    labels, groups = clips(2, 6, 3)
    some = {k: (g if g != "s2" else None) for k, g in groups.items()}
    sides = draw_split("toy", labels, some).sides
    assert {len({sides[k] for k in labels if some[k] == s}) for s in ("s0", "s1")} == {1}


def test_too_small_a_class_is_named():
    labels, _ = clips()
    with pytest.raises(DataError, match="class 'rare' has 2 clips, too few for 3 splits"):
        draw_split("toy", {**labels, "x": "rare", "y": "rare"})
    labels, groups = clips(2, 5, 5)
    with pytest.raises(DataError, match="class 'rare' is in 1 speaker, too few"):
        draw_split("toy", {**labels, "x": "rare", "y": "rare"}, {**groups, "x": "s1", "y": "s1"})


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.2), (0.5, 0.5), (1.0, 0.0), ("0.1", 0.2), (float("nan"), 0.1)])
def test_shares_out_of_range(val, test):
    with pytest.raises(ConfigError, match="val"):
        draw_split("toy", clips()[0], val=val, test=test)


def test_no_validation_or_test():
    labels, groups = clips(2, 10, 3)
    assert set(draw_split("toy", labels, val=0, test=0).sides.values()) == {"train"}
    assert set(draw_split("toy", labels, groups, val=0).sides.values()) == {"train", "test"}


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=6), st.tuples(st.sampled_from("abc"), st.none() | st.sampled_from("pqrst")), max_size=60
    ),
    st.sampled_from([(0.1, 0.2), (0.0, 0.3), (0.3, 0.3), (0.2, 0.0)]),
    st.integers(0, 99),
)
def test_any_table_is_split_whole_or_refused(table, shares, seed):
    labels = {k: v[0] for k, v in table.items()}
    groups = {k: v[1] for k, v in table.items()}
    try:
        drawn = draw_split("toy", labels, groups, val=shares[0], test=shares[1], seed=seed)
    except CounterpointError:
        return
    assert drawn.sides.keys() == labels.keys()
    wanted = {"train"} | ({"val"} if shares[0] else set()) | ({"test"} if shares[1] else set())
    for counts in per_class(labels, drawn.sides).values():
        assert set(counts) == wanted
    if len({g for g in groups.values() if g}) > 1:
        train = {groups[k] for k, s in drawn.sides.items() if s == "train"} - {None}
        assert not train & {groups[k] for k, s in drawn.sides.items() if s == "test"}


@pytest.mark.parametrize(("skipped", "told"), [({}, ()), ({"b"}, ("Used of the split: 1 train, 1 test clips.",))])
def test_what_is_left_of_a_split_is_told(skipped, told):
    clips = [Clip(name, Path(f"{name}.mp4"), 0, side) for name, side in (("a", "train"), ("b", "train"), ("c", "test"))]
    assert used_note(clips, skipped) == told
