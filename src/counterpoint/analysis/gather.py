"""From finished runs to one comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from counterpoint.analysis.config import CompareConfig
from counterpoint.analysis.plan import Entry
from counterpoint.analysis.results import Comparison, MethodResult, RunResult
from counterpoint.analysis.statistics import Difference, compare_paired, correct_holm, mean_interval
from counterpoint.analysis.traces import load_trace
from counterpoint.analysis.worker import TRACE
from counterpoint.data import PreparedClips
from counterpoint.errors import RunError
from counterpoint.training import folder as files
from counterpoint.training.config import to_dict


def collect(
    kind: str, entries: Sequence[Entry], runs: dict[tuple[str, str], list[RunResult]], modalities: Sequence[str]
) -> dict[str, MethodResult]:
    """Finished runs of one kind, method by method, in the order of the entries.

    Args:
        kind: ``"method"`` or ``"alone"``.
        entries: all of the comparison.
        runs: (kind, name) -> finished runs.
        modalities: names, in order.
    """
    results = {}
    for entry in entries:
        done = runs.get((entry.kind, entry.name))
        if entry.kind != kind or not done:
            continue
        abilities = {
            m: {
                ability: mean_interval([s.accuracy for r in done if (s := getattr(r.modalities[m], ability))])
                for ability in ("decoupled", "silenced", "probe")
            }
            for m in modalities
            if all(m in r.modalities for r in done)
        }
        results[entry.name] = MethodResult(
            name=entry.name,
            title=entry.title,
            accuracy=mean_interval([r.test.accuracy for r in done]),
            mAP=mean_interval([r.test.mAP for r in done]),
            modalities=abilities,
            difference=None,
            runs=tuple(done),
            setting=entry.setting,
            trials=entry.trials,
        )
    return results


def with_differences(comparison: Comparison) -> Comparison:
    """The same with each method tested against the baseline, on the seeds that both finished.

    Raises:
        RunError: two runs were tested on different clips.
    """
    baseline = comparison.methods.get(comparison.baseline)
    if baseline is None:
        return comparison
    theirs = {run.seed: load_trace(comparison.folder / run.folder / TRACE) for run in baseline.runs}
    differences: dict[str, Difference] = {}
    for name, method in comparison.methods.items():
        if name == comparison.baseline:
            continue
        ours = {run.seed: load_trace(comparison.folder / run.folder / TRACE) for run in method.runs}
        seeds = [seed for seed in theirs if seed in ours]
        for seed in seeds:
            if not np.array_equal(ours[seed].ids, theirs[seed].ids):
                raise RunError(
                    f"{comparison.folder}: {name} and {comparison.baseline} were tested on different clips (seed "
                    f"{seed}); the data have changed since the comparison was begun. Start it anew under another name"
                )
        if seeds:
            differences[name] = compare_paired(
                np.stack([ours[seed].correct for seed in seeds]), np.stack([theirs[seed].correct for seed in seeds])
            )
    corrected = correct_holm(differences)
    tested = {name: replace(method, difference=corrected.get(name)) for name, method in comparison.methods.items()}
    return replace(comparison, methods=tested)


def protocol(config: CompareConfig, clips: PreparedClips, seconds: float) -> dict[str, Any]:
    """What a reader of the numbers must know, as plain values."""
    table = clips.table
    return {
        "dataset": table.name,
        "clips": {split: len(clips.clips(split)) for split in ("train", "val", "test")},
        "classes": len(table.classes),
        "shared_groups": len(table.shared_groups()),
        "notes": list(table.notes),
        "set_aside": dict(clips.set_aside),
        "config": to_dict(config),
        "environment": files.environment(),
        "seconds": round(seconds, 1),
    }
