import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.data.trials import parse_trials, read_trials
from counterpoint.errors import DataError
from shared_data import ROOT, needs_shared_data

OFFICIAL = "1 id1/a/1.wav id1/b/1.wav\r\n0 id1/a/1.wav id2/c/2.wav\r\n\n1 id2/c/2.wav id2/c/3.wav\n"


def rows(trials):
    names = trials.utterances
    return [(int(y), names[a], names[b]) for y, a, b in zip(trials.target, trials.first, trials.second, strict=True)]


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "pairs", "targets"), [("veri_test.csv", 27_270, 13_905), ("test_pairs.csv", 9_822, 4_911)]
)
def test_the_lists_of_mmcosine(name, pairs, targets):
    trials = read_trials(ROOT / "splits" / "voxceleb" / name)
    assert len(trials) == pairs and trials.target.sum() == targets
    assert len(set(trials.utterances)) == len(trials.utterances)
    same = [a.split("/")[0] == b.split("/")[0] for _, a, b in rows(trials)]
    assert same == trials.target.tolist()  # names begin with the speaker, without a slash


def test_official_and_comma_separated_lists_read_alike():
    official = parse_trials(OFFICIAL, "list")
    comma = parse_trials(OFFICIAL.strip().replace(" ", ",/"), "list")
    expected = [(1, "id1/a/1.wav", "id1/b/1.wav"), (0, "id1/a/1.wav", "id2/c/2.wav"), (1, "id2/c/2.wav", "id2/c/3.wav")]
    assert rows(official) == rows(comma) == expected
    assert official.utterances == ("id1/a/1.wav", "id1/b/1.wav", "id2/c/2.wav", "id2/c/3.wav")


def test_names_in_quotes():
    quoted = '1,"a b","c,d"\r\n"0","/a b", "e"\n'
    assert rows(parse_trials(quoted, "list")) == [(1, "a b", "c,d"), (0, "a b", "e")]


@pytest.mark.parametrize(("label", "targets"), [(1, 2), (0, 0)])
def test_trials_of_one_kind_have_no_error_rate(label, targets):
    trials = parse_trials(f"{label} a b\n{label} a c\n", "list")
    with pytest.raises(DataError, match=f"list: {targets} of 2 trials are of one speaker; error rates need"):
        trials.require_both_kinds()
    parse_trials("1 a b\n0 a c\n", "list").require_both_kinds()


names = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters=',"'), min_size=1
).filter(lambda name: name.lstrip("/") == name)


@given(
    trials=st.lists(st.tuples(st.integers(0, 1), names, names), min_size=1), separator=st.sampled_from([" ", ",", "\t"])
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(trials, separator):
    text = "\n".join(separator.join(map(str, row)) for row in trials)
    assert rows(parse_trials(text, "list")) == trials


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_damaged_text_is_read_or_refused(text):
    try:
        assert len(parse_trials(text, "list"))
    except DataError as error:
        assert "list" in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a b\n1 a\n", "list, line 2: '1 a' is no trial"),
        ("1,a,b,c", "line 1: .* is no trial"),
        ("1,a,", "line 1: .* is no trial"),
        ("a b 1", "line 1: the label is 'a'"),
        ("2 a b", "line 1: the label is '2'"),
        ("label,a,b\n1,a,b", "line 1: the label is 'label'"),
        (" \n\n", "list has no trials"),
        ('1,"a,b', "line 1: .* is no trial"),
    ],
)
def test_says_which_line_is_wrong(text, message):
    with pytest.raises(DataError, match=message):
        parse_trials(text, "list")


def test_a_file_that_is_no_list(tmp_path):
    (tmp_path / "audio.wav").write_bytes(b"RIFF\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_trials(tmp_path / "audio.wav")
    with pytest.raises(DataError, match="No such file"):
        read_trials(tmp_path / "none.txt")


def test_missing_utterances_are_counted():
    trials = parse_trials(OFFICIAL, "vox")
    left, missing = trials.available(["id1/a/1.wav", "id1/b/1.wav", "id2/c/2.wav", "other"])
    assert rows(left) == rows(trials)[:2]
    assert left.utterances == trials.utterances[:3]
    assert (missing.utterances, missing.listed, missing.trials) == (("id2/c/3.wav",), 4, 3)
    assert (missing.targets, missing.nontargets) == (1, 0)
    assert missing.note() == (
        "1 of 4 utterances are missing (id2/c/3.wav): 1 of 3 trials are left out, 1 of one speaker and 0 of two."
    )
    whole, nothing = trials.available(dict.fromkeys(trials.utterances))
    assert rows(whole) == rows(trials) and nothing.note() == ""
    with pytest.raises(DataError, match=r"vox: no trial can be scored. 3 of 4 .* 3 of 3 trials"):
        trials.available(["id1/b/1.wav"])


def test_parts_make_up_the_whole():
    trials = parse_trials("".join(f"{k % 2} a{k} b{k}\n" for k in range(11)), "list")
    parts = [trials.part(k, 3) for k in range(3)]
    assert sorted(len(part) for part in parts) == [3, 4, 4]
    assert sorted(row for part in parts for row in rows(part)) == sorted(rows(trials))
    assert all(part.utterances == trials.utterances for part in parts)


def test_positions_suit_torch():
    trials = parse_trials(OFFICIAL, "list")
    left, _ = trials.available(trials.utterances[:3])
    for each in (trials, left):
        assert each.first.dtype == each.second.dtype == np.int64 and each.target.dtype == np.bool_
