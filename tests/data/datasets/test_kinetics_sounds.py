from collections import Counter

import pytest

from counterpoint.data import load_table
from counterpoint.data.datasets._kinetics_lists import find_lists, read_list, read_ogm_ge
from counterpoint.data.datasets.kinetics_sounds import CLASSES
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
    assert table.classes == CLASSES and not table.rejected
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


def test_what_is_passed_over_is_counted(tmp_path):
    root = with_lists(tmp_path / "lists", {"train": 8, "val": 2})
    row = ",".join(map(str, clips("train", 1)[0]))
    with (root / "annotations" / "val.csv").open("a") as file:
        file.write(f"{row}\n")
    double = next((root / "videos").glob("bowling*" if list((root / "videos").glob("bowling*")) else "*.mp4"))
    touch(root / "elsewhere" / double.name)
    notes = load_table("kinetics_sounds", root).notes
    assert "Passed over: 20 clips of other classes." in notes
    assert "Passed over: 1 lines whose clip is listed before." in notes
    assert any(note.startswith("Left out: 1 files that share their name with another, e.g. ") for note in notes)
    root = in_folders(tmp_path / "folders", {"train": 8, "val": 2})
    touch(root / "train" / "playing drums" / next((root / "train" / "bowling").iterdir()).name)
    touch(root / "drafts" / "bowling" / "x.mp4")
    notes = load_table("kinetics_sounds", root).notes
    assert "Passed over: 1 folders whose name is no split." in notes
    assert "Passed over: 1 clips whose name is there before." in notes


def test_a_test_list_without_labels_is_passed_over(tmp_path):
    root = with_lists(tmp_path, {"train": 8, "val": 3})
    (root / "annotations" / "test.csv").write_text("youtube_id,time_start,time_end,split\nabc,0,10,test\n")
    table = load_table("kinetics_sounds", root)
    assert "Test: the validation set of Kinetics." in table.notes and not table.rejected
    (root / "annotations" / "train.csv").write_text("youtube_id,time_start,time_end,split\nabc,0,10,train\n")
    with pytest.raises(DataError, match=r"train\.csv, line 2, column 'label': is empty"):
        load_table("kinetics_sounds", root)


def test_a_missing_video_is_refused(tmp_path):
    root = with_lists(tmp_path, {"train": 8, "val": 3})
    (root / "videos" / "botrain-_00001_000007_000017.mp4").unlink()
    (root / "videos" / "abtrain-_00001_000007_000017.mp4").unlink()  # of a class that is not asked for
    table = load_table("kinetics_sounds", root)
    assert table.rejected == {"botrain-_00001_000007_000017": "train.csv lists it, but its video is missing"}
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


def ogm_ge(folder, sides):
    """Its lists: number 5 is bowling, 9 playing drums; nothing says so."""
    folder.mkdir(exist_ok=True)
    for side, rows in sides.items():
        lines = [f"{video}_{start},10,{5 if label == 'bowling' else 9}" for label, video, start, _, _ in rows]
        (folder / f"my_{side}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("make", [with_lists, in_folders])
def test_ogm_ges_lists(make, tmp_path):
    root = make(tmp_path / "root", {"train": 8, "val": 4})
    heard = [row for side, count in (("train", 8), ("val", 4)) for row in clips(side, count) if row[0] in SOME[:2]]
    gone = ("bowling", "gone_______", 3, 13, "train")
    lists = ogm_ge(tmp_path / "lists", {"train": [*heard[::2], gone], "test": heard[3::4]})
    table = load_table("kinetics_sounds", root, lists=str(lists))
    videos = {clip.group: clip for clip in table.clips}
    assert set(videos) == {row[1] for row in (*heard[::2], *heard[3::4])}
    assert {video for video, clip in videos.items() if clip.split == "test"} == {row[1] for row in heard[3::4]}
    assert all(table.classes[videos[row[1]].label] == row[0] for row in heard[::2])
    assert table.rejected == {"gone________000003": "my_train.txt lists it, but no video of these classes is there"}
    assert any(clip.split == "val" for clip in table.clips)
    ogm_ge(lists, {"train": [*heard[::2], ("singing", *heard[1][1:])], "test": heard[3::4]})
    swapped = (lists / "my_train.txt").read_text().replace(",9", ",5")
    (lists / "my_train.txt").write_text(swapped)
    with pytest.raises(DataError, match=r"my_train\.txt: .* is of class 5, as clips of 'bowling' are, but it is"):
        load_table("kinetics_sounds", root, lists=str(lists))
    (lists / "my_train.txt").write_text("abc,10,3\n")
    with pytest.raises(DataError, match=r"my_train\.txt, line 1, column 'clip': 'abc' is no video and second"):
        read_ogm_ge(lists)
    (lists / "my_train.txt").write_text("abc_1,10,3\nabc_1,10,4\n")
    with pytest.raises(DataError, match=r"my_train\.txt, line 2, column 'clip': abc_1 is listed already"):
        read_ogm_ge(lists)
    (lists / "my_train.txt").write_text("abc_1,10,3\n")
    (lists / "my_test.txt").write_text("abc_2,10,3\n")
    with pytest.raises(DataError, match="None of the 2 clips of my_train.txt and my_test.txt is there"):
        load_table("kinetics_sounds", root, lists=str(lists))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("bowling,abc,ten,20,train", "line 2, column 'time_start': 'ten' is not an int of 0 or more"),
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
