"""The tables of a comparison, once: for the terminal and for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterpoint.analysis.metrics import METRICS, NOUN
from counterpoint.analysis.results import Comparison, MethodResult
from counterpoint.analysis.statistics import UNCLEAR, Difference, Estimate, mean_interval

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table as RichTable

NONE = "n/a"


@dataclass(frozen=True)
class Column:
    """A column: its heading, one sentence on what stands in it, and a heading that it shares with its neighbours."""

    heading: str
    explanation: str
    group: str = ""


@dataclass(frozen=True)
class Table:
    """Columns and rows of text; the first cell of a row is its heading."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


def percent(value: float | None, *, sign: bool = False) -> str:
    """``0.8134`` as ``"81.3"``; with `sign`, ``"+81.3"``."""
    return NONE if value is None else f"{100 * value:{'+' if sign else ''}.1f}"


def with_interval(estimate: Estimate | None) -> str:
    """``"81.3 ± 2.1"``; with one seed ``"81.3 ± n/a"``."""
    if estimate is None or estimate.mean is None:
        return NONE
    return f"{percent(estimate.mean)} ± {percent(estimate.half_width)}"


def figure_with_interval(estimate: Estimate | None) -> str:
    """``"0.81 ± 0.02"``: of what is no share, and so no percentage."""
    if estimate is None or estimate.mean is None:
        return NONE
    half = estimate.half_width
    return f"{estimate.mean:.2f} ± {NONE if half is None else f'{half:.2f}'}"


