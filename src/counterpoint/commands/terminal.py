"""How verbs print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from counterpoint._console import console
from counterpoint.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from counterpoint.data.alterations import Alteration
    from counterpoint.training.metrics import Metric

SHOWN = 12  # rows of a long list that are printed; a file has them all


def terminal(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """The console that verbs print to, see `counterpoint._console`."""
    return console(stderr=stderr, soft_wrap=soft_wrap)


def table(*headings: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    """An empty table.

    Args:
        headings: of the columns.
        title: above it, at the left.
        right: headings of the columns that are aligned at the right.
    """
    from rich.table import Table

    made = Table(title=title, title_justify="left")
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return made


def plain_table(*headings: str, right: Sequence[str] = ()) -> Table:
    """An empty table without lines, whose first column is never wrapped; without headings, of two columns."""
    from rich.table import Table

    made = Table(show_header=bool(headings), box=None, padding=(0, 2, 0, 0))
    for at, heading in enumerate(headings or ("", "")):
        style = None if headings and headings[0] else "bold"
        made.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=at == 0,
            style=style if at == 0 else None,
            overflow="fold",
        )
    return made


def print_skipped(into: Console, skipped: Mapping[str, str], file: str) -> None:
    """The first of the clips that are skipped, and where all of them are."""
    for clip, reason in list(skipped.items())[:SHOWN]:
        into.print(f"skipped {one_line(clip)}: {one_line(reason)}", soft_wrap=True)
    if len(skipped) > SHOWN:
        into.print(f"and {len(skipped) - SHOWN} more; {file} lists all")


def print_alterations(console: Console, rows: Iterable[Alteration], option: str = "--") -> None:
    """What was cut, padded and skipped, a line each; `option` stands before the options that change it."""
    for row in rows:
        told = [f"{row.clips} of {row.of} clips {row.what}", row.share_in_words, row.option and option + row.option]
        console.print("; ".join(part for part in told if part), soft_wrap=True)


def column(name: str, metrics: Mapping[str, Metric]) -> str:
    """The heading of a figure."""
    if name.startswith("accuracy_"):
        return f"{name.removeprefix('accuracy_')} alone"
    return metrics[name].heading if name in metrics else name


def figure(name: str, value: float, metrics: Mapping[str, Metric]) -> str:
    """A figure as it is printed: counts whole, losses and the like to three places, shares in percent."""
    if name == "clips":
        return str(value)
    if name in metrics:
        return metrics[name].text(value)
    return f"{100 * value:.1f} %" if name.startswith("accuracy_") else f"{value:.3f}"
