"""Cells of CSV files that a spreadsheet takes for text, as we do: none that is text is run there as a formula."""

from __future__ import annotations

import re
from typing import TypeVar

V = TypeVar("V")

# What spreadsheets may run, or skip to find what they run; an apostrophe in front, as typed into one, makes it text.
_RUN = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20].", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(inf|nan)", re.ASCII)


def guarded(value: V) -> V | str:
    """A value as it is written: a text that would be run gets an apostrophe before it; numbers stay numbers."""
    if isinstance(value, str) and _RUN.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def unguarded(cell: str) -> str:
    """The text that `guarded` made the cell of."""
    return cell[1:] if cell.startswith("'") and _RUN.match(cell) else cell