def p_value(p: float | None) -> str:
    """Three digits; smaller ones as ``"< 0.001"``."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def difference_cell(difference: Difference | None) -> str:
    """``"+3.2 [+0.4, +6.1]"``, in points of accuracy."""
    if difference is None:
        return NONE
    bounds = f"[{percent(difference.low, sign=True)}, {percent(difference.high, sign=True)}]"
    return f"{percent(difference.mean, sign=True)} {bounds}"


def methods_table(comparison: Comparison) -> Table:
    """Which method helps."""
    metrics = METRICS[comparison.task]
    interval = f"mean over {_seeds(comparison)} and 95 % interval of that mean (Student's t; n/a with one seed)." + (
        f" The test clips of all {len(comparison.folds)} folds count together." if comparison.folds else ""
    )
    columns = (
        Column("Method", "The recipe; below the methods, each modality trained alone under the same protocol."),
        *(Column(metric.heading, f"{metric.meaning}: {interval}") for metric in metrics.values()),
        Column(
            f"vs {comparison.baseline}",
            f"{metrics['accuracy'].heading} less that of {comparison.baseline} on the same test clips, in points, with "
            "a 95 % bootstrap interval over clips and seeds.",
        ),
        Column(
            "p",
            "Two-sided sign-flip permutation test over test clips, corrected for the number of methods (Holm).",
        ),
        Column("Verdict", "Better or worse only where p is below 0.05 and the interval leaves out zero; else unclear."),
    )
    rows = []
    for name, method in comparison.methods.items():
        d = method.difference
        last = (difference_cell(d), p_value(d.p_holm if d else None), d.verdict if d else NONE)
        if name == comparison.baseline:
            last = ("baseline", "", "")
        elif d is not None and d.verdict == UNCLEAR:
            last = (*last[:2], "unclear")
        rows.append((name, *(with_interval(method.scores.get(metric)) for metric in metrics), *last))
    for name, alone in comparison.alone.items():
        rows.append((f"{name} alone", *(with_interval(alone.scores.get(metric)) for metric in metrics), "", "", ""))
    if (share := comparison.protocol.get("background")) is not None:
        rows.append(("always background", percent(share), "0.0", *[""] * (len(columns) - 3)))
    pooled = f", {len(comparison.folds)} folds pooled" if comparison.folds else ""
    return Table(f"Test results on {comparison.dataset}{pooled}", columns, tuple(rows))


def folds_table(comparison: Comparison) -> Table:
    """Top-1 of each fold, for those who compare with papers that average over folds."""
    over_seeds = "mean over seeds and 95 % interval"
    one = f"Top-1 on the fold's test clips, in percent: {over_seeds}."
    columns = (
        Column("Method", "The recipe; below the methods, each modality trained alone under the same protocol."),
        *(Column(f"fold {fold}", one) for fold in comparison.folds),
        Column("mean over folds", f"Mean of the folds' top-1, each counting the same whatever its size: {over_seeds}."),
        Column("pooled", "Top-1 over the test clips of all folds together, as in the first table."),
    )
    rows = []
    for name, result in everything(comparison).items():
        by_fold = [
            mean_interval([r.test["accuracy"] for r in result.runs if r.fold == fold]) for fold in comparison.folds
        ]
        cells = (*by_fold, result.fold_accuracy, result.accuracy)
        rows.append((name, *(with_interval(cell) for cell in cells)))
    return Table("Test top-1, fold by fold", columns, tuple(rows))


def modalities_table(comparison: Comparison) -> Table:
    """Whether each modality was learnt."""
    heading, noun = METRICS[comparison.task]["accuracy"].heading, NOUN[comparison.task]
    keys = {
        "decoupled": f"{heading} of the modality's own share of the joint logits, in percent.",
        "ablated": f"{heading} of the joint logits with the features of every other modality set to zero, in percent.",
        "probe": f"{heading} of a linear classifier on the frozen encoder's features.",
    }
    keys = {
        key: text
        for key, text in keys.items()
        if any(
            key in by and by[key].mean is not None for m in comparison.methods.values() for by in m.modalities.values()
        )
    }
    columns = [Column("Method", "The recipe.")]
    for modality in comparison.modalities:
        alone = comparison.alone.get(modality)
        group = modality if alone is None else f"{modality} (alone {with_interval(alone.accuracy)})"
        columns += [Column(key, text, group) for key, text in keys.items()]
    rows = tuple(
        (name, *(with_interval(method.modalities.get(m, {}).get(key)) for m in comparison.modalities for key in keys))
        for name, method in comparison.methods.items()
    )
    return Table(f"What each modality can do alone, {noun}", tuple(columns), rows)


def dependence_table(comparison: Comparison) -> Table | None:
    """How much the modalities of each method say about each other; None where it was not measured."""
    pairs = pairs_of(comparison)
    if not pairs:
        return None
    runs = [run for method in comparison.methods.values() for run in method.runs]
    most = max(found.width for run in runs for found in run.dependence.values()) / 2
    explanation = (
        "Soft-HGR between the two encoders' features on test clips, over the linear maps of them that fit best on "
        f"training clips: 0 is independence, and the most is {most:g}, where each tells all about the other; encoders "
        "that both know the class come near it. A figure below 0 says no more than 0. n/a: not measured for each seed."
    )
    columns = (Column("Method", "The recipe."), *(Column(pair, explanation) for pair in pairs))
    rows = tuple(
        (name, *(figure_with_interval(method.dependence.get(pair)) for pair in pairs))
        for name, method in comparison.methods.items()
    )
    return Table(f"Dependence, 0 to {most:g}", columns, rows)


def training_clips(method: MethodResult) -> str:
    """``"378, 42 held out"``; of folds that differ, ``"373 to 378, 41 to 42 held out"``."""
    trained_on, held_out = [r.trained_on for r in method.runs], [r.held_out for r in method.runs]
    return _range(trained_on) + (f", {_range(held_out)} held out" if any(held_out) else "")


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def pairs_of(comparison: Comparison) -> list[str]:
    """Pairs of modalities whose dependence was measured in any method."""
    return list(dict.fromkeys(pair for method in comparison.methods.values() for pair in method.dependence))


def summary(comparison: Comparison) -> list[str]:
    """The finding in plain sentences; what does not help is said to not help."""
    sentences = []
    baseline = comparison.methods.get(comparison.baseline)
    by_verdict: dict[str, list[str]] = {}
    for name, method in comparison.methods.items():
        if method.difference is not None:
            by_verdict.setdefault(method.difference.verdict, []).append(name)
    if baseline is None:
        sentences.append(f"The baseline {comparison.baseline} did not finish, so nothing is compared with it.")
    else:
        sentences.append(
            f"The baseline {comparison.baseline} reaches {with_interval(baseline.accuracy)} % {NOUN[comparison.task]}."
        )
    for verdict, words in (
        ("better", "Better than it"),
        ("worse", "Worse than it"),
        (UNCLEAR, "Not clearly different from it"),
    ):
        if names := by_verdict.get(verdict):
            sentences.append(f"{words}: {', '.join(names)}.")
    same = [n for n, m in comparison.methods.items() if m.difference is not None and m.difference.identical]
    if same:
        sentences.append(f"Right and wrong on the very same clips as it: {', '.join(same)}.")
    if comparison.alone and baseline is not None and baseline.accuracy.mean is not None:
        name, best = max(comparison.alone.items(), key=lambda item: item[1].accuracy.mean or 0.0)
        if best.accuracy.mean is not None:
            relation = "above" if best.accuracy.mean > baseline.accuracy.mean else "not above"
            sentences.append(
                f"The best modality trained alone, {name}, reaches {with_interval(best.accuracy)} %, "
                f"{relation} the joint baseline."
            )
    fewer = [
        f"{name} ({training_clips(m)})" for name, m in comparison.methods.items() if any(r.held_out for r in m.runs)
    ]
    if fewer:
        sentences.append(f"Trained on a part of the training clips, to weigh losses by the rest: {', '.join(fewer)}.")
    if any(len(m.seeds) == 1 for m in comparison.methods.values()):
        sentences.append("With one seed, nothing is known of how much another seed would change.")
    if comparison.failures:
        count = len(comparison.failures)
        sentences.append(
            f"{count} run{'s' if count > 1 else ''} failed and {'are' if count > 1 else 'is'} missing here"
            + (", with the other folds of the same seed." if comparison.folds else ".")
        )
    return sentences


def to_rich(comparison: Comparison) -> RenderableType:
    """The tables, the summary and what failed, for the terminal."""
    from rich.console import Group
    from rich.text import Text

    tables = (methods_table(comparison), modalities_table(comparison), dependence_table(comparison))
    parts: list[RenderableType] = [_Drawn(table) for table in tables if table is not None]
    parts.append(Text(" ".join(summary(comparison))))
    for failure in comparison.failures:
        where = comparison.folder / failure.folder / "error.txt"
        parts.append(Text(f"failed: {failure.run}: {failure.error} (see {where})", style="red"))
    return Group(*parts)


@dataclass(frozen=True)
class _Drawn:
    """A table that has intervals on a line of their own where the terminal is too narrow for it."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.measure import Measurement

        wide = self._draw(" ±")
        fits = Measurement.get(console, options.update(width=10_000), wide).maximum <= options.max_width
        yield wide if fits else self._draw("\n±")

    def _draw(self, interval: str) -> RichTable:
        from rich.box import SIMPLE
        from rich.table import Table as RichTable
        from rich.text import Text

        table = self.table
        drawn = RichTable(title=table.title, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)
        drawn.collapse_padding = True
        group = ""
        for i, column in enumerate(table.columns):
            above = "" if column.group == group else column.group.partition(" (")[0]
            group = column.group
            heading = f"{above}\n{column.heading}" if any(c.group for c in table.columns) else column.heading
            drawn.add_column(
                Text(heading),
                justify="left" if i == 0 else "right",
                no_wrap=i == 0,
                overflow="fold",
                min_width=max(map(len, heading.split())),
            )
        for row in table.rows:
            style = {"better": "green", "worse": "red"}.get(row[-1], "")
            drawn.add_row(*(Text(cell.replace(" ± ", interval)) for cell in row), style=style)
        return drawn


def everything(comparison: Comparison) -> dict[str, MethodResult]:
    """Methods, and below them each modality alone, as the tables call them."""
    return {**comparison.methods, **{f"{m} alone": r for m, r in comparison.alone.items()}}


def _seeds(comparison: Comparison) -> str:
    counts = {len(m.seeds) for m in comparison.methods.values()}
    if len(counts) != 1:
        return "the seeds that finished"
    count = counts.pop()
    return f"{count} seed{'s' if count != 1 else ''}"
