"""Reads the text files of datasets so that a bad line is named: file, line, column, and what was probably meant."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from counterpoint.errors import DataError
from counterpoint.registry import did_you_mean

_LFS = b"version https://git-lfs.github.com/spec/"


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is the stand-in that Git LFS leaves where the content was not fetched.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_LFS)) == _LFS


def read_text(path: Path) -> str:
    """A whole UTF-8 text file, with or without a byte-order mark.

    Raises:
        DataError: it cannot be read, is not text, or is a Git LFS pointer.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    if raw.startswith(_LFS):
        raise DataError(f"{path} is a Git LFS pointer, not the file itself; run `git lfs pull`")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8") from None


@dataclass(frozen=True)
class Row(Mapping[str, str]):
    """One line of a table: column -> cell, stripped of blanks. `error` builds the exception that names it."""

    source: str
    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        """The cell of a column; empty where an optional column is absent."""
        return self.cells.get(column, "")

    def __iter__(self) -> Iterator[str]:
        """Columns."""
        return iter(self.cells)

    def __len__(self) -> int:
        """Number of columns."""
        return len(self.cells)

    def whole(self, column: str) -> int:
        """The whole number of at least 0 in a cell; ``3.0`` is one.

        Raises:
            DataError: it is none; the message says file, line and column.
        """
        if not re.fullmatch(r"[0-9]{1,15}(\.0+)?", self[column]):
            raise self.error(column, f"{self[column]!r} is no whole number")
        return int(self[column].partition(".")[0])

    def error(self, column: str, message: str) -> DataError:
        """An exception that says file, line and column."""
        return DataError(f"{self.source}, line {self.line}, column {column!r}: {message}")


def parse_csv(
    text: str,
    source: str,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
    *,
    header: bool = True,
    delimiter: str = ",",
    commas_in: str | None = None,
) -> list[Row]:
    """The rows of a table; empty lines are skipped.

    Args:
        text: the content of the file.
        source: its name, for messages.
        required: columns that must be there; with a header, order does not matter.
        optional: columns that may be there; others are an error, so that a misspelt one is not overlooked.
        header: the first line names the columns; without, they are the required ones in their order.
        delimiter: what stands between cells.
        commas_in: column whose cells may hold delimiters without quotes around them: what is too much in a line is
            taken for its.

    Raises:
        DataError: header or a line that does not fit, with its number.
    """
    # strict: a quote that is never closed would swallow the rest of the file without a word.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    known = (*required, *optional)
    columns = None if header else list(required)
    rows = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if columns is None:
                columns = cells
                _check_header(columns, source, required, known)
                continue
            if commas_in is not None and len(cells) > len(columns):
                at, spare = columns.index(commas_in), len(cells) - len(columns) + 1
                cells[at : at + spare] = [f"{delimiter} ".join(cells[at : at + spare])]
            if len(cells) != len(columns):
                wanted = f"{'the header has' if header else 'there must be'} {len(columns)} ({', '.join(columns)})"
                raise DataError(f"{source}, line {reader.line_num}: {len(cells)} cells, but {wanted}")
            rows.append(Row(source, reader.line_num, dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        raise DataError(f"{source}, line {reader.line_num}: {error}") from None
    if columns is None:
        raise DataError(f"{source} is empty; its first line must be {','.join(name for name in known if name)}")
    return rows


def _check_header(header: list[str], source: str, required: tuple[str, ...], known: tuple[str, ...]) -> None:
    for column in header:
        if column not in known:
            near = did_you_mean(column, [name for name in known if name])
            raise DataError(f"{source}, line 1: no column {column!r} is known here.{near}")
        if header.count(column) > 1:
            raise DataError(f"{source}, line 1: column {column!r} stands twice")
    for column in required:
        if column not in header:
            raise DataError(f"{source}, line 1: column {column!r} is missing; found {', '.join(header)}")
