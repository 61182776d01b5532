import csv
import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data import load_table, prepare
from counterpoint.data.datasets.vggsound import read_list
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from counterpoint.media.encode import write_clip

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
LABELS = ("people marching", "bird chirping, tweeting", "airplane")
# As the official file is, with quotes where a label holds a comma.
ROWS = [
    (f"{label[:3].replace(' ', '_')}--{number:04d}_-", 10 * number, label, "test" if number % 4 == 3 else "train")
    for label in LABELS
    for number in range(12)
]


def write_list(path, rows=ROWS, quoted=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        if quoted:
            writer.writerow(row)
        else:
            out.write(",".join(map(str, row)) + "\n")
    path.write_text(out.getvalue())
    return path


def name_of(row, style="{0}_{1:06d}"):
    return style.format(row[0], row[1], row[1] + 10, 1000 * row[1], 1000 * row[1] + 10000)


def copy_of(root, style="{0}_{1:06d}", folder="video", rows=ROWS):
    """The official layout; listing opens no video, so that empty files will do."""
    write_list(root / "vggsound.csv")
    (root / folder).mkdir(parents=True)
    for row in rows:
        (root / folder / f"{name_of(row, style)}.mp4").touch()
    return root


def test_labels_with_commas_and_the_given_split(tmp_path):
    table = load_table("vggsound", copy_of(tmp_path))
    assert table.classes == ("airplane", "bird chirping, tweeting", "people marching")
    clips = {clip.id: clip for clip in table.clips}
    assert len(clips) == 36 and not table.rejected
    for row in ROWS:
        clip = clips[name_of(row)]
        assert table.classes[clip.label] == row[2] and clip.group == row[0]
        assert (clip.split == "test") == (row[3] == "test")
    assert Counter(clip.split for clip in table.clips) == {"train": 24, "val": 3, "test": 9}
    assert table.group_word == "source video" and not table.shared_groups()
    assert any("3 classes, not the 309" in note for note in table.notes)
    assert (table.media.seconds, table.media.sample_rate, table.media.num_frames) == (10.0, 16000, 3)


@pytest.mark.parametrize(
    "style", ["{0}_{1}", "{0}_{1:06d}_{2:06d}", "{0}_{1}_{2}", "{0}_{3}_{4}", "{0}", "{0}_{1:06d}"]
)
def test_spellings_of_files_and_folders(style, tmp_path):
    table = load_table("vggsound", copy_of(tmp_path, style, "somewhere/deeper"))
    assert len(table.clips) == 36 and not table.rejected
    assert {clip.path.name for clip in table.clips} == {f"{name_of(row, style)}.mp4" for row in ROWS}


def test_a_name_without_a_second_is_not_guessed(tmp_path):
    rows = [*ROWS, (ROWS[0][0], 300, LABELS[0], "train")]
    root = copy_of(tmp_path, "{0}")
    write_list(root / "vggsound.csv", rows)
    assert set(load_table("vggsound", root).rejected) == {name_of(ROWS[0]), name_of(rows[-1])}


def test_files_of_one_name_are_counted(tmp_path):
    root = copy_of(tmp_path)
    double = next((root / "video").iterdir())
    (root / "z").mkdir()
    (root / "z" / double.name).touch()
    notes = load_table("vggsound", root).notes
    assert f"Left out: 1 files that share their name with another, e.g. z/{double.name}." in notes


def test_missing_videos_are_counted_and_reported(tmp_path):
    root = copy_of(tmp_path, rows=ROWS[2:])
    table = load_table("vggsound", root)
    assert set(table.rejected) == {name_of(row) for row in ROWS[:2]}
    assert all("lists it for train, but its video is missing" in reason for reason in table.rejected.values())
    assert "Missing videos: 2 of 27 train, 0 of 9 test clips; figures are not those of the full dataset." in table.notes
    with pytest.raises(DataError, match="36 of 36 clips"):  # the videos are empty files; the missing count too
        prepare(table, cache=tmp_path / "cache", jobs=0)


def test_commas_without_quotes_a_header_and_another_place(tmp_path):
    path = write_list(tmp_path / "lists" / "vggsound.csv", quoted=False)
    expected = read_list(write_list(tmp_path / "quoted.csv"))
    assert read_list(path) == expected
    path.write_text("# YouTube ID,start seconds,label,train/test split\n" + path.read_text())
    assert read_list(path) == expected
    root = copy_of(tmp_path / "root")
    (root / "vggsound.csv").unlink()
    for given_path in (path, path.parent):
        assert len(load_table("vggsound", root, csv=str(given_path)).clips) == 36
    path.rename(root / "video" / "vggsound.csv")
    assert len(load_table("vggsound", root).clips) == 36


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("abc,ten,airplane,train", "line 2, column 'start': 'ten' is not an int of 0 or more"),
        ("abc,-1,airplane,train", "line 2, column 'start'"),
        ("abc,nan,airplane,train", "line 2, column 'start'"),
        ("abc,1e999,airplane,train", "line 2, column 'start'"),
        ("abc,1,airplane,trian", "line 2, column 'split': 'trian' is no split. Did you mean 'train'"),
        ("abc,1,,train", "line 2, column 'label': is empty"),
        (",1,airplane,train", "line 2, column 'video': is empty"),
        ("abc,1,airplane", "line 2: 3 cells, but there must be 4"),
        ("xyz,5,airplane,test", "line 2, column 'video': xyz_000005 is listed already, in line 1"),
        ('abc,1,"airplane,train', "line 2"),
    ],
)
def test_lines_that_do_not_fit(line, why, tmp_path):
    path = tmp_path / "vggsound.csv"
    path.write_text(f"xyz,5,airplane,train\n{line}\n")
    with pytest.raises(DataError, match=rf"vggsound\.csv, {why}"):
        read_list(path)


