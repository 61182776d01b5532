"""From finished runs to one comparison.

Of cross-validation the runs of one seed are evaluated together: every clip that any fold tests is evaluated once per
seed, by the one model that has not seen it, and figures, intervals and paired tests are over these clips pooled. A seed
counts once all its folds are finished.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from counterpoint.analysis.analyse_run import TRACE
from counterpoint.analysis.metrics import score
from counterpoint.analysis.results import Comparison, MethodResult, ModalityScores, RunResult, SeedResult
from counterpoint.analysis.statistics import Difference, compare_paired, correct_holm, mean_interval
from counterpoint.analysis.traces import Trace, load_trace, pool_traces
from counterpoint.data import SPLITS
from counterpoint.errors import RunError
from counterpoint.experiments.folds import Fold
from counterpoint.experiments.plan import Plan
from counterpoint.training import run_dir as files
from counterpoint.training.config_io import to_dict
from counterpoint.training.datamodule import Prepared

Runs = Mapping[tuple[str, str], Sequence[RunResult]]
"""(kind, name) of an entry -> its finished runs."""


def collect(kind: str, plan: Plan, runs: Runs, folds: Sequence[Fold]) -> dict[str, MethodResult]:
    """Finished runs of one kind, method by method, in the order of the entries.

    Args:
        kind: ``"method"`` or ``"alone"``.
        plan: of the comparison.
        runs: that are finished.
        folds: all that a seed needs to count.
    """
    results = {}
    for entry in (*plan.entries, *plan.baselines):
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


def with_differences(comparison: Comparison, groups: Mapping[str, str] | None = None) -> Comparison:
    """The same with each method tested against the baseline, on the seeds that both finished.

    Args:
        comparison: of finished runs.
        groups: clip -> its group, where the split keeps groups apart; None: differences are to hold for other clips.

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
                np.stack([ours[seed].correct for seed in seeds]),
                np.stack([theirs[seed].correct for seed in seeds]),
                None if groups is None else [groups[clip] for clip in ours[seeds[0]].ids],
            )
    corrected = correct_holm(differences)
    tested = {name: replace(method, difference=corrected.get(name)) for name, method in comparison.methods.items()}
    return replace(comparison, methods=tested)


def separate_groups(clips: Mapping[Fold, Prepared]) -> dict[str, str] | None:
    """Test clip -> its group; a clip of unknown group is one of its own. None where a group is in training as well."""
    tables = [part.table for part in clips.values()]
    if any(table.shared_groups() for table in tables):
        return None
    return {clip.id: clip.group or clip.id for table in tables for clip in table.split("test")}


def _traces(comparison: Comparison, method: MethodResult) -> dict[int, Trace]:
    """Seed -> its test clips, of all folds together."""
    complete = complete_seeds(method.runs, comparison.folds or (None,))
    return {seed: seed_trace(comparison.folder, runs) for seed, runs in complete.items()}


def complete_seeds(runs: Sequence[RunResult], folds: Sequence[Fold]) -> dict[int, list[RunResult]]:
    """Finished runs by seed, fold by fold; a seed without all its folds is left out."""
    found: dict[int, dict[Fold, RunResult]] = {}
    for run in runs:
        found.setdefault(run.seed, {})[run.fold] = run
    return {seed: [by[fold] for fold in folds] for seed, by in found.items() if set(folds) <= set(by)}


def seed_trace(folder: Path, runs: Sequence[RunResult]) -> Trace:
    """What the runs of one seed made of their test clips, together."""
    return pool_traces([load_trace(folder / run.folder / TRACE) for run in runs])


def seed_result(folder: Path, runs: Sequence[RunResult]) -> SeedResult:
    """The scores of one seed.

    Args:
        folder: of the comparison.
        runs: the seed's, one per fold.
    """
    first = runs[0]
    dependence = {
        pair: float(np.mean([run.dependence[pair].value for run in runs]))
        for pair in first.dependence
        if all(pair in run.dependence for run in runs)
    }
    if len(runs) == 1 and first.fold is None:
        return SeedResult(first.seed, first.test, first.modalities, dependence=dependence)
    trace = seed_trace(folder, runs)
    named, modalities = tuple(first.test), {}
    for name in first.modalities:
        probed = name in trace.probe and all(run.modalities[name].probe is not None for run in runs)
        modalities[name] = ModalityScores(
            decoupled=score(trace.decoupled[name], trace.target, named=named) if name in trace.decoupled else None,
            ablated=score(trace.ablated[name], trace.target, named=named),
            probe=score(trace.probe[name], trace.target, named=named) if probed else None,
        )
    mean = float(np.mean([run.test["accuracy"] for run in runs]))
    test = score(trace.logits, trace.target, trace.video, named=named)
    return SeedResult(first.seed, test, modalities, mean, dependence)


def protocol(plan: Plan, clips: Mapping[Fold, Prepared], seconds: float, notes: Sequence[str] = ()) -> dict[str, Any]:
    """What a reader of the numbers must know, as plain values.

    Args:
        plan: what was compared.
        clips: by fold; one None where the data have the one split of their own.
        seconds: that it took.
        notes: what else there is to say.
    """
    config, (first, *others) = plan.config, clips.values()
    left_out = [f"Left out of the default methods: {why.rstrip('.')}." for why in plan.left_out.values()]
    counts = [{split: len(part.clips(split)) for split in SPLITS} for part in clips.values()]
    tested_elsewhere = {clip.id for other in others for clip in other.clips("test")}
    return {
        "dataset": first.table.name,
        "clips": {"test": sum(count["test"] for count in counts)} if config.folds else counts[0],
        "folds": [{"fold": fold, **count} for fold, count in zip(clips, counts, strict=True)] if config.folds else [],
        "searched_on_test_clips": sum(clip.id in tested_elsewhere for clip in first.clips("val")),
        "classes": len(first.table.classes),
        "groups": len({clip.group for part in clips.values() for clip in part.clips("test")} - {None}),
        "trained_on": Counter(
            first.table.classes[c] for clip in first.clips("train") if (c := clip.label) < len(first.table.classes)
        ),
        **({"background": _background(clips.values())} if config.base.task == "localise" else {}),
        "shared_groups": len(set().union(*(part.table.shared_groups() for part in clips.values()))),
        "notes": [
            *dict.fromkeys(note for part in clips.values() for note in part.table.notes),
            *left_out,
            *notes,
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
