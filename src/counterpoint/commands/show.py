"""Tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from counterpoint.commands.terminal import terminal

if TYPE_CHECKING:
    from counterpoint.analysis.results import Comparison
    from counterpoint.training.fit import Run


def print_run(run: Run, report: Path) -> None:
    """What a finished run came to, and where its report is."""
    result = run.result
    table = Table(title=f"{result['data']}, epoch {result['epoch'] + 1} of {result['epochs']}", title_justify="left")
    table.add_column("split")
    table.add_column("clips", justify="right")
    for name in result["test"]:
        table.add_column(_column(name), justify="right")
    for split in ("val", "test"):
        table.add_row(split, str(result["clips"][split]), *(_figure(n, v) for n, v in result[split].items()))
    console = terminal()
    console.print(table)
    if result["skipped"]:
        console.print(f"{result['skipped']} clips set aside: {run.folder / 'skipped.csv'}")
    for note in result["notes"]:
        console.print(f"Note: {note}")
    console.print(f"Run: {run.folder}\nReport: {report}", soft_wrap=True)


def print_comparison(comparison: Comparison) -> None:
    """Which method helps, what each modality can do alone, and where the report is."""
    from counterpoint.report.tables import to_rich

    console = terminal()
    console.print(to_rich(comparison))
    if aside := comparison.protocol["skipped"]:
        console.print(f"{len(aside)} of the clips set aside as unreadable; the report lists them")
    for note in comparison.protocol["notes"]:
        console.print(f"Note: {note}")
    console.print(f"Report: {comparison.folder / 'report.html'}", soft_wrap=True)


def print_scores(title: str, scores: Mapping[str, float]) -> None:
    """Figures of one split."""
    table = Table(title=title, title_justify="left")
    for name in scores:
        table.add_column(_column(name), justify="right")
    table.add_row(*(_figure(name, value) for name, value in scores.items()))
    terminal().print(table)


def _column(name: str) -> str:
    return f"{name.removeprefix('accuracy_')} alone" if name.startswith("accuracy_") else name


def _figure(name: str, value: float) -> str:
    if name == "clips":
        return str(value)
    return f"{value:.3f}" if name == "loss" else f"{100 * value:.1f} %"
