import itertools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.data import load_table
from counterpoint.data.events import Event, cut_events, main_class, read_events, runs, segment_classes
from counterpoint.errors import DataError, DatasetNotFoundError

BACKGROUND = 3


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], (3, 3, 3, 3)),
        ([Event(0, 1.0, 3.0)], (3, 0, 0, 3)),
        ([Event(0, 0.5, 1.49)], (0, 3, 3, 3)),  # exactly half of the first, less than half of the second
        ([Event(0, 0.0, 0.4), Event(1, 0.4, 1.0)], (1, 3, 3, 3)),
        ([Event(2, 3.2, 9.0)], (3, 3, 3, 2)),  # what lies beyond the clip does not count
        ([Event(0, 1.0, 1.3), Event(0, 1.5, 1.8)], (3, 0, 3, 3)),  # two of one class add up
    ],
)
def test_a_segment_is_of_the_class_that_covers_half_of_it(events, expected):
    assert segment_classes(events, 4.0, 4, BACKGROUND) == expected


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 5), st.floats(0.01, 3)), max_size=3),
    st.integers(1, 12),
)
def test_segments_agree_with_counting_fine_samples_of_time(drawn, segments):
    grid = (np.arange(24_000) + 0.5) * 5.0 / 24_000
    events, end = [], 0.0
    for label, gap, length in drawn:  # one after the other: none overlaps
        events.append(Event(label, end + gap, end + gap + length))
        end = events[-1].end
    found = segment_classes(events, 5.0, segments, BACKGROUND)
    for k, part in enumerate(np.array_split(grid, segments)):
        shares = [
            np.mean([any(e.label == c and e.start <= t < e.end for e in events) for t in part[::20]]) for c in (0, 1, 2)
        ]
        best = int(np.argmax(shares))
        if max(shares) > 0.55 and sorted(shares)[-2] < max(shares) - 0.1:
            assert found[k] == best
        if max(shares) < 0.45:
            assert found[k] == BACKGROUND


@settings(deadline=None)
@given(st.lists(st.integers(0, BACKGROUND), min_size=1, max_size=15))
def test_runs_are_what_segments_came_from(classes):
    events = runs(classes, 6.0, BACKGROUND)
    assert segment_classes(events, 6.0, len(classes), BACKGROUND) == tuple(classes)
    assert all(a.end < b.start or a.label != b.label for a, b in itertools.pairwise(events))


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (0.0, float("nan")), (0.0, float("inf"))]
)
def test_an_event_ends_after_it_starts(start, end):
    with pytest.raises(DataError, match="must end after it starts"):
        Event(0, start, end)


def write(folder, *lines):
    path = folder / "events.csv"
    path.write_text("\n".join(["clip,start,end,class", *lines]) + "\n")
    return path


def test_events_are_read_in_order(tmp_path):
    path = write(tmp_path, "a,2,3,dog", "b,0,1.5,cat", "a,0.5,1,cat")
    found = read_events(path, lambda row: row["clip"], ("cat", "dog"))
    assert found == {"a": (Event(0, 0.5, 1.0), Event(1, 2.0, 3.0)), "b": (Event(0, 0.0, 1.5),)}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a,0,1,dgo", "line 2, column 'class'.*Did you mean 'dog'"),
        ("a,zero,1,dog", "line 2, column 'start'.*not a time"),
        ("a,0,,dog", "line 2, column 'end'.*not a time"),
        ("a,2,1,dog", "line 2, column 'end'.*must end after"),
        ("a,0,1", "line 2: 3 cells"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, says):
    with pytest.raises(DataError, match=says):
        read_events(write(tmp_path, line), lambda row: row["clip"], ("cat", "dog"))


def test_overlapping_events_of_one_class_are_refused(tmp_path):
    with pytest.raises(DataError, match="line 3, column 'start'.*overlaps"):
        read_events(write(tmp_path, "a,0,2,dog", "a,1,3,dog"), lambda row: row["clip"], ("cat", "dog"))


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("events") / "events.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        read_events(path, lambda row: row["clip"], ("cat",))
    except DataError as error:
        assert "events.csv" in str(error)


def test_events_are_cut_where_clips_are():
    found = {"a": (Event(0, 0.0, 1.0), Event(1, 2.5, 4.0)), "b": (Event(0, 3.0, 4.0),), "c": (Event(0, 1.0, 3.04),)}
    kept, lost = cut_events(found, 3.0, "here")
    assert kept == {"a": (Event(0, 0.0, 1.0), Event(1, 2.5, 3.0)), "b": (), "c": (Event(0, 1.0, 3.0),)}
    assert lost == (
        "Of 4 events 2 do not end in the 3 s that are read of each clip (media.seconds): "
        "1 begin later and are left out, 1 are cut there. The first: a, 2.5 to 4 s."
    )
    assert cut_events({"a": (Event(0, 1.0, 3.04),)}, 3.0, "here")[1] == ""
    assert cut_events({"a": ()}, 3.0, "here") == ({"a": ()}, "")


