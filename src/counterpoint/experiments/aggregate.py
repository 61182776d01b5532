"""From finished runs to one comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from counterpoint.analysis.results import Comparison, MethodResult, RunResult
from counterpoint.analysis.statistics import Difference, compare_paired, correct_holm, mean_interval
from counterpoint.analysis.traces import Trace
from counterpoint.data import SPLITS
from counterpoint.errors import RunError
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.folds import Fold, complete_seeds, seed_result, seed_trace
from counterpoint.experiments.plan import Plan
from counterpoint.training import run_dir as files
from counterpoint.training.config_io import to_dict
from counterpoint.training.datamodule import Prepared
from counterpoint.training.few_steps import few_steps


def collect(
    kind: str, plan: Plan, runs: dict[tuple[str, str], list[RunResult]], folds: Sequence[Fold]
) -> dict[str, MethodResult]:
    """Finished runs of one kind, method by method, in the order of the entries.

    Args:
        kind: ``"method"`` or ``"alone"``.
        plan: of the comparison.
        runs: (kind, name) -> finished runs.
        folds: all that a seed needs to count.
    """
    results = {}
    for entry in plan.entries:
        complete = complete_seeds(runs.get((entry.kind, entry.name), ()), folds)
        if entry.kind != kind or not complete:
            continue
        done = [seed_result(plan.folder, of_seed) for of_seed in complete.values()]
        of_folds = [seed.fold_accuracy for seed in done if seed.fold_accuracy is not None]
        abilities = {
            m: {
                ability: mean_interval([s["accuracy"] for r in done if (s := getattr(r.modalities[m], ability))])
                for ability in ("decoupled", "ablated", "probe")
            }
            for m in plan.modalities
            if all(m in r.modalities for r in done)
        }
        results[entry.name] = MethodResult(
            name=entry.name,
            title=entry.title,
            scores={metric: mean_interval([r.test[metric] for r in done]) for metric in done[0].test},
            modalities=abilities,
            difference=None,
            seeds=tuple(done),
            runs=tuple(run for of_seed in complete.values() for run in of_seed),
            setting=entry.setting,
            trials=entry.trials,
            fold_accuracy=mean_interval(of_folds) if of_folds else None,
            dependence={
                pair: mean_interval([r.dependence[pair] for r in done])
                for pair in done[0].dependence
                if all(pair in r.dependence for r in done)
            },
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
    theirs = _traces(comparison, baseline)
    differences: dict[str, Difference] = {}
    for name, method in comparison.methods.items():
        if name == comparison.baseline:
            continue
        ours = _traces(comparison, method)
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


def _traces(comparison: Comparison, method: MethodResult) -> dict[int, Trace]:
    """Seed -> its test clips, of all folds together."""
    complete = complete_seeds(method.runs, comparison.folds or (None,))
    return {seed: seed_trace(comparison.folder, runs) for seed, runs in complete.items()}


def protocol(config: CompareConfig, clips: Mapping[Fold, Prepared], seconds: float) -> dict[str, Any]:
    """What a reader of the numbers must know, as plain values.

    Args:
        config: what was compared.
        clips: by fold; one None where the data have the one split of their own.
        seconds: that it took.
    """
    first, *others = clips.values()
    counts = [{split: len(part.clips(split)) for split in SPLITS} for part in clips.values()]
    few = few_steps(config.base, len(first.clips("train")))
    tested_elsewhere = {clip.id for other in others for clip in other.clips("test")}
    return {
        "dataset": first.table.name,
        "clips": {"test": sum(count["test"] for count in counts)} if config.folds else counts[0],
        "folds": [{"fold": fold, **count} for fold, count in zip(config.folds, counts, strict=False)],
        "searched_on_test_clips": sum(clip.id in tested_elsewhere for clip in first.clips("val")),
        "classes": len(first.table.classes),
        **({"background": _background(clips.values())} if config.base.task == "localise" else {}),
        "shared_groups": len(set().union(*(part.table.shared_groups() for part in clips.values()))),
        "notes": [
            *dict.fromkeys(note for part in clips.values() for note in part.table.notes),
            *([few] if few is not None else []),
        ],
        "skipped": {clip: reason for part in clips.values() for clip, reason in part.skipped.items()},
        "alterations": [asdict(row) for row in first.alterations],
        "config": to_dict(config),
        "environment": files.environment(),
        "seconds": round(seconds, 1),
    }


def _background(clips: Iterable[Prepared]) -> float:
    """Share of test segments without an event: what a model reaches that never finds one."""
    found = [part.split("test").targets == part.table.background for part in clips]
    return float(np.concatenate([hits.numpy().ravel() for hits in found]).mean())
