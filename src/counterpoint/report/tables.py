"""The tables of a comparison, and its finding in words: for the terminal and for the report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from counterpoint.analysis.results import Comparison, MethodResult
from counterpoint.analysis.statistics import UNCLEAR, Difference, Estimate, mean_interval
from counterpoint.report.table import NONE, Column, Table, counted, percent, with_interval

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from counterpoint.data.alterations import Alteration

ABILITIES = {
    "decoupled": "of the modality's own share of the joint logits, in percent.",
    "ablated": "of the joint logits with the features of every other modality set to zero, in percent.",
    "probe": "of a linear classifier on the frozen encoder's features.",
}
"""What one modality of a joint model is measured by -> what that is."""


_MOST_TOLD = 6  # findings on the terminal; the page has them all


def p_value(p: float | None) -> str:
    """Three digits, more where these would not tell on which side of 0.05 it is; small ones as ``"< 0.001"``."""
    if p is None or p < 0.001:
        return NONE if p is None else "< 0.001"
    texts = (f"{p:.{digits}f}" for digits in range(3, 17))
    return next((text for text in texts if (float(text) < 0.05) == (p < 0.05)), f"{p}")


def difference_cell(difference: Difference | None) -> str:
    """``"+3.2 [+0.4, +6.1]"``, in points of accuracy: the interval that fits the corrected p-value."""
    if difference is None:
        return NONE
    bounds = (difference.low, difference.low_holm), (difference.high, difference.high_holm)
    low, high = (_bound(own if corrected is None else corrected) for own, corrected in bounds)
    return f"{percent(difference.mean, sign=True)} [{low}, {high}]"


def _bound(value: float) -> str:
    """An end of an interval; one that is close to zero with as many digits as tell on which side."""
    return percent(value, sign=True) if not value or abs(value) >= 0.0005 else f"{100 * value:+.1g}"


def methods_table(comparison: Comparison) -> Table:
    """Which method helps."""
    metrics, folds = comparison.metrics, len(comparison.folds)
    counts = {len(method.seeds) for method in comparison.methods.values()}
    seeds = counted(counts.pop(), "seed") if len(counts) == 1 else "the seeds that finished"
    interval = f"mean over {seeds} and 95 % interval of that mean (Student's t; n=1: one seed, which has none)."
    if folds:
        interval += f" The test clips of all {folds} folds count together."
    columns = (
        Column("Method", "The recipe; below the methods, each modality trained alone under the same protocol."),
        *(Column(metric.heading, f"{metric.meaning}: {interval}") for metric in metrics.values()),
        Column(
            f"vs {comparison.baseline}",
            f"{metrics['accuracy'].heading} less that of {comparison.baseline} on the same test clips, in points, with "
            f"its interval over {drawn_at_random(comparison)}: of 95 %, corrected for the number of methods as p is.",
        ),
        Column("p", "Two-sided, of the same model as the interval, corrected for the number of methods (Holm)."),
        Column("Verdict", "Better or worse where p is below 0.05, and so the interval leaves out zero; else unclear."),
    )
    rows = []
    diverged = Counter(failure.name for failure in comparison.failures if failure.diverged)
    for name, method in everything(comparison).items():
        last = _beside_baseline(comparison, name, method) if name in comparison.methods else ("", "", "")
        scores = [with_interval(method.scores.get(key), **metric.shown) for key, metric in metrics.items()]
        of_it = diverged.pop(name, 0)
        rows.append((f"{name} ({of_it} diverged)" if of_it else name, *scores, *last))
    rows += [(name, "diverged", *[""] * (len(columns) - 2)) for name in diverged]
    if (share := comparison.protocol.get("background")) is not None:
        rows.append(("always background", percent(share), "0.0", *[""] * (len(columns) - 3)))
    pooled = f", {folds} folds pooled" if folds else ""
    return Table(f"Test results on {comparison.dataset}{pooled}", columns, tuple(rows))


def _beside_baseline(comparison: Comparison, name: str, method: MethodResult) -> tuple[str, str, str]:
    if name == comparison.baseline:
        return "baseline", "", ""
    if (d := method.difference) is None:
        return NONE, NONE, NONE
    return difference_cell(d), p_value(d.p_holm), "unclear" if d.verdict == UNCLEAR else d.verdict


def drawn_at_random(comparison: Comparison) -> str:
    """What differences are to hold for others of: ``"clips and seeds"``, ``"clips in 5 groups, and seeds"``."""
    found = [method.difference for method in comparison.methods.values() if method.difference is not None]
    groups = max((d.groups or 0 for d in found), default=0)
    clips = f"clips in {groups} groups" if groups else "clips"
    if found and all(d.seeds == 1 for d in found):
        return f"{clips} alone (one seed: no interval over seeds)"
    return f"{clips}, and seeds" if groups else "clips and seeds"


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
        rows.append((name, *map(with_interval, (*by_fold, result.fold_accuracy, result.accuracy))))
    return Table("Test top-1, fold by fold", columns, tuple(rows))


def modalities_table(comparison: Comparison) -> Table:
    """Whether each modality was learnt."""
    heading, methods = comparison.metrics["accuracy"].heading, comparison.methods
    found = [(key, by[key]) for m in methods.values() for by in m.modalities.values() for key in by]
    measured = {key for key, estimate in found if estimate.mean is not None}
    keys = [key for key in ABILITIES if key in measured]
    columns = [Column("Method", "The recipe.")]
    for modality in comparison.modalities:
        alone = comparison.alone.get(modality)
        group = modality if alone is None else f"{modality} (alone {with_interval(alone.accuracy)})"
        columns += [Column(key, f"{heading} {ABILITIES[key]}", group) for key in keys]
    rows = tuple(
        (name, *(with_interval(method.modalities.get(m, {}).get(key)) for m in comparison.modalities for key in keys))
        for name, method in methods.items()
    )
    return Table(f"What each modality can do alone, {comparison.metrics['accuracy'].noun}", tuple(columns), rows)


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
        (name, *(with_interval(method.dependence.get(pair), digits=2, scale=1) for pair in pairs))
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


def everything(comparison: Comparison) -> dict[str, MethodResult]:
    """Methods, and below them each modality alone, as the tables call them."""
    return {**comparison.methods, **{f"{m} alone": r for m, r in comparison.alone.items()}}


def summary(comparison: Comparison) -> list[str]:
    """The finding in plain sentences; what does not help is said to not help."""
    methods = comparison.methods
    sentences = [_baseline(comparison), *_verdicts(comparison), *_best_alone(comparison)]
    fewer = [f"{name} ({training_clips(m)})" for name, m in methods.items() if any(r.held_out for r in m.runs)]
    if fewer:
        sentences.append(f"Trained on a part of the training clips, to weigh losses by the rest: {', '.join(fewer)}.")
    if any(len(m.seeds) == 1 for m in methods.values()):
        sentences.append(
            "One seed (n=1): no interval over seeds, and differences tested over clips alone; nothing is known of how "
            "much another seed would change."
        )
    if diverged := sum(failure.diverged for failure in comparison.failures):
        sentences.append(f"{counted(diverged, 'run')} diverged, and {'are' if diverged > 1 else 'is'} in no mean.")
    if count := len(comparison.failures) - diverged:
        missing = f"{counted(count, 'run')} failed and {'are' if count > 1 else 'is'} missing here"
        sentences.append(missing + (", with the other folds of the same seed." if comparison.folds else "."))
    return sentences


def alterations_table(rows: Iterable[Alteration]) -> Table:
    """What became of clips before they were trained on."""
    cells = [(row.what, f"{row.clips} of {row.of}", row.share_in_words, row.option) for row in rows]
    return Table.of_words("What was cut, padded and skipped", "What|Clips|Share|Option that changes it", cells)


def _baseline(comparison: Comparison) -> str:
    baseline = comparison.methods.get(comparison.baseline)
    if baseline is None:
        return f"The baseline {comparison.baseline} did not finish, so nothing is compared with it."
    noun = comparison.metrics["accuracy"].noun
    return f"The baseline {comparison.baseline} reaches {said(baseline.accuracy)} {noun}."


def _verdicts(comparison: Comparison) -> list[str]:
    found = {name: m.difference for name, m in comparison.methods.items() if m.difference is not None}
    groups = {
        "Better than it": [name for name, d in found.items() if d.verdict == "better"],
        "Worse than it": [name for name, d in found.items() if d.verdict == "worse"],
        "Not clearly different from it": [name for name, d in found.items() if d.verdict == UNCLEAR],
        "Right and wrong on the very same clips as it": [name for name, d in found.items() if d.identical],
    }
    return [f"{words}: {', '.join(names)}." for words, names in groups.items() if names]


def _best_alone(comparison: Comparison) -> list[str]:
    baseline = comparison.methods.get(comparison.baseline)
    means = {m: alone.accuracy.mean for m, alone in comparison.alone.items() if alone.accuracy.mean is not None}
    if baseline is None or baseline.accuracy.mean is None or not means:
        return []
    best = max(means, key=means.__getitem__)
    relation = "above" if means[best] > baseline.accuracy.mean else "not above"
    reaches = said(comparison.alone[best].accuracy)
    return [f"The best modality trained alone, {best}, reaches {reaches}, {relation} the joint baseline."]


def said(estimate: Estimate) -> str:
    """``"81.3 ± 2.1 %"``, as a sentence has it."""
    return f"{with_interval(estimate)} %".replace(" (n=1) %", " % (n=1)")


def to_rich(comparison: Comparison) -> RenderableType:
    """The tables, the summary and what failed, for the terminal."""
    from rich.console import Group
    from rich.text import Text

    tables = (methods_table(comparison), modalities_table(comparison), dependence_table(comparison))
    parts: list[RenderableType] = [table for table in tables if table is not None]
    parts.append(Text(" ".join(summary(comparison))))
    told = [finding for finding in comparison.findings if finding.kind not in ("learnt", "well")]
    parts += [Text(f"! {finding.sentence} {finding.action}".rstrip()) for finding in told[:_MOST_TOLD]]
    if len(told) > _MOST_TOLD:
        parts.append(Text(f"! {len(told) - _MOST_TOLD} more of this kind stand at the top of the report."))
    for failure in comparison.failures:
        where = comparison.folder / failure.folder / "error.txt"
        parts.append(Text(f"failed: {failure.run}: {failure.error} (see {where})", style="red"))
    return Group(*parts)