@given(st.binary(max_size=60) | st.text(alphabet='ab,"1\n\r train', max_size=80).map(str.encode))
def test_any_file_is_a_list_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "vggsound.csv"
    path.write_bytes(content)
    try:
        listed = read_list(path)
    except DataError as error:
        assert "vggsound.csv" in str(error)
        return
    assert listed and all(row.split in ("train", "test") and row.start >= 0 and row.video for row in listed)


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(DatasetNotFoundError, match=r"(?s)no vggsound.csv in .*(empty|none).*vgg/data/.*video/"):
            load_table("vggsound", root)
    with pytest.raises(DatasetNotFoundError, match=r"no vggsound.csv in nowhere\."):
        load_table("vggsound", tmp_path, csv="nowhere")
    with pytest.raises(DatasetNotFoundError, match="None of the 36 videos"):
        load_table("vggsound", copy_of(tmp_path / "a", rows=[]))
    root = copy_of(tmp_path / "b")
    with pytest.raises(ConfigError, match="val is 2"):
        load_table("vggsound", root, val=2)
    (root / "vggsound.csv").write_text(POINTER)
    with pytest.raises(DataError, match="Git LFS pointer"):
        load_table("vggsound", root)
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "moved"))
    with pytest.raises(DatasetNotFoundError, match="moved"):
        load_table("vggsound")


def test_the_whole_way(tmp_path):
    """Clips are decoded, and each bad one is set aside with its reason."""
    rows = ROWS[:4] + ROWS[24:28]
    write_list(tmp_path / "vggsound.csv", rows)
    for k, row in enumerate(rows):
        path = tmp_path / "video" / f"{name_of(row)}.mp4"
        path.parent.mkdir(exist_ok=True)
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
        write_clip(path, tone.astype(np.float32), np.full((5, 16, 16, 3), 20 * k, np.uint8), fps=5, sample_rate=8000)
    (tmp_path / "video" / f"{name_of(rows[0])}.mp4").write_text(POINTER)
    (tmp_path / "video" / f"{name_of(rows[1])}.mp4").write_bytes(b"")
    table = load_table("vggsound", tmp_path, val=0)
    spec = replace(table.media, sample_rate=8000, seconds=1.0, size=8)
    prepared = prepare(table, spec, cache=tmp_path / "cache", max_bad=0.5, jobs=0)
    assert {name: reason.split(";")[0] for name, reason in prepared.skipped.items()} == {
        name_of(rows[0]): "it is a Git LFS pointer, not the file itself",
        name_of(rows[1]): "the file is empty",
    }
    item = prepared.split("test")[0]
    assert item["audio"].shape == (8000,) and item["visual"].shape == (3, 8, 8, 3)
