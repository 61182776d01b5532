from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.data import load_table
from counterpoint.errors import DataError, DatasetNotFoundError


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path)


def make(root):
    for label in ("cat", "dog", "owl"):
        (root / label).mkdir()
        for k in range(10):
            (root / label / f"{k:02}.{'MP4' if k % 2 else 'webm'}").touch()
    return root


def write(folder, *lines, header="clip,class,split,group"):
    (folder / "split.csv").write_text("\n".join([header, *lines]) + "\n")


def test_classes_are_the_folders(folder):
    (folder / ".git").mkdir()
    (folder / "notes").mkdir()
    (folder / "cat" / "readme.txt").touch()
    (folder / "cat" / "._00.mp4").touch()
    table = load_table("folder", folder)
    assert table.classes == ("cat", "dog", "owl") and len(table.clips) == 30
    assert {c.split for c in table.clips} == {"train", "val", "test"}
    assert table.clips[0].id == "cat/00.webm" and table.clips[0].path == folder / "cat/00.webm"
    notes = " ".join(table.notes)
    assert "no classes: notes" in notes and "1 .txt" in notes and "may be in training and test" in notes


def test_pictures_are_few_and_in_colour_where_nothing_is_localised(folder):
    (folder / "events.csv").write_text("clip,start,end,class\ncat/01.MP4,0,1,cat\n")
    media = load_table("folder", folder).media
    assert (media.num_frames, media.channels) == (8, 3)
    assert load_table("folder", folder, events=True).media == replace(media, frames=None)


def test_clips_in_no_folder_are_counted(folder):
    assert not any("beside the folders" in note for note in load_table("folder", folder).notes)
    (folder / "loose.mp4").touch()
    assert "Passed over: 1 clips beside the folders of classes, and in none." in load_table("folder", folder).notes


def test_split_csv_decides(folder):
    rows = [
        f"{c}/{k:02}.{'MP4' if k % 2 else 'webm'},,{s},{c}{k}"
        for c in ("cat", "dog")
        for k, s in enumerate(["train", "val", "test"])
    ]
    write(folder, *rows, "01.MP4,owl,train,", "owl/02.webm,owl,test,dog0")
    table = load_table("folder", folder)
    assert len(table.clips) == 8
    sides = {c.id: c.split for c in table.clips}
    assert sides["cat/01.MP4"] == "val" and sides["owl/01.MP4"] == "train"
    assert table.shared_groups() == {"dog0"}
    notes = " ".join(table.notes)
    assert "as split.csv says" in notes and "share 1 group (dog0)" in notes and "22 of 30 clips are not in" in notes


def test_groups_alone_draw_a_disjoint_split(folder):
    names = [f"{c}/{k:02}.{'MP4' if k % 2 else 'webm'}" for c in ("cat", "dog", "owl") for k in range(10)]
    write(folder, *[f"{n},g{k % 5}" for k, n in enumerate(names)], header="clip,group")
    table = load_table("folder", folder)
    assert not table.shared_groups() and "group-disjoint" in " ".join(table.notes)


def test_validation_is_drawn_from_train_where_there_is_none(folder):
    names = [f"{c}/{k:02}.{'MP4' if k % 2 else 'webm'}" for c in ("cat", "dog", "owl") for k in range(10)]
    write(folder, *[f"{n},{'test' if n[5] > '7' else 'train'}" for n in names if n], header="clip,split")
    table = load_table("folder", folder)
    assert len(table.split("test")) == 6 and len(table.split("val")) == 3
    assert "no validation clips" in " ".join(table.notes)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            "cat/0.webm,,train,",
            r"line 3, column 'clip': there is no clip 'cat/0\.webm'\. Did you mean 'cat/0\d\.webm'\?",
        ),
        ("cta/00.webm,,train,", r"column 'clip': .*Did you mean 'cat'\?"),
        ("cat/00.webm,,trian,", r"column 'split': 'trian' is no split\. Did you mean 'train'\?"),
        ("00.webm,cta,train,", r"column 'class': there is no folder 'cta' with clips\. Did you mean 'cat'\?"),
        ("cat/00.webm,dog,train,", "column 'class': 'dog', but the clip is in the folder 'cat'"),
        ("00.webm,,train,", "does not say its folder"),
        ("dog/00.webm,,test,", "is listed already, in line 2"),
        (",,train,", "column 'clip': is empty"),
        ("cat/00.webm,,,", "column 'split': is empty, but other rows"),
        ("cat/00.webm,train", "line 3: 2 cells, but the header has 4"),
        ('"cat/00.webm,,train,', "line 3"),
    ],
)
def test_bad_rows_are_named(folder, row, why):
    write(folder, "dog/00.webm,,train,a", row)
    with pytest.raises(DataError, match=why):
        load_table("folder", folder)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("clip,clas,split,group", r"unknown column 'clas'\. Did you mean 'class'\?"),
        ("class,split,group", "column 'clip' is missing"),
        ("clip,clip,split,group", "is there twice"),
    ],
)
def test_bad_headers_are_named(folder, header, why):
    write(folder, header=header)
    with pytest.raises(DataError, match=why):
        load_table("folder", folder)


def test_bad_tables_are_named(folder):
    for content, why in (
        (b"", "is empty"),
        (b"clip,split\n", "has no rows"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
    ):
        (folder / "split.csv").write_bytes(content)
        with pytest.raises(DataError, match=why):
            load_table("folder", folder)


def test_byte_order_mark_and_windows_lines_are_read(folder):
    names = [f"{c}\\{k:02}.{'MP4' if k % 2 else 'webm'}" for c in ("cat", "dog", "owl") for k in range(10)]
    (folder / "split.csv").write_bytes(("\ufeffclip\r\n" + "\r\n".join(names) + "\r\n").encode())
    assert len(load_table("folder", folder).clips) == 30


def test_a_class_without_training_clips_is_named(folder):
    write(folder, "cat/00.webm,,train,", "cat/02.webm,,val,", "dog/00.webm,,test,")
    with pytest.raises(DataError, match="class 'dog' has no clip in train"):
        load_table("folder", folder)


def test_missing_folders_say_how_they_must_look(tmp_path):
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.mp4").touch()
    for root, why in ((None, "data.root"), (tmp_path / "no", "There is no folder"), (tmp_path, "only one class")):
        with pytest.raises(DatasetNotFoundError, match=why) as caught:
            load_table("folder", root)
        assert "my_clips/" in str(caught.value) and "split.csv" in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60)
    | st.text(alphabet='cat/0webm,\n".\x00 trainvsplitgroup').map(
        lambda rows: ("clip,class,split,group\n" + rows).encode()
    )
    | st.lists(
        st.sampled_from(["cat/00.webm", "dog/00.webm", "", "train", "test", "val", "cat", "a"]), max_size=40
    ).map(
        lambda cells: "\n".join(
            ["clip,class,split,group", *(",".join(cells[k : k + 4]) for k in range(0, len(cells), 4))]
        ).encode()
    )
)
def test_any_split_csv_is_a_table_or_a_data_error(shared_folder, content):
    (shared_folder / "split.csv").write_bytes(content)
    try:
        table = load_table("folder", shared_folder)
    except DataError:
        return
    assert table.clips and all(c.path.exists() for c in table.clips)
