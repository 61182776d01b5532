"""What is told of a file before anything reads it: whether it is there, and is itself; and cells of tables."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Iterator
from pathlib import Path

LFS_POINTER = "it is a Git LFS pointer, not the file itself; run `git lfs pull`"

_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_BYTES = 1024  # pointers are smaller; larger files need not be opened to know


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is the stand-in that Git LFS leaves where the content was not fetched.

    Raises:
        OSError: the file cannot be read.
    """
    if path.stat().st_size >= _LFS_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(_LFS)) == _LFS


def what_is_wrong(path: Path) -> str:
    """Why a file cannot be used, as far as that is known without reading it; empty where nothing is wrong."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            return "it is a folder, not a file"
        if not stat.S_ISREG(found.st_mode):
            return "it is not a regular file"
        if found.st_size == 0:
            return "the file is empty"
        return LFS_POINTER if is_lfs_pointer(path) else ""
    except FileNotFoundError:
        return "the file is missing"
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        return f"the file cannot be opened ({getattr(error, 'strerror', None) or error})"


def cells_of(text: str, delimiter: str = ",", *, blanks: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line of a table.

    Args:
        text: of the table.
        delimiter: what stands between cells.
        blanks: pass over blanks behind delimiters.

    Raises:
        ValueError: a quote that is never closed, or closed within a cell; the message has the line.
    """
    # strict: a quote that is never closed would swallow the rest of the file without a word.
    table = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter, skipinitialspace=blanks)
    try:
        for cells in table:
            yield table.line_num, cells
    except csv.Error as error:
        raise ValueError(f"line {table.line_num}: {error}") from None
