from collections import Counter

import pytest

from counterpoint.data import load_table
from counterpoint.data.kinetics_sounds import CLASSES, find_lists, read_list
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError

HEADER = "label,youtube_id,time_start,time_end,split"
SOME = ("bowling", "playing drums", "strumming guitar", "abseiling")


def clips(side, count):
    return [(label, f"{label[:2]}{side}-_{k:05d}", 7 * k, 7 * k + 10, side) for label in SOME for k in range(count)]


def write_lists(folder, sides, name="{}.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    for side, count in sides.items():
        lines = [",".join(map(str, row)) for row in clips(side, count)]
        (folder / name.format(side)).write_text("\n".join([HEADER, *lines]) + "\n")
    return folder


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def with_lists(root, sides, folder="videos", style="{1}_{2:06d}_{3:06d}.mp4"):
    write_lists(root / "annotations", sides)
    for side, count in sides.items():
        for row in clips(side, count):
            touch(root / folder / style.format(*row))
    return root


def in_folders(root, sides, name="{}", word=" "):
    for side, count in sides.items():
        for label, video, start, end, _ in clips(side, count):
            touch(root / name.format(side) / label.replace(" ", word) / f"{video}_{start:06d}_{end:06d}.mp4")
    return root


def test_the_classes():
    assert len(CLASSES) == 31 == len(set(CLASSES)) and list(CLASSES) == sorted(CLASSES)
    assert {"blowing out candles", "stomping grapes", "mowing lawn", "playing xylophone", "tickling"} < set(CLASSES)
    assert not {"strumming guitar", "abseiling", "typing"} & set(CLASSES)


@pytest.mark.parametrize("style", ["{1}_{2:06d}_{3:06d}.mp4", "{1}_{2}_{3}.mkv", "{1}_{2:06d}.mp4", "{1}.webm"])
def test_lists_with_videos_anywhere(style, tmp_path):
    root = with_lists(tmp_path, {"train": 8, "val": 2, "test": 3}, "any/where", style)
    table = load_table("kinetics_sounds", root)
    assert table.classes == CLASSES and not table.refused
    assert Counter(clip.split for clip in table.clips) == {"train": 16, "val": 4, "test": 6}
    assert {table.classes[clip.label] for clip in table.clips} == {"bowling", "playing drums"}
    clip = next(c for c in table.clips if c.id == "pltest-_00002_000014_000024")
    assert (table.classes[clip.label], clip.group, clip.split) == ("playing drums", "pltest-_00002", "test")
    assert any("No clip of blowing nose," in note for note in table.notes)
    more = load_table("kinetics_sounds", root, strumming=True)
    assert len(more.classes) == 32 and len(more.clips) == 39


@pytest.mark.parametrize(("name", "word"), [("{}", " "), ("{}_256", "_"), ("videos_{}", " ")])
def test_folders_of_classes_without_lists(name, word, tmp_path):
    table = load_table("kinetics_sounds", in_folders(tmp_path, {"train": 8, "val": 3}, name, word))
    assert Counter(clip.split for clip in table.clips) == {"train": 14, "val": 2, "test": 6}
    clip = next(c for c in table.clips if c.id == "val/plval-_00002_000014_000024")
    assert (table.classes[clip.label], clip.group, clip.split) == ("playing drums", "plval-_00002", "test")
    assert "Test: the validation set of Kinetics." in table.notes


def test_a_test_list_without_labels_is_passed_over(tmp_path):
    root = with_lists(tmp_path, {"train": 8, "val": 3})
    (root / "annotations" / "test.csv").write_text("youtube_id,time_start,time_end,split\nabc,0,10,test\n")
    table = load_table("kinetics_sounds", root)
    assert "Test: the validation set of Kinetics." in table.notes and not table.refused
    (root / "annotations" / "train.csv").write_text("youtube_id,time_start,time_end,split\nabc,0,10,train\n")
    with pytest.raises(DataError, match=r"train\.csv, line 2, column 'label': is empty"):
        load_table("kinetics_sounds", root)


def test_a_missing_video_is_refused(tmp_path):
    root = with_lists(tmp_path, {"train": 8, "val": 3})
    (root / "videos" / "botrain-_00001_000007_000017.mp4").unlink()
    (root / "videos" / "abtrain-_00001_000007_000017.mp4").unlink()  # of a class that is not asked for
    table = load_table("kinetics_sounds", root)
    assert table.refused == {"botrain-_00001_000007_000017": "train.csv lists it, but its video is missing"}
    assert any(note.startswith("Missing videos: 1 of train.csv;") for note in table.notes)


def test_lists_are_known_by_their_names(tmp_path):
    for name in ("kinetics_train.csv", "k400/kinetics-400_validate.csv", "test.csv", "classes.csv", "training.csv"):
        touch(tmp_path / name)
    found = {str(path.relative_to(tmp_path)): side for path, side in find_lists(tmp_path).items()}
    assert found == {"kinetics_train.csv": "train", "k400/kinetics-400_validate.csv": "val", "test.csv": "test"}
    root = in_folders(tmp_path / "root", {"train": 8, "val": 2})
    lists = write_lists(tmp_path / "lists", {"train": 8, "val": 2}, "kinetics_{}.csv")
    table = load_table("kinetics_sounds", root, lists=str(lists))
    assert len(table.clips) == 20 and "botrain-_00003_000021_000031" in {clip.id for clip in table.clips}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("bowling,abc,ten,20,train", "line 2, column 'time_start': 'ten' is no whole number"),
        ("bowling,abc,10,5,train", "line 2, column 'youtube_id': no clip: 'abc' from 10 to 5 s"),
        ("bowling,,10,20,train", "line 2, column 'youtube_id'"),
        ("bowling,abc,10,train", "line 2: 4 cells, but the header has 5"),
    ],
)
def test_lines_that_do_not_fit(line, why, tmp_path):
    (tmp_path / "train.csv").write_text(f"{HEADER}\n{line}\n")
    with pytest.raises(DataError, match=rf"train\.csv, {why}"):
        read_list(tmp_path / "train.csv", "train")
    (tmp_path / "train.csv").write_text("label,youtube_id,time_strt,time_end\n")
    with pytest.raises(DataError, match="Did you mean 'time_start'"):
        read_list(tmp_path / "train.csv", "train")
    (tmp_path / "train.csv").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match="LFS pointer"):
        read_list(tmp_path / "train.csv", "train")


def test_what_is_not_there_is_said(tmp_path):
    for root in (tmp_path / "none", tmp_path):
        with pytest.raises(DatasetNotFoundError, match=r"(?s)Kinetics-Sounds is not at .*train/playing drums/"):
            load_table("kinetics_sounds", root)
    write_lists(tmp_path, {"train": 4})
    with pytest.raises(DatasetNotFoundError, match="none of the 8 clips listed"):
        load_table("kinetics_sounds", tmp_path)
    with pytest.raises(DatasetNotFoundError, match="no lists of Kinetics .* in nowhere"):
        load_table("kinetics_sounds", tmp_path, lists="nowhere")
    with pytest.raises(ConfigError, match="strumming is 'yes'"):
        load_table("kinetics_sounds", tmp_path, strumming="yes")
