import csv
import io
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint._csv_cells import guarded
from counterpoint.data import Clip, ClipTable, Event, PreparedFeatures, load_table
from counterpoint.data.datasets.feature_folder import parse_clips
from counterpoint.data.features.writer import FeatureWriter
from counterpoint.errors import DataError, DatasetNotFoundError
from counterpoint.media.spec import MediaSpec
from feature_files import cut, numbers, write

CLIPS = 24
COLUMNS = ("clip", "split", "group", "class", "seconds")


def listed(**changes):
    """24 clips of 5 s: two dogs, then a cat, then nothing, and so on; the first half is training."""
    names = ("dog", "dog", "cat", "")
    rows = [
        {"clip": f"x/{k}.mp4", "split": ("train", "train", "val", "test")[k // 6], "group": f"g{k // 3}"}
        | {"class": names[k % 4], "seconds": "5.0"}
        for k in range(CLIPS)
    ]
    for row in rows:
        row.update(changes)
    return rows


def write_csv(path, columns, rows):
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, columns, extrasaction="ignore")
        out.writeheader()
        out.writerows(rows)


def folder(root, rows=None, columns=COLUMNS, events=None, **features):
    rows = listed() if rows is None else rows
    write(
        root / "features.h5", **(features or {m: numbers(m, len(rows), dtype=np.float16) for m in ("audio", "visual")})
    )
    write_csv(root / "clips.csv", columns, rows)
    if events is not None:
        write_csv(root / "events.csv", ("clip", "start", "end", "class"), events)
    return root


def event(clip, start, end, name):
    return {"clip": clip, "start": start, "end": end, "class": name}


def test_without_events_the_class_fills_the_clip(tmp_path):
    table = load_table("features", folder(tmp_path / "mine"))
    assert table.name == "features/mine" and table.classes == ("cat", "dog") and table.segments == 10
    assert Counter(c.split for c in table.clips) == {"train": 12, "val": 6, "test": 6}
    assert [c.label for c in table.clips[:4]] == [1, 1, 0, 2] and table.media.seconds == 5
    assert table.clips[4].group == "g1" and not table.rejected
    prepared = PreparedFeatures(table, cache=tmp_path / "cache")
    train = prepared.split("train")
    assert train.targets[:4].tolist() == [[1] * 10, [1] * 10, [0] * 10, [2] * 10]
    batch = prepared.split("val").batch([1, 5])
    assert np.array_equal(batch["visual"].numpy(), numbers("visual", CLIPS, dtype=np.float16)[[13, 17]])
    assert batch["visual"].dtype.is_floating_point and batch["visual"].element_size() == 4


def test_events(tmp_path):
    events = [event(row["clip"], 1, 2.5, row["class"]) for row in listed() if row["class"]]
    events += [event("x/0.mp4", 3.9, 5.02, "cat"), event("x/1.mp4", 2.5, 5, "bird")]
    table = load_table("features", folder(tmp_path, events=events))
    assert table.classes == ("bird", "cat", "dog") and not table.rejected
    assert [c.label for c in table.clips[:4]] == [2, 0, 1, 3]  # what lasts longest
    train = PreparedFeatures(table, cache=tmp_path / "cache").split("train")
    assert train.targets[0].tolist() == [3, 3, 2, 2, 2, 3, 3, 3, 1, 1]
    assert train.targets[1].tolist() == [3, 3, 2, 2, 2, 0, 0, 0, 0, 0]
    assert train.targets[3].tolist() == [3] * 10


def test_a_clip_whose_tables_do_not_fit_is_set_aside(tmp_path):
    events = [event(row["clip"], 1, 2, row["class"]) for row in listed() if row["class"]]
    events[0]["end"], events[1]["class"] = 5.2, "cat"
    table = load_table("features", folder(tmp_path, events=events))
    assert table.rejected == {
        "x/0.mp4": "an event ends after the clip, which lasts 5 s",
        "x/1.mp4": "its class is 'dog' in clips.csv, but events.csv has no such event of it",
    }
    prepared = PreparedFeatures(table, cache=tmp_path / "cache", max_bad=0.1)
    assert prepared.skipped == table.rejected and len(prepared.split("train")) == 10
    with pytest.raises(DataError, match="2 of 24 clips"):
        PreparedFeatures(table, cache=tmp_path / "cache")


def test_a_bad_row_is_set_aside(tmp_path):
    audio = numbers("audio", CLIPS, dtype=np.float16)
    audio[3, 4, 1] = np.inf
    table = load_table("features", folder(tmp_path, audio=audio, visual=numbers("visual", CLIPS)))
    prepared = PreparedFeatures(table, cache=tmp_path / "cache")
    assert list(prepared.skipped) == ["x/3.mp4"] and len(prepared.split("train")) == 11


def test_a_split_is_drawn_where_none_is_given(tmp_path):
    columns = ("seconds", "class", "clip", "group")
    table = load_table("features", folder(tmp_path, columns=columns), seed=1)
    assert not table.shared_groups() and {c.split for c in table.clips} == {"train", "val", "test"}
    assert any("group-disjoint" in note for note in table.notes)
    again = load_table("features", folder(tmp_path, rows=listed(split="")), seed=1)
    assert again.clips == table.clips
    one = load_table("features", folder(tmp_path, columns=columns[:3]), test=0.25, val=0.25)
    assert Counter(c.split for c in one.clips) == {"train": 10, "val": 7, "test": 7}  # of 12 dogs 3, of 6 others 2
    assert {c.label for c in one.clips if c.split == "test"} == {0, 1, 2}


def test_one_modality_and_what_made_it(tmp_path):

    folder(tmp_path, visual=numbers("visual", CLIPS))
    with h5py.File(tmp_path / "features.h5", "r+") as file:
        assert "what is not said" in load_table("features", tmp_path).notes[0]
        file.attrs["encoders"] = '{"visual": "vgg19"}'
    table = load_table("features", tmp_path)
    assert table.features.dims == {"visual": 4}
    assert table.notes[0] == 'Input: features made by {"visual": "vgg19"}.'


def test_missing_folders_say_how_they_must_look(tmp_path):
    for root in (None, tmp_path, tmp_path / "none"):
        with pytest.raises(DatasetNotFoundError, match=r"clips\.csv       columns clip, class, seconds") as caught:
            load_table("features", root)
        assert root is None or str(root / "features.h5") in str(caught.value)
    folder(tmp_path)
    (tmp_path / "clips.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"There is no .*clips\.csv"):
        load_table("features", tmp_path)


@pytest.mark.parametrize(
    ("features", "why"),
    [
        ({"audio": numbers("audio", 23)}, "'audio' has 23 rows, but clips.csv has 24 clips"),
        ({"sound": numbers("audio", 24)}, "no dataset audio or visual, but sound"),
        ({"audio": numbers("audio", 24), "visual": numbers("visual", 24, segments=5)}, None),
        ({"audio": numbers("visual", 24)}, r"audio features must be \(clips, T, D\)"),
    ],
)
def test_features_that_do_not_fit(tmp_path, features, why):
    with pytest.raises(DataError, match=why or "differ in segments per clip, T: audio 10 .*, visual 5"):
        load_table("features", folder(tmp_path, **features))


def test_a_file_that_broke_off(tmp_path):
    cut(folder(tmp_path) / "features.h5")
    with pytest.raises(DataError, match=r"features\.h5: the file is not complete"):
        load_table("features", tmp_path)


@pytest.mark.parametrize(
    ("row", "change", "why"),
    [
        (3, {"seconds": "0"}, "line 5, column 'seconds': '0' is not a length"),
        (3, {"seconds": "inf"}, "is not a length"),
        (3, {"seconds": "5 s"}, "is not a length"),
        (3, {"clip": ""}, "line 5, column 'clip': is empty"),
        (3, {"clip": "x/1.mp4"}, "is listed already, in line 3"),
        (3, {"split": "tset"}, "'tset' is no split. Did you mean 'test'"),
        (3, {"split": ""}, "fill in all or none"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, row, change, why):
    rows = listed()
    rows[row].update(change)
    with pytest.raises(DataError, match=why):
        load_table("features", folder(tmp_path, rows))


def test_tables_that_say_nothing(tmp_path):
    with pytest.raises(DataError, match="No clip of clips.csv has a class"):
        load_table("features", folder(tmp_path, listed(**{"class": ""})))
    write_csv(tmp_path / "clips.csv", COLUMNS, [])
    with pytest.raises(DataError, match="has no rows"):
        load_table("features", tmp_path)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (
            event("x/99.mp4", 0, 1, "dog"),
            "line 2, column 'clip': clips.csv has no clip 'x/99.mp4'. Did you mean 'x/9.mp4'",
        ),
        (event("x/9.mp4", 2, 1, "dog"), "it must end after it starts"),
        (event("x/9.mp4", "a", 1, "dog"), "'a' is not a time"),
        (event("x/9.mp4", 0, 1, ""), "there is no class ''"),
    ],
)
def test_events_that_do_not_fit(tmp_path, wrong, why):
    with pytest.raises(DataError, match=why):
        load_table("features", folder(tmp_path, events=[wrong]))


CELL = st.text("ab c,\"'é/.-", min_size=1, max_size=8).filter(lambda text: text == text.strip())


@given(
    st.lists(
        st.tuples(CELL, CELL | st.just(""), st.floats(0.01, 1e6)), min_size=1, max_size=8, unique_by=lambda row: row[0]
    )
)
def test_clips_come_back(rows):
    out = io.StringIO()
    csv.writer(out).writerows([("clip", "class", "seconds"), *([guarded(cell) for cell in row] for row in rows)])
    assert [(c.clip, c.label, c.seconds) for c in parse_clips(out.getvalue(), "clips.csv")] == rows


@given(st.text() | st.text('clip,seondsa"\n 0123.', max_size=80).map(lambda text: f"clip,class,seconds\n{text}"))
def test_any_text_is_clips_or_refused(text):
    try:
        found = parse_clips(text, "clips.csv")
    except DataError:
        return
    assert found and all(clip.clip and clip.seconds > 0 for clip in found)


def test_what_prepare_writes_comes_back(tmp_path):
    classes = ("Violin, fiddle", "Bark")
    sides = ("train", "train", "train", "val", "test")
    clips = tuple(Clip(f"c{k}", Path("none"), (0, 1, 2)[k % 3], sides[k % 5], f"g{k}") for k in range(15))
    events = {clip.id: (Event(clip.label, 2, 5.5),) if clip.label < 2 else () for clip in clips}
    table = ClipTable("tiny", classes, clips, MediaSpec(seconds=10), events=events, segments=10)
    audio = numbers("audio", 15)
    with FeatureWriter(tmp_path / "made", table, 10.0, {"audio": "vggish"}, {}) as writer:
        for k, clip in enumerate(clips):
            if k == 7:
                writer.skipped(clip.id, "no sound")
            else:
                writer.write(clip.id, {"audio": audio[k]})
        writer.finish()
    again = load_table("features", tmp_path / "made")
    assert again.classes == ("Bark", "Violin, fiddle") and not again.rejected and "vggish" in again.notes[0]
    assert [(c.id, c.split, c.group) for c in again.clips] == [(c.id, c.split, c.group) for c in clips if c.id != "c7"]
    train = PreparedFeatures(again, cache=tmp_path / "cache").split("train")
    assert [c.id for c in train.clips] == ["c0", "c1", "c2", "c5", "c6", "c10", "c11", "c12"]
    assert np.array_equal(train.batch([5])["audio"].numpy()[0], audio[10])
    assert train.targets[:3].tolist() == [[2, 2, 1, 1, 1, 1, 2, 2, 2, 2], [2, 2, 0, 0, 0, 0, 2, 2, 2, 2], [2] * 10]
