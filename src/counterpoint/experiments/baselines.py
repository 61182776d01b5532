"""What methods are held against: an ensemble of modalities trained apart, and classical classifiers.

Who does not beat them has not helped. Neither is trained by the engine: the ensemble joins runs that are there
already, and the classical one takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from counterpoint.analysis.analyse_run import TRACE
from counterpoint.analysis.calibration import average, fit_temperature
from counterpoint.analysis.classical import STATISTICS, fit_classical
from counterpoint.analysis.extract import extract
from counterpoint.analysis.metrics import score
from counterpoint.analysis.results import Failure, ModalityScores, RunResult
from counterpoint.analysis.traces import Array, Trace, load_trace, save_trace
from counterpoint.data import SPLITS
from counterpoint.errors import CounterpointError
from counterpoint.experiments.aggregate import Runs
from counterpoint.experiments.folds import Fold
from counterpoint.experiments.plan import ALONE, CLASSICAL, ENSEMBLE, Plan
from counterpoint.models.feature_scaler import Moments
from counterpoint.training.datamodule import ClipData, Prepared
from counterpoint.training.load import load_run
from counterpoint.training.precision import pick_device


@dataclass(frozen=True)
class _Answers:
    """What a baseline says of validation and test clips.

    Attributes:
        val: joint log-probabilities, ``(N, C)``, and classes.
        ids: of the test clips.
        target: their classes.
        joint: log-probabilities on test, ``(N, C)``.
        alone: modality -> the same of it alone.
    """

    val: tuple[Array, NDArray[np.int64]]
    ids: NDArray[np.str_]
    target: NDArray[np.int64]
    joint: Array
    alone: Mapping[str, Array]


def run_baselines(
    plan: Plan, runs: Runs, clips: Mapping[Fold, Prepared], failures: list[Failure]
) -> dict[tuple[str, str], list[RunResult]]:
    """The baselines that the plan has, in the form of finished runs, each with its trace in a folder of its own.

    Args:
        plan: of the comparison.
        runs: (kind, name) -> finished runs; the ensemble is of the modalities trained alone.
        clips: by fold.
        failures: gets one for each baseline that cannot be had, as of data that a classifier cannot be fitted on.

    Returns:
        (kind, name) -> one run for each seed and fold; the ensemble has those of which every modality finished.
    """
    makers: dict[str, Callable[[], Iterator[RunResult]]] = {
        ENSEMBLE: lambda: _ensemble(plan, runs, clips),
        CLASSICAL: lambda: _classical(plan, clips),
    }
    found = {}
    for entry in plan.baselines:
        try:
            found[entry.kind, entry.name] = list(makers[entry.name]())
        except CounterpointError as error:  # noqa: PERF203
            failures.append(Failure(entry.name, plan.config.seeds[0], entry.name, str(error)))
    return found


def _ensemble(plan: Plan, runs: Runs, clips: Mapping[Fold, Prepared]) -> Iterator[RunResult]:
    """Probabilities of modalities trained apart, each at the temperature that fits validation, averaged."""
    by_key: dict[tuple[int, Fold], dict[str, RunResult]] = {}
    for m in plan.base_modalities:
        for run in runs.get((ALONE, m), ()):
            by_key.setdefault((run.seed, run.fold), {})[m] = run
    device = pick_device(plan.config.base.accelerator)
    for (seed, fold), members in by_key.items():
        if len(members) < len(plan.base_modalities):
            continue
        data = ClipData(clips[fold], batch_size=plan.config.base.data.batch_size)  # the runs' own, not listed anew
        val = {
            m: extract(replace(load_run(plan.folder / run.folder), _data=data), "val", device)
            for m, run in members.items()
        }
        test = {m: load_trace(plan.folder / run.folder / TRACE) for m, run in members.items()}
        target = next(iter(val.values())).target.numpy()
        heat = {m: fit_temperature(one.logits.numpy(), target) for m, one in val.items()}
        first = next(iter(test.values()))
        answers = _Answers(
            (average([one.logits.numpy() for one in val.values()], list(heat.values())), target),
            first.ids,
            first.target,
            average([one.logits for one in test.values()], list(heat.values())),
            {m: average([one.logits], [heat[m]]) for m, one in test.items()},
        )
        trained_on = min(run.trained_on for run in members.values())
        yield _as_run(plan, ENSEMBLE, seed, fold, answers, trained_on)


def _classical(plan: Plan, clips: Mapping[Fold, Prepared]) -> Iterator[RunResult]:
    """Fitted once per fold: nothing in it is drawn, and it is the same for every seed."""
    for fold, prepared in clips.items():
        features, targets = _statistics(prepared, plan.base_modalities)
        classes = len(prepared.table.classes)
        alone = {m: fit_classical(x, targets, classes).logits for m, x in features.items()}
        choices = [{s: average([one[s] for one in alone.values()], [1.0] * len(alone)) for s in ("val", "test")}]
        if len(alone) > 1:
            joined = {split: np.concatenate([x[split] for x in features.values()], axis=1) for split in SPLITS}
            choices.append(dict(fit_classical(joined, targets, classes).logits))
        # Of equals the average, which has fewer parameters.
        best = max(choices, key=lambda one: float((one["val"].argmax(1) == targets["val"]).mean()))
        answers = _Answers(
            (best["val"], targets["val"]),
            np.array([clip.id for clip in prepared.clips("test")]),
            targets["test"],
            best["test"],
            {m: one["test"] for m, one in alone.items()},
        )
        for seed in plan.config.seeds:
            yield _as_run(plan, CLASSICAL, seed, fold, answers, len(targets["train"]))


def _statistics(
    clips: Prepared, modalities: Sequence[str]
) -> tuple[dict[str, dict[str, Array]], dict[str, NDArray[np.int64]]]:
    """Modality -> split -> ``(N, K)``, with the training clips' mean where a value is missing; and split -> classes."""
    found: dict[str, dict[str, Array]] = {m: {} for m in modalities}
    data = ClipData(clips)
    for split in SPLITS:
        rows: dict[str, list[NDArray[np.float32]]] = {m: [] for m in modalities}
        for batch in data.loader(split):
            for m in modalities:
                if clips.table.features is None:
                    rows[m].append(STATISTICS[m](batch[m], clips.spec).numpy())
                else:
                    rows[m].append(batch[m].float().flatten(1).numpy())
        found = {m: {**found[m], split: np.concatenate(rows[m]).astype(np.float64)} for m in modalities}
    for x in found.values():
        moments = Moments(x["train"].shape[1])
        moments.add(torch.from_numpy(x["train"]))
        x.update({split: np.where(np.isnan(rows), moments.mean.numpy(), rows) for split, rows in x.items()})
    return found, {split: clips.split(split).targets.numpy() for split in SPLITS}


def _as_run(plan: Plan, name: str, seed: int, fold: Fold, answers: _Answers, trained_on: int) -> RunResult:
    """Keep what a baseline said where a run's trace would be, and score it."""
    place = plan.folder / name / f"seed{seed}"
    place = place if fold is None else place / f"fold{fold}"
    place.mkdir(parents=True, exist_ok=True)
    # The answer of an average without the others is a modality's own.
    made = Trace(answers.ids, answers.target, answers.joint, decoupled=answers.alone, ablated=answers.alone)
    save_trace(made, place / TRACE)
    named = (plan.config.base.metric,)
    alone = {m: score(logits, answers.target, named=named) for m, logits in answers.alone.items()}
    return RunResult(
        folder=str(place.relative_to(plan.folder)),
        seed=seed,
        epoch=0,
        val=score(*answers.val, named=named),
        test=score(answers.joint, answers.target, named=named),
        modalities={m: ModalityScores(decoupled=each, ablated=each, probe=None) for m, each in alone.items()},
        fold=fold,
        trained_on=trained_on,
    )
