"""Files whole or absent: written beside their place and moved there. All that is written so goes through here."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import itertools
import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import IO, Any

from counterpoint import _checksums
from counterpoint._csv_cells import guarded, unguarded
from counterpoint.errors import WriteError

_NUMBER = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust, such as safetensors, name an error of the system."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_DISKS = (*_FULL, errno.EROFS, errno.EIO)


@contextlib.contextmanager
def replacing(path: Path, *, shared: bool = False, sync: bool = False, checked: bool = False) -> Iterator[Path]:
    """A context that gives the path of a file to write, beside `path`, which takes the place of `path` at the end.

    Where the block fails, that file is removed, and what stood at `path` stays.

    Args:
        path: of the file; its folder is made where it is missing.
        shared: several processes or threads may write it at once: each writes a file of its own.
        sync: have it on the disk before it is moved, and that it was moved, too.
        checked: keep its digest beside it, see `counterpoint._checksums`; implies `sync`. The folder must be held by
            this process alone.

    Raises:
        OSError: the folder cannot be made, or the file not be moved.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part" if shared else f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if sync or checked:
            _sync(part)
        if checked:
            with _checksums.moving(part, path):
                part.replace(path)
        else:
            _checksums.forget(path)
            part.replace(path)
        if sync or checked:
            _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path, *, shared: bool = False, checked: bool = False) -> Iterator[Path]:
    """As `replacing`, for whoever has nothing better to say of a full disk than that.

    Raises:
        WriteError: the file cannot be written.
    """
    size = 0
    try:
        with replacing(path, shared=shared, checked=checked) as part:
            try:
                yield part
            except BaseException:
                with contextlib.suppress(OSError):
                    size = part.stat().st_size
                raise
    except Exception as error:
        _tell(path, error, size)
        raise


@contextlib.contextmanager
def telling(path: Path) -> Iterator[None]:
    """A context in which errors of the file system, as other libraries wrap them too, become one line about `path`.

    Raises:
        WriteError: says which file, why, and what it needs.
    """
    try:
        yield
    except Exception as error:
        _tell(path, error)
        raise


def _tell(path: Path, error: Exception, size: int = 0) -> None:
    number = None if isinstance(error, WriteError) else _number_of(error)
    if number is not None:
        raise WriteError(
            f"{path} cannot be written: {os.strerror(number)}{_need(path, number, size)}", number
        ) from error


def _number_of(error: BaseException | None) -> int | None:
    """Of the system's error that is behind another one: torch and safetensors raise their own.

    What merely came up while another error was handled counts only where that one is of a disk.
    """
    caused = True
    while error is not None:
        found = _NUMBER.search(str(error))
        number = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
        if number is not None and (caused or number in _OF_DISKS):
            return number
        caused = caused and error.__cause__ is not None
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _need(path: Path, number: int, size: int) -> str:
    if number not in _FULL:
        return ""
    with contextlib.suppress(OSError):
        size = max(size, path.stat().st_size)  # what it needed last time tells more than how far this time came
    needs = f"; it needs {_in_words(size)} or more" if size else ""
    try:
        return f"{needs}, {_in_words(shutil.disk_usage(path.parent).free)} are free"
    except OSError:
        return needs


def _in_words(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def fsync(descriptor: int) -> None:
    """Have an open file on the disk, where the file system can; some network file systems refuse."""
    with contextlib.suppress(OSError):
        os.fsync(descriptor)


def _sync(path: Path) -> None:
    """Have a file, or what is in a folder, on the disk."""
    with contextlib.suppress(OSError):  # a folder cannot be opened everywhere
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str, *, shared: bool = False, checked: bool = False) -> None:
    """Write a file whole or not at all; its folder is made where it is missing.

    Args:
        path: of the file.
        text: what goes in.
        shared: several processes may write it at once.
        checked: keep its digest beside it.

    Raises:
        WriteError: it cannot be written.
    """
    with writing(path, shared=shared, checked=checked) as part:
        part.write_text(text, encoding="utf-8")


