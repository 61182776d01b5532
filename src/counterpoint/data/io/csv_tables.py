"""Reads the text files of datasets so that a bad line is named: file, line, column, and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from counterpoint._csv_cells import unguarded
from counterpoint._limits import TABLE_BYTES, read_bytes
from counterpoint.errors import DataError, quoted
from counterpoint.media.files import LFS_POINTER, cells_of, is_lfs_pointer
from counterpoint.registry import did_you_mean


def read_text(path: Path) -> str:
    """A whole UTF-8 text file, with or without a byte-order mark.

    Raises:
        DataError: it cannot be read, is too large, is not text, or is a Git LFS pointer.
    """
    try:
        raw = read_bytes(path, TABLE_BYTES)
        pointer = is_lfs_pointer(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    if pointer:
        raise DataError(f"{path}: {LFS_POINTER}")
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

    def integer(self, column: str) -> int:
        """The int of at least 0 in a cell; ``3.0`` is one.

        Raises:
            DataError: it is none; the message says file, line and column.
        """
        if not re.fullmatch(r"[0-9]{1,15}(\.0+)?", self[column]):
            raise self.error(column, f"{quoted(self[column])} is not an int of 0 or more")
        return int(self[column].partition(".")[0])

    def error(self, column: str, message: str) -> DataError:
        """An exception that says file, line and column."""
        return DataError(f"{self.source}, line {self.line}, column {quoted(column)}: {message}")


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
    known = (*required, *optional)
    columns = None if header else list(required)
    rows = []
    try:
        for line, raw in cells_of(text, delimiter):
            cells = [unguarded(cell.strip()) for cell in raw]
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
                raise DataError(f"{source}, line {line}: {len(cells)} cells, but {wanted}")
            rows.append(Row(source, line, dict(zip(columns, cells, strict=True))))
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{source}, {error}") from None
    if columns is None:
        raise DataError(f"{source} is empty; its first line must be {','.join(name for name in known if name)}")
    return rows


def _check_header(header: list[str], source: str, required: tuple[str, ...], known: tuple[str, ...]) -> None:
    for column in header:
        if column not in known:
            near = did_you_mean(column, [name for name in known if name])
            raise DataError(f"{source}, line 1: unknown column {quoted(column)}.{near}")
        if header.count(column) > 1:
            raise DataError(f"{source}, line 1: column {quoted(column)} is there twice")
    for column in required:
        if column not in header:
            raise DataError(f"{source}, line 1: column {quoted(column)} is missing; found {', '.join(header)}")
