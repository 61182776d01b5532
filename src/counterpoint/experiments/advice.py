"""What to make of a comparison, in one paragraph: what to take, how good it is, and what would help next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from counterpoint.analysis.results import Comparison, MethodResult
from counterpoint.experiments.aggregate import seed_trace
from counterpoint.experiments.plan import CLASSICAL, ENSEMBLE
from counterpoint.report.table import counted, percent
from counterpoint.report.tables import said

_FEW = 50
"""Training clips of a class below which more of them are the surest help."""


def advise(comparison: Comparison) -> Iterator[str]:
    """Sentences; the choice is made on validation clips alone.

    Args:
        comparison: with finished runs, whose folders are there.
    """
    everything = {**comparison.methods, **{f"{name} alone": m for name, m in comparison.alone.items()}}
    if not everything:
        yield "No run was finished: give more minutes, or see what failed."
        return
    best = max(everything, key=lambda name: validated(everything[name]))
    yield from _choice(comparison, everything, best)
    yield from _unseen(comparison)
    told = [f for f in comparison.findings if f.kind in ("drowned", "unfinished") and f.method in (best, "concat")]
    yield from (finding.sentence for finding in told if finding.kind == "drowned")
    yield from _next(comparison, everything[best], unfinished=any(f.kind == "unfinished" for f in told))


def validated(method: MethodResult) -> float:
    """Mean accuracy on validation clips, over runs."""
    return float(np.mean([run.val["accuracy"] for run in method.runs]))


def _choice(comparison: Comparison, everything: dict[str, MethodResult], best: str) -> Iterator[str]:
    method, clips = everything[best], comparison.protocol["clips"]["test"]
    noun = comparison.metrics["accuracy"].noun
    yield (
        f"Take {best}: best on validation clips ({percent(validated(method))} % {noun}), and "
        f"{said(method.accuracy)} on {counted(clips, 'test clip')}."
    )
    if best in (ENSEMBLE, CLASSICAL):
        others = [name for name in comparison.methods if name not in (ENSEMBLE, CLASSICAL)]
        if others:
            trained = max(others, key=lambda name: validated(everything[name]))
            yield (
                f"It is no single model: what predict takes from this folder is {trained} "
                f"({said(everything[trained].accuracy)} on test)."
            )
    if (difference := method.difference) is not None:
        yield f"Against {comparison.baseline}: {difference.verdict}."


def _unseen(comparison: Comparison) -> Iterator[str]:
    if comparison.protocol["shared_groups"]:
        yield "Speakers or sources of test clips are in training too: how good it is on new ones was not tested."
    elif not comparison.protocol.get("groups"):
        yield (
            "No speakers or sources are named, so how good it is on new ones was not tested: name them (subfolders, or "
            "a column 'group')."
        )
    else:
        yield "Test clips are of speakers or sources that training has not seen."


def _next(comparison: Comparison, best: MethodResult, *, unfinished: bool) -> Iterator[str]:
    """What would help, the surest first."""
    steps = []
    if unfinished:
        steps.append("longer training (--minutes)")
    trace = seed_trace(comparison.folder, [run for run in best.runs if run.seed == best.seeds[0].seed])
    right = {c: float(trace.correct[trace.target == c].mean()) for c in np.unique(trace.target)}
    worst = min(right, key=right.__getitem__)
    counts = Counter(comparison.protocol.get("trained_on", {}))
    name = comparison.classes[worst]
    if counts and counts[name] < _FEW:
        steps.append(f"more clips of {name} ({counts[name]} to train on, {percent(right[worst])} % right)")
    steps.append("a pretrained encoder in place of one trained from scratch")
    yield f"What would help next: {'; '.join(steps)}."
