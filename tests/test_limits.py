"""Files without end: refused in one line, soon, and without filling the memory."""

import os
import resource
import time

import pytest

from counterpoint._limits import read_bytes, read_json
from counterpoint.data.datasets._kinetics_lists import find_lists
from counterpoint.data.datasets.ravdess import _find_landmarks
from counterpoint.data.io import media_files
from counterpoint.data.io.csv_tables import read_text
from counterpoint.data.io.media_files import files_by_name
from counterpoint.data.videos import list_videos
from counterpoint.errors import ConfigError, CounterpointError, DatasetNotFoundError
from counterpoint.media.faces import read_landmarks
from counterpoint.media.spec import MediaSpec
from counterpoint.models import from_pretrained
from counterpoint.training.config_io import line_of, read_yaml
from counterpoint.training.run_dir import read_result

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: v}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture(autouse=True)
def bounded():
    began, held = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.monotonic() - began < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 400_000  # KiB


READERS = {
    "yaml": lambda path: read_yaml(path),
    "lines of yaml": lambda path: line_of(path, "a"),
    "json": lambda path: read_json(path),
    "table": lambda path: read_text(path),
    "landmarks": lambda path: read_landmarks(path),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["pipe", "zeros", "large", "link to itself", "folder"])
def test_what_is_no_file_of_a_usual_size_is_refused(reader, kind, tmp_path):
    path = tmp_path / "a_file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zeros":
        path.symlink_to("/dev/zero")
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(2**40)  # takes no room
    with pytest.raises((CounterpointError, OSError), match="a_file") as caught:
        READERS[reader](path)
    assert "\n" not in str(caught.value)


def test_a_file_that_grows_while_it_is_read_is_cut_short(tmp_path):
    for path in ("/proc/kallsyms", "/proc/self/smaps"):  # say that they have no bytes
        if os.path.exists(path):  # noqa: PTH110
            with pytest.raises(CounterpointError, match="more than"):
                read_bytes(media_files.Path(path), 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 65,536 values"),
        (MERGES, "more than 65,536 values"),
        ("[" * 200_000, "nested too deep"),
        ("{a: " * 60_000, "nested too deep"),
        ("- " * 100_000, "nested too deep"),
        ("? " * 100_000, "nested too deep"),
        ("a: &a [*a]", "contains itself"),
        ("a: " + "9" * 100_000, "int"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("x: y\n" * 100_000, "MiB"),
    ],
    ids=["aliases", "merges", "lists", "mappings", "dashes", "keys", "itself", "digits", "tag", "long"],
)
def test_yaml_bombs(text, message, tmp_path):
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"bomb.yaml.*{message}"):
        read_yaml(path)


def test_yaml_that_uses_aliases_is_read(tmp_path):
    path = tmp_path / "fine.yaml"
    path.write_text("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]\n")
    assert read_yaml(path) == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}, {"x": 1}]}
    path.write_text("")
    assert read_yaml(path) is None


def test_yaml_of_the_largest_size_takes_seconds(tmp_path):
    path = tmp_path / "long.yaml"
    path.write_text("".join(f"key{k}: [1, 2]\n" for k in range(4_000)))
    assert len(read_yaml(path)) == 4_000


@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**6, "9" * 10**5, "nul", ""])
def test_json_bombs(text, tmp_path):
    path = tmp_path / "bomb.json"
    path.write_text(text)
    with pytest.raises(CounterpointError, match=r"bomb\.json.*(nested too deep|not JSON)"):
        read_json(path)


def test_folders_that_lead_into_themselves_and_pipes_in_them(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "itself.mp4").symlink_to(tmp_path / "a" / "itself.mp4")
    os.mkfifo(tmp_path / "a" / "pipe.mp4")
    assert set(files_by_name(tmp_path, {".mp4"})) == {"itself", "pipe"}
    with pytest.raises(DatasetNotFoundError):
        list_videos(tmp_path, MediaSpec())


LISTERS = {
    "clips": lambda folder: files_by_name(folder, {".mp4"}),
    "videos": lambda folder: list_videos(folder, MediaSpec()),
    "lists of Kinetics": find_lists,
    "landmarks of RAVDESS": lambda folder: _find_landmarks(folder, str(folder)),
}


@pytest.mark.parametrize("lister", LISTERS)
def test_folders_of_more_files_than_any_dataset_has(lister, tmp_path, monkeypatch):
    for k in range(4):
        (tmp_path / f"01-01-0{k + 1}-01-01-01-01.mp4").write_text("")
    monkeypatch.setattr(media_files, "FILES", 3)
    with pytest.raises(CounterpointError, match="more than 3 files"):
        LISTERS[lister](tmp_path)


@pytest.mark.parametrize("reader", [from_pretrained, read_result])
def test_a_folder_from_elsewhere_may_hold_a_bomb(reader, tmp_path):
    for name in ("config.json", "result.json"):
        (tmp_path / name).write_text("[" * 10**6)
    with pytest.raises(CounterpointError, match="nested too deep"):
        reader(tmp_path)
