"""Files are whole or absent, whatever goes wrong while they are written."""

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from counterpoint import _atomic
from counterpoint.errors import RunError, WriteError
from small_disk import file_size


@pytest.mark.parametrize("shared", [False, True])
def test_a_file_that_fails_while_it_is_written_leaves_what_was_there(tmp_path, shared):
    path = tmp_path / "new" / "a.bin"
    with _atomic.replacing(path, shared=shared, sync=True) as part:
        assert part.parent == path.parent and not path.exists()
        part.write_bytes(b"first")
    assert path.read_bytes() == b"first"
    with pytest.raises(ZeroDivisionError), _atomic.replacing(path, shared=shared) as part:
        part.write_bytes(b"half")
        _ = 1 / 0
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"] and path.read_bytes() == b"first"


def test_two_writers_of_a_shared_file_do_not_meet(tmp_path):
    path = tmp_path / "a"
    with _atomic.replacing(path, shared=True) as one, _atomic.replacing(path, shared=True) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # whoever ends last


def test_rows_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "a.csv"
    assert _atomic.read_csv(path) == []
    _atomic.append_csv(path, [])
    assert not path.exists()
    _atomic.append_csv(path, [{"a": "1", "b": "x,y"}])
    _atomic.append_csv(path, [{"a": "2", "b": 'say "z"'}])
    rows = [{"a": "1", "b": "x,y"}, {"a": "2", "b": 'say "z"'}]
    assert _atomic.read_csv(path) == rows
    _atomic.write_csv(path, iter(rows))
    assert _atomic.read_csv(path) == rows
    _atomic.write_csv(path, [], ("a", "b"))
    assert path.read_text() == "a,b\n"


def test_rows_with_other_columns_stand_under_their_own(tmp_path):
    path = tmp_path / "a.csv"
    _atomic.append_csv(path, [{"a": "1", "b": "2"}])
    _atomic.append_csv(path, [{"a": "3", "new": "4", "b": "5"}])
    _atomic.append_csv(path, [{"a": "6", "new": "7", "b": "8"}])
    assert path.read_text() == "a,new,b\n1,,2\n3,4,5\n6,7,8\n"


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file/a.txt cannot be written: "):
        _atomic.write_text(tmp_path / "file" / "a.txt", "text")


WRITTEN = b"epoch,loss\n1,0.5\n11,0.25\n"


@pytest.mark.parametrize("column", ["two\nlines", "two\r\nlines", 'a "quoted\n" one'])
def test_a_column_of_several_lines_cut_at_any_byte_goes_on(tmp_path, column):
    path, rows = tmp_path / "a.csv", [{column: "1", "b": "2"}, {column: "3", "b": "4"}]
    _atomic.append_csv(path, rows[:1])
    _atomic.append_csv(path, rows[1:])
    whole = path.read_bytes()
    assert _atomic.read_csv(path) == rows and whole.count(b"lines" if "lines" in column else b"quoted") == 1
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        kept = [row for row in rows if at >= whole.index(f"{row[column]},".encode()) + 4]
        _atomic.append_csv(path, rows[1:])
        assert _atomic.read_csv(path) == [*kept, rows[1]]


@pytest.mark.parametrize("at", range(len(WRITTEN) + 1))
def test_a_file_cut_at_any_byte_has_its_whole_rows_and_goes_on(tmp_path, at):
    path = tmp_path / "a.csv"
    path.write_bytes(WRITTEN[:at])
    whole = WRITTEN[:at].count(b"\n")
    rows = [{"epoch": "1", "loss": "0.5"}, {"epoch": "11", "loss": "0.25"}][: max(0, whole - 1)]
    assert _atomic.read_csv(path) == rows
    _atomic.append_csv(path, [{"epoch": 12, "loss": 0.125}])
    assert _atomic.read_csv(path) == [*rows, {"epoch": "12", "loss": "0.125"}]
    assert path.read_bytes().startswith(b"epoch,loss\n")


def test_rows_that_do_not_fit_on_the_disk_are_taken_back(tmp_path):
    path = tmp_path / "a.csv"
    _atomic.append_csv(path, [{"a": "1"}])
    with file_size(4_000), pytest.raises(WriteError, match=r"a\.csv cannot be written: File too large.* MB are free"):
        _atomic.append_csv(path, [{"a": "2" * 10_000}])
    assert path.read_text() == "a\n1\n"


@pytest.mark.parametrize("kind", ["text", "csv", "npz", "torch", "safetensors"])
def test_whatever_writes_a_full_disk_is_told_in_one_line(tmp_path, kind):
    path = tmp_path / "a.bin"
    path.write_bytes(b"0" * 200_000)
    tensor = torch.zeros(100_000)
    with file_size(50_000), pytest.raises(WriteError) as told, _atomic.writing(path) as part:
        if kind == "text":
            part.write_text("0" * 100_000)
        elif kind == "csv":
            with part.open("w") as file:
                csv.writer(file).writerows([[0] * 100] * 1000)
        elif kind == "npz":
            with part.open("wb") as file:
                np.savez(file, a=tensor.numpy())
        elif kind == "torch":
            with part.open("wb") as file:
                torch.save({"a": tensor}, file)
        else:
            save_file({"a": tensor}, part)
    assert str(told.value).startswith(f"{path} cannot be written: File too large; it needs 0.2 MB or more, ")
    assert told.value.errno == errno.EFBIG and "\n" not in str(told.value)
    assert path.stat().st_size == 200_000 and len(list(tmp_path.iterdir())) == 1


def test_an_error_that_came_up_beside_another_is_not_taken_for_it(tmp_path):
    with pytest.raises(ZeroDivisionError), _atomic.writing(tmp_path / "a"):
        try:
            (tmp_path / "nothing").read_text()
        except FileNotFoundError:
            _ = 1 / 0


def test_an_error_that_is_not_of_the_disk_stays_what_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), _atomic.writing(tmp_path / "a"):
        _ = 1 / 0


def test_json_has_null_for_what_is_no_number(tmp_path):
    nan, inf = float("nan"), float("inf")
    _atomic.write_json(tmp_path / "a.json", {"a": nan, "b": [inf, {"c": (-inf, 1.5)}], "d": "NaN", "e": None})
    text = (tmp_path / "a.json").read_text()
    values = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert values == {"a": None, "b": [None, {"c": [None, 1.5]}], "d": "NaN", "e": None}


DUMPS = {
    "_atomic.py": "is the one writer",
    "_lock.py": "of its holder: numbers of the system",
    "commands/reproduce.py": "of configurations, read back at once",
    "commands/runs.py": "of configurations, read back at once",
    "data/cache/shards.py": "of keys and places, with names of files whose bytes are no text",
    "data/features/writer.py": "of settings and a digest, into HDF5",
    "data/lengths.py": "for a digest",
    "data/talkers/plan.py": "for a digest",
    "experiments/worker.py": "of configurations, read back at once",
    "training/config_io.py": "of configurations, to find what JSON does not know",
    "training/resolve.py": "for a key",
    "training/run_dir.py": "of configurations, read back at once",
}


def test_json_is_written_by_one_function():
    source = Path(_atomic.__file__).parent
    found = {str(path.relative_to(source)) for path in source.rglob("*.py") if "json.dump" in path.read_text()}
    assert found == set(DUMPS)
