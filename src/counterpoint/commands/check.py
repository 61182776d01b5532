"""`counterpoint check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from counterpoint._atomic import write_json
from counterpoint._progress import ProgressDisplay
from counterpoint.commands.terminal import terminal
from counterpoint.data import ClipTable, load_table
from counterpoint.data.splits.leaks import LeakReport, Overlap, find_leaks, split_of
from counterpoint.data.splits.published import check_lists
from counterpoint.training.config import DataConfig

_EXAMPLES = 5


def check_and_tell(config: DataConfig, splits: str | None, output: str | None) -> bool:
    """Compare the sides of a dataset's splits, and print what they share.

    Args:
        config: which dataset; with `splits` its name alone counts.
        splits: folder of lists to read instead of the dataset.
        output: JSON file for the figures as well.

    Returns:
        Whether anything stands on both sides.
    """
    if splits is not None:
        reports = check_lists(config.name, splits)
    else:
        table = load_table(config.name, config.root, config.task, config.seed, **config.options)
        reports = [_with_a_bar(table)]
    console = terminal()
    for report in reports:
        _tell(console, report)
    leaks = [leak for report in reports for leak in report.leaks]
    if output is not None:
        write_json(Path(output), {"dataset": config.name, "leaks": bool(leaks), "splits": to_dict(reports)})
    kinds = sorted({leak.what for leak in leaks})
    console.print(f"Not kept apart: {', '.join(kinds)}." if leaks else "Nothing stands on two sides.")
    return bool(leaks)


def to_dict(reports: Sequence[LeakReport]) -> list[dict[str, Any]]:
    """Plain values for JSON, with everything that is shared."""
    return [
        {
            "name": report.name,
            "clips": report.clips,
            "overlaps": [
                {
                    "what": overlap.what,
                    "sides": list(overlap.sides),
                    "shared": len(overlap.shared),
                    "of": overlap.total,
                    overlap.unit.replace(" ", "_"): overlap.clips,
                    f"of_{overlap.unit.replace(' ', '_')}": overlap.all_clips,
                    "names": list(overlap.shared),
                }
                for overlap in report.overlaps
            ],
            "notes": list(report.notes),
        }
        for report in reports
    ]


def _with_a_bar(table: ClipTable) -> LeakReport:
    with ProgressDisplay() as display:
        return find_leaks(split_of(table), display.callback("compare files"))


def _tell(console: Console, report: LeakReport) -> None:
    sizes = ", ".join(f"{count} {side}" for side, count in report.clips.items())
    table = Table(title=f"{report.name}: {sizes}", title_justify="left")
    for column in ("what", "between", "on both sides", "touched"):
        table.add_column(column, justify="right" if column in ("on both sides", "touched") else "left")
    for overlap in report.overlaps:
        table.add_row(
            overlap.what,
            " and ".join(overlap.sides),
            f"{len(overlap.shared)} of {overlap.total}",
            f"{overlap.clips} of {overlap.all_clips} {_counted(overlap)}",
            style="bold red" if overlap.shared else None,
        )
    console.print(table)
    for overlap in report.leaks:
        names = ", ".join(overlap.shared[:_EXAMPLES]) + (", ..." if len(overlap.shared) > _EXAMPLES else "")
        console.print(f"{overlap.what} in {' and '.join(overlap.sides)}: {names}", soft_wrap=True)
    for note in report.notes:
        console.print(f"Note: {note}", soft_wrap=True)


def _counted(overlap: Overlap) -> str:
    return f"{overlap.sides[1]} clips" if overlap.unit == "clips" else overlap.unit
