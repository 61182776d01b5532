"""A table: its columns and rows, once, and how the terminal, Markdown and the pages show it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from counterpoint.analysis.statistics import Estimate

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table as RichTable

NONE = "n/a"
_ONE = " (n=1)"  # one value has no interval


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        heading: of it alone.
        explanation: one sentence on what is in it.
        group: a heading that it shares with its neighbours.
        words: it holds no figures.
    """

    heading: str
    explanation: str = ""
    group: str = ""
    words: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows of text; the first cell of a row is its heading."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of_words(cls, title: str, headings: str, rows: Sequence[tuple[str, ...]]) -> Table:
        """A table whose columns need no explanation; `headings` with bars between them."""
        return cls(title, tuple(Column(heading, words=True) for heading in headings.split("|")), tuple(rows))

    @property
    def explained(self) -> bool:
        """Whether it is a table of figures, whose columns are explained, and not one of words."""
        return any(column.explanation for column in self.columns)

    @property
    def meanings(self) -> dict[str, str]:
        """Heading -> explanation."""
        return {column.heading: column.explanation for column in self.columns}

    @cached_property
    def groups(self) -> list[tuple[str, int]]:
        """Headings above the columns, and over how many of them each reaches; empty where no column has one."""
        if not any(column.group for column in self.columns):
            return []
        return [(name, len(list(columns))) for name, columns in groupby(self.columns, lambda column: column.group)]

    def to_markdown(self) -> str:
        """Lines of Markdown, a group's heading before each of its columns."""
        headings = [f"{column.group} {column.heading}".strip() for column in self.columns]
        lines = [headings, ["---"] * len(headings), *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Where the terminal is too narrow intervals have a line of their own, and then names break; figures never."""
        from rich.measure import Measurement

        forms = (self._draw(" "), self._draw("\n"), self._draw("\n", names_break=True))
        widths = [Measurement.get(console, options.update(width=10_000), form).maximum for form in forms[:2]]
        yield next((form for form, width in zip(forms, widths, strict=False) if width <= options.max_width), forms[2])

    def _draw(self, before_interval: str, *, names_break: bool = False) -> RichTable:
        from rich.box import SIMPLE
        from rich.table import Table as RichTable
        from rich.text import Text

        drawn = RichTable(title=Text(self.title, "bold"), title_justify="left", box=SIMPLE, pad_edge=False)
        drawn.collapse_padding = True
        above = [part for name, span in self.groups for part in (name.partition(" (")[0], *[""] * (span - 1))]
        for i, column in enumerate(self.columns):
            drawn.add_column(
                Text(f"{above[i]}\n{column.heading}" if above else column.heading),
                justify="left" if i == 0 or column.words else "right",
                no_wrap=not names_break if i == 0 else not column.words,
                overflow="fold",
                min_width=max(map(len, column.heading.split()), default=0),
            )
        for row in self.rows:
            style = {"better": "green", "worse": "red"}.get(row[-1], "")
            cells = (cell.replace(" ± ", f"{before_interval}±") for cell in row)
            drawn.add_row(*(Text(cell.replace(_ONE, before_interval + _ONE[1:])) for cell in cells), style=style)
        return drawn


def percent(value: float | None, *, sign: bool = False) -> str:
    """``0.8134`` as ``"81.3"``; with `sign`, ``"+81.3"``; what is not a number is not available."""
    return NONE if value is None or math.isnan(value) else f"{100 * value:{'+' if sign else ''}.1f}"


def with_interval(estimate: Estimate | None, *, digits: int = 1, scale: float = 100) -> str:
    """``"81.3 ± 2.1"``; of one value ``"81.3 (n=1)"``: it has no interval.

    Args:
        estimate: of what; None: it was not measured.
        digits: behind the point.
        scale: 100 makes percentages of shares.
    """
    if estimate is None or estimate.mean is None:
        return NONE
    half = estimate.half_width
    interval = _ONE if half is None else f" ± {scale * half:.{digits}f}"
    return f"{scale * estimate.mean:.{digits}f}{interval}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``"1 clip"``, ``"2 clips"``."""
    return f"{number} {one if number == 1 else many or one + 's'}"
