import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data import load_table
from counterpoint.data.events import Event, read_events, runs, segment_classes
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


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("events") / "events.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        read_events(path, lambda row: row["clip"], ("cat",))
    except DataError as error:
        assert "events.csv" in str(error)


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
    assert load_table("folder", tmp_path, val=0.34, test=0.34).events is None


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
