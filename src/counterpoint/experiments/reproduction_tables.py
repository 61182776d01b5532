"""A reproduction as tables: for the terminal, Markdown and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint import _atomic
from counterpoint.analysis.results import Failure
from counterpoint.analysis.statistics import Estimate
from counterpoint.recipes import PaperTable
from counterpoint.report.table import Column, Table, with_interval

if TYPE_CHECKING:
    from rich.console import RenderableType

CSV, MARKDOWN = "reproduction.csv", "reproduction.md"

_HEADINGS = {
    "accuracy": "accuracy, %",
    "mAP": "mAP, %",
    "EER": "EER, %",
    "AUC": "AUC, %",
    "minDCF": "minDCF",
    "params": "parameters, M",
    "probe_audio": "probe of audio, %",
    "probe_visual": "probe of visual, %",
}
_DIGITS = {"minDCF": 3}


@dataclass(frozen=True)
class Row:
    """One figure of a table.

    Attributes:
        method: the recipe.
        title: one line about it.
        dataset: as the paper calls it.
        metric: of `PaperResult`, without its supervision: ``accuracy``, ``mAP``, ``EER``, ``params`` ...
        paper: as printed; None where the paper prints none.
        measured: in the same unit, over seeds.
        remark: why there is no number to compare with; empty where there is one.
    """

    method: str
    title: str
    dataset: str
    metric: str
    paper: float | None
    measured: Estimate
    remark: str = ""

    @property
    def difference(self) -> float | None:
        """Measured less printed."""
        if self.paper is None or self.measured.mean is None:
            return None
        return self.measured.mean - self.paper


@dataclass(frozen=True)
class Reproduction:
    """A table with both kinds of figures.

    Attributes:
        table: of the paper.
        folder: of the comparison.
        methods: that were asked for.
        seeds: that were asked for.
        rows: in the order of the table's methods.
        notes: where the protocol is not the paper's: first what this run was told otherwise than the table says, then
            what the table says.
        failures: runs that are missing here.
    """

    table: PaperTable
    folder: Path
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def tables_of(made: Reproduction) -> list[Table]:
    """A table per dataset: each method's figures, the paper's, the measured one and their difference."""
    tables = []
    for dataset in made.table.datasets:
        by_method: dict[str, dict[str, Row]] = {}
        for row in made.rows:
            if row.dataset == dataset:
                by_method.setdefault(row.method, {})[row.metric] = row
        metrics = dict.fromkeys(metric for rows in by_method.values() for metric in rows)
        columns = [Column("method", "The recipe.")]
        for metric in metrics:
            group = _HEADINGS.get(metric, metric)
            columns += [
                Column("paper", "As printed.", group),
                Column("measured", "Mean over seeds and its 95 % interval.", group),
                Column("difference", "Measured less printed.", group),
            ]
        remarks = {name: _remark(rows) for name, rows in by_method.items()}
        if any(remarks.values()):
            columns.append(Column("remark", "Why there is no number to compare with.", words=True))
        lines = tuple(
            (name, *(cell for row in rows.values() for cell in _cells(row)), remarks[name])[: len(columns)]
            for name, rows in by_method.items()
        )
        tables.append(Table(f"{made.table.source}, {dataset}", tuple(columns), lines))
    return tables


def _cells(row: Row) -> tuple[str, str, str]:
    digits = _DIGITS.get(row.metric, 2)
    measured = with_interval(row.measured, digits=digits, scale=1)
    if row.metric == "params" and row.measured.mean is not None:  # no seed changes it
        measured = f"{row.measured.mean:.{digits}f}"
    paper = "" if row.paper is None else f"{row.paper:.{digits}f}"
    return paper, measured, "" if row.difference is None else f"{row.difference:+.{digits}f}"


def _remark(rows: dict[str, Row]) -> str:
    return "; ".join(dict.fromkeys(row.remark for row in rows.values() if row.remark))


def to_rich(made: Reproduction) -> RenderableType:
    """The tables with their notes, for the terminal."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [*tables_of(made)]
    parts += [Text(f"Note: {note}") for note in made.notes]
    parts += [Text(f"failed: {failure.run}: {failure.error}", style="red") for failure in made.failures]
    return Group(*parts)


def to_markdown(made: Reproduction) -> str:
    """The same as Markdown."""
    seeds = ", ".join(map(str, made.seeds))
    lines = [f"# {made.table.title}", "", f"Seeds {seeds}; mean and 95 % interval over them.", ""]
    for table in tables_of(made):
        lines += [f"## {table.title}", "", table.to_markdown(), ""]
    lines += ["## What to know", "", *(f"- {note}" for note in made.notes), ""]
    if made.failures:
        lines += ["## Failed", "", *(f"- {failure.run}: {failure.error}" for failure in made.failures), ""]
    return "\n".join(lines)


def write_reproduction(made: Reproduction) -> None:
    """``reproduction.csv``, a row per figure, and ``reproduction.md``."""
    _atomic.write_csv(made.folder / CSV, plain(made))
    _atomic.write_text(made.folder / MARKDOWN, to_markdown(made))


def plain(made: Reproduction) -> list[dict[str, Any]]:
    """One mapping per figure, as ``reproduction.csv`` has them."""
    return [
        {
            "table": made.table.source,
            "dataset": row.dataset,
            "method": row.method,
            "metric": row.metric,
            "paper": row.paper,
            "measured": row.measured.mean,
            "half_width": row.measured.half_width,
            "difference": row.difference,
            "seeds": len(row.measured.values),
            "remark": row.remark,
        }
        for row in made.rows
    ]