def to_json(values: Any, *, indent: int | None = 2) -> str:
    """JSON as it is written to files: text as it stands, and null for NaN and infinities, for which JSON has no word.

    Raises:
        TypeError: something that JSON does not know.
    """
    return json.dumps(_finite(values), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(values: Any) -> Any:
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    if isinstance(values, Mapping):
        return {key: _finite(value) for key, value in values.items()}
    return [_finite(value) for value in values] if isinstance(values, list | tuple) else values


def write_json(path: Path, values: Mapping[str, Any], *, shared: bool = False, checked: bool = False) -> None:
    """Write a mapping as indented JSON; see `write_text`."""
    write_text(path, to_json(values) + "\n", shared=shared, checked=checked)


def write_csv(
    path: Path, rows: Iterable[Mapping[str, Any]], columns: Iterable[str] | None = None, *, checked: bool = False
) -> None:
    """Write rows, as they come, under one header: `columns`, or the keys of the first row."""
    rows = iter(rows)
    first = next(rows, None)
    names = list(columns) if columns is not None else list(first or ())
    with writing(path, checked=checked) as part, part.open("w", newline="", encoding="utf-8") as file:
        _write_rows(file, names, itertools.chain([first] if first is not None else [], rows), header=True)


def append_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows; a file with other columns is written anew with both, and what it lacks is empty.

    A last line that a kill has cut off goes first. What cannot be written whole is taken back.

    Raises:
        WriteError: they cannot be written.
    """
    if not rows:
        return
    columns, header = list(rows[0]), _header(path)
    if header not in (None, columns):
        write_csv(path, [*read_csv(path), *rows], merged(columns, header or ()))
        return
    text = io.StringIO(newline="")
    _write_rows(text, columns, rows, header=header is None)
    with telling(path), path.open("r+b" if path.exists() else "xb", buffering=0) as file:
        end = 0 if header is None else _end_of_lines(file)
        file.truncate(end)
        file.seek(end)
        left = memoryview(text.getvalue().encode())
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(end)
            raise


class _Lines:
    """A file for a `csv.writer` that ends lines by both characters, so as to quote cells with either; we end by one."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def write(self, row: str) -> int:
        return self.file.write(f"{row[:-2]}\n")


def _write_rows(file: IO[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, header: bool) -> None:
    writer = csv.DictWriter(_Lines(file), columns, lineterminator="\r\n")
    if header:
        writer.writerow({column: guarded(column) for column in columns})
    writer.writerows({column: guarded(value) for column, value in row.items()} for row in rows)


def _header(path: Path) -> list[str] | None:
    """The columns of a file; None where there is no file, or its header was cut off. A name may have several lines."""
    last = ""

    def lines(file: Iterable[str]) -> Iterator[str]:
        nonlocal last
        for line in file:
            last = line
            yield line

    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            cells = next(csv.reader(lines(file), strict=True), [])
    except (FileNotFoundError, csv.Error):
        return None
    return [unguarded(cell) for cell in cells] if last.endswith("\n") else None


def _end_of_lines(file: FileIO) -> int:
    """Behind the last whole line."""
    at = file.seek(0, os.SEEK_END)
    while at:
        size = min(at, 2**16)
        at = file.seek(at - size)
        if (found := file.read(size).rfind(b"\n")) >= 0:
            return at + found + 1
    return 0


def merged(columns: Iterable[str], header: Iterable[str]) -> list[str]:
    """The columns of a file with those of `header` that gets rows with `columns`."""
    return list(dict.fromkeys([*columns, *header]))


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows as they were given, every value a string; empty where there is no such file.

    A last line without its end was cut off, whatever it still seems to say, and is left out.
    """
    try:
        whole = path.read_bytes().rpartition(b"\n")
    except FileNotFoundError:
        return []
    rows = csv.reader(io.StringIO(b"".join(whole[:2]).decode(errors="replace"), newline=""))
    header = [unguarded(cell) for cell in next(rows, [])]
    return [dict(zip(header, map(unguarded, row), strict=False)) for row in rows if row]
