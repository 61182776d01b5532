import random
from dataclasses import replace
from pathlib import Path

import pytest

from counterpoint.data import Clip, ClipTable
from counterpoint.data.splits.leaks import Entry, Split, find_leaks, split_of
from counterpoint.errors import DataError
from counterpoint.media.spec import MediaSpec

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def split(*entries):
    return Split("made", "speaker", tuple(Entry(*entry) for entry in entries))


def found(report):
    return {
        (overlap.what, *overlap.sides): (overlap.shared, overlap.total, overlap.clips, overlap.all_clips)
        for overlap in report.leaks
    }


def test_groups_on_both_sides_are_counted():
    report = find_leaks(
        split(
            ("a", "train", "ann"),
            ("b", "train", "bob"),
            ("c", "val", "bob"),
            ("d", "test", "ann"),
            ("e", "test", "ann"),
            ("f", "test", "cy"),
        )
    )
    assert report.clips == {"train": 2, "val": 1, "test": 3}
    assert found(report) == {
        ("speaker", "train", "val"): (("bob",), 1, 1, 1),
        ("speaker", "train", "test"): (("ann",), 2, 2, 3),
    }
    assert {overlap.sides for overlap in report.overlaps} == {("train", "val"), ("train", "test"), ("val", "test")}


def test_clips_listed_on_both_sides_and_unknown_groups():
    report = find_leaks(split(("a", "train"), ("b", "train"), ("a", "test"), ("c", "test")))
    assert found(report) == {("clip", "train", "test"): (("a",), 2, 1, 2)}
    assert "speaker" not in {overlap.what for overlap in report.overlaps}
    assert report.notes[0] == "The speaker of 4 of 4 clips is not known."
    assert report.notes[1] == "No files were compared: none of the media is here."


def test_a_split_kept_apart():
    assert find_leaks(split(("a", "train", "ann"), ("b", "test", "bob"))).leaks == ()


@pytest.mark.parametrize("entries", [(), (("a", "train", "ann"),)])
def test_one_side_alone(entries):
    with pytest.raises(DataError, match="made: only one split has clips \\((no clip|train)\\)"):
        find_leaks(split(*entries))


@pytest.fixture
def files(tmp_path):
    """Contents that differ at the beginning, at the end, in length, not at all, and no contents."""
    draw = random.Random(0)
    long = draw.randbytes(200_000)
    contents = {
        "one": b"abc" * 10,
        "same": b"abc" * 10,
        "other": b"abd" * 10,
        "long": long,
        "long_same": long,
        "long_end": long[:-1] + bytes([long[-1] ^ 1]),
        "longer": long + b"x",
        "empty": b"",
        "empty_too": b"",
        "pointer": POINTER,
        "pointer_too": POINTER,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_files_of_the_same_content_are_found(files):
    def check(pairs):
        entries = []
        for k, (train, test) in enumerate(pairs):
            entries += [Entry(f"a{k}", "train", None, (files / train,)), Entry(f"b{k}", "test", None, (files / test,))]
        report = find_leaks(Split("made", "speaker", tuple(entries)))
        copies = {name for leak in report.leaks for name in leak.shared}
        return {" = ".join(Path(path).name for path in name.split(" = ")) for name in copies}, report

    assert check([("one", "other"), ("long", "long_end"), ("longer", "long_end")])[0] == set()
    assert check([("empty", "empty_too"), ("pointer", "pointer_too"), ("one", "nowhere")])[0] == set()
    names, report = check([("one", "same"), ("long_same", "long"), ("longer", "long_end"), ("other", "long_end")])
    assert names == {"one = same", "long = long_same"}
    (leak,) = report.leaks
    assert (leak.what, leak.sides, leak.total, leak.clips) == ("file content", ("train", "test"), 3, 2)
    assert report.notes[-1] == "7 files were compared by content."
    assert check([("one", "one")])[0] == {"one"}  # the very same file, e.g. two stretches of it


def test_copies_on_one_side_are_no_leak(files):
    entries = (
        Entry("a", "train", None, (files / "one",)),
        Entry("b", "train", None, (files / "same",)),
        Entry("c", "test", None, (files / "other",)),
    )
    assert find_leaks(Split("made", "speaker", entries)).leaks == ()


def test_few_files_are_read_whole(files):
    read = []
    entries = (
        Entry("a", "train", None, (files / "one", files / "long")),
        Entry("b", "test", None, (files / "other", files / "long_same", files / "longer")),
    )
    find_leaks(Split("made", "speaker", entries), lambda done, total: read.append((done, total)))
    assert read == [(1, 2), (2, 2)]  # the two long ones: the others differ in size, or in their beginning


def test_a_table_with_its_sound_files(files):
    clips = (
        Clip("a", files / "other", 0, "train", "ann", audio=files / "one"),
        Clip("b", files / "long", 0, "test", "bob", audio=files / "same"),
    )
    table = ClipTable("made/thing", ("x",), clips, MediaSpec(), group_word="actor")
    report = find_leaks(split_of(table))
    assert report.name == "made/thing" and {overlap.what for overlap in report.overlaps} >= {"actor", "clip"}
    assert report.leaks[0].shared == (f"{files / 'one'} = {files / 'same'}",)
    same = replace(table, clips=(clips[0], replace(clips[1], group="ann", audio=None)))
    assert found(find_leaks(split_of(same))) == {("actor", "train", "test"): (("ann",), 1, 1, 1)}
