"""Files are whole or absent, whatever goes wrong while they are written."""

import pytest

from counterpoint import _atomic
from counterpoint.errors import RunError


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