def test_events_that_all_begin_too_late_are_probably_in_other_units():
    found = {"a": (), "b/c": (Event(0, 1500.0, 2500.0), Event(0, 3000.0, 3500.0))}
    with pytest.raises(DataError, match=r"here: none of the 2 events begins in the 3 s.*b/c, 1500 to 2500 s"):
        cut_events(found, 3.0, "here")


def test_the_main_class_lasts_longest_in_all():
    assert main_class((Event(0, 0, 1.0), Event(1, 1.0, 2.5), Event(0, 3.0, 4.0)), BACKGROUND) == 0
    assert main_class((), BACKGROUND) == BACKGROUND


def own_folder(root):
    for name in ("cat/1.mp4", "cat/2.mp4", "cat/3.mp4", "dog/1.mp4", "dog/2.mp4", "dog/3.mp4"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_a_folder_of_ones_own_says_what_happens_when(tmp_path):
    write(own_folder(tmp_path), "cat/1.mp4,1,2,cat", "dog/2.mp4,0,1.5,dog", "dog/2.mp4,3,4,cat")
    table = load_table("folder", tmp_path, val=0.34, test=0.34, events=True)
    assert table.events == {
        "cat/1.mp4": (Event(0, 1.0, 2.0),),
        "dog/2.mp4": (Event(1, 0.0, 1.5), Event(0, 3.0, 4.0)),
    }
    assert {clip.id: clip.label for clip in table.clips if clip.id in table.events} == {"cat/1.mp4": 0, "dog/2.mp4": 1}
    assert {clip.label for clip in table.clips if clip.id not in table.events} == {table.background}
    plain = load_table("folder", tmp_path, val=0.34, test=0.34)
    assert plain.events is None and {clip.label for clip in plain.clips} == {0, 1}
    assert [clip.split for clip in plain.clips] == [clip.split for clip in table.clips]


def test_a_table_is_cut_to_what_is_read(tmp_path):
    write(own_folder(tmp_path), "cat/1.mp4,1,2,dog", "cat/1.mp4,2.5,5,cat", "dog/2.mp4,7,9,dog")
    table = load_table("folder", tmp_path, val=0.34, test=0.34, events=True)
    labels = {clip.id: clip.label for clip in table.clips}
    assert labels["cat/1.mp4"] == 0 and labels["dog/2.mp4"] == 1
    cut = table.within(2.5)
    assert cut.events == {"cat/1.mp4": (Event(1, 1.0, 2.0),), "dog/2.mp4": ()}
    labels = {clip.id: clip.label for clip in cut.clips}
    assert labels["cat/1.mp4"] == 1 and labels["dog/2.mp4"] == cut.background
    assert cut.notes[:-1] == table.notes and "Of 3 events 2 do not end in the 2.5 s" in cut.notes[-1]
    assert table.within(9.0) is table
    with pytest.raises(DataError, match=r"none of the 3 events begins in the 0\.5 s"):
        table.within(0.5)


def test_prepared_clips_have_their_events_cut(tmp_path, monkeypatch):
    from counterpoint.data import prepare
    from counterpoint.media.spec import MediaSpec

    write(own_folder(tmp_path), "cat/1.mp4,1,2,cat", "dog/2.mp4,2,9,dog")
    table = load_table("folder", tmp_path, val=0.34, test=0.34, events=True)
    reached = []
    monkeypatch.setattr(sys.modules[prepare.__module__], "check_usable", lambda table, *rest: reached.append(table))
    found = prepare(table, MediaSpec(seconds=3.0), cache=tmp_path / "cache", jobs=0)
    assert found.table.events["dog/2.mp4"] == (Event(1, 2.0, 3.0),) and "media.seconds" in found.table.notes[-1]
    assert reached == [found.table]
    with pytest.raises(DataError, match="none of the 2 events"):
        prepare(table, MediaSpec(seconds=0.5), cache=tmp_path / "cache", jobs=0)


def test_a_folder_without_events_says_how_they_look(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"(?s)no events\.csv.*columns clip, start, end"):
        load_table("folder", own_folder(tmp_path), val=0.34, test=0.34, events=True)


def test_events_of_a_clip_that_is_not_there(tmp_path):
    write(own_folder(tmp_path), "cat/9.mp4,1,2,cat")
    with pytest.raises(DataError, match="there is no clip 'cat/9.mp4'"):
        load_table("folder", tmp_path, val=0.34, test=0.34, events=True)


def test_talkers_know_their_events(tmp_path):
    table = load_table("talkers", tmp_path, "event", speakers=3, clips=3)
    assert table.segments == 10
    from counterpoint.data.talkers import clip_facts

    for clip, facts in clip_facts(table).items():
        classes = segment_classes(table.events[clip], table.media.seconds, 10, table.background)
        names = [*table.classes, "background"]
        assert tuple(names[c] for c in classes) == facts.segments
        assert facts.label in facts.segments
