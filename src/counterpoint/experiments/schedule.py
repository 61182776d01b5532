"""The runs of a comparison: trials of the search, and the runs that are reported; finished ones are not repeated."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from counterpoint import _atomic
from counterpoint.analysis.results import Failure, RunResult, Trial
from counterpoint.errors import DivergedError
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.folds import Fold, folds_of
from counterpoint.experiments.plan import ALONE, Entry, Plan
from counterpoint.experiments.process_pool import Pool
from counterpoint.experiments.progress import RunProgress
from counterpoint.experiments.worker import RunTask, finished
from counterpoint.training import run_dir as files

SEARCH = "search.json"

Runs = Pool[RunTask, RunResult | dict[str, float]]


def final_task(entry: Entry, seed: int, fold: Fold, config: CompareConfig) -> RunTask:
    """A run of the chosen setting. If the search's chosen trial was that very run, its folder is taken over."""
    folder = entry.folder / f"seed{seed}"
    folder = folder if fold is None else folder / f"fold{fold}"
    task = RunTask(entry.name, entry.kind, folder, entry.runs[entry.chosen], seed, fold, config.probe)
    if config.search_trials and (seed, fold) == _of_search(config) and not folder.exists():
        for trial in sorted((entry.folder / "search").glob("trial*")):
            if files.read_result(trial) is not None and files.read_config(trial) == task.config:
                part = folder.with_name(f"{folder.name}.part")
                shutil.rmtree(part, ignore_errors=True)
                shutil.copytree(trial, part)
                part.rename(folder)  # there whole or not at all
                break
    return task


def _of_search(config: CompareConfig) -> tuple[int, Fold]:
    """Seed and fold that the search runs with."""
    return config.seeds[0], folds_of(config)[0]


def run_all(
    tasks: Sequence[RunTask], pool: Runs, progress: RunProgress, until: float | None = None
) -> list[tuple[RunTask, Any, str | None]]:
    """Results in the order of `tasks`; those of finished runs are read, not made again.

    Args:
        tasks: what to run.
        pool: where.
        progress: is told of each.
        until: by the monotonic clock; no run is begun that would not end by then if it took as long as the longest so
            far, and those are not among the results. None: all are run.
    """
    found: dict[Path, tuple[RunTask, Any, str | None]] = {}
    begun: dict[Path, float] = {}
    lasted = [0.0]

    def in_time() -> bool:
        return until is None or time.monotonic() + max(lasted) <= until

    def start(task: RunTask) -> None:
        begun[task.folder] = time.monotonic()
        progress.started(task)

    for task in tasks:
        if (done := finished(task)) is not None:
            found[task.folder] = (task, done, None)
            progress.ended(task, "was finished before")
    waiting = [task for task in tasks if task.folder not in found]
    for outcome in pool.run(waiting, start, in_time):
        task = outcome.task
        lasted.append(time.monotonic() - begun[task.folder])
        found[task.folder] = (task, outcome.result, outcome.error)
        if outcome.error is not None:
            as_worst = "; it counts as the worst" if task.kind == "search" and diverged(outcome.error) else ""
            progress.ended(task, f"failed: {outcome.error}{as_worst}")
        elif isinstance(outcome.result, RunResult):
            progress.ended(task, f"test accuracy {100 * outcome.result.test['accuracy']:.1f}")
        else:
            progress.ended(task, f"val accuracy {100 * outcome.result['accuracy']:.1f}")  # type: ignore[index]
    return [found[task.folder] for task in tasks if task.folder in found]


def search_settings(plan: Plan, pool: Runs, progress: RunProgress, failures: list[Failure]) -> None:
    """Try as many settings for each, with the first seed and fold, and keep the best one on validation data.

    A setting under which training diverges is the worst, and no failure as long as another one is left.
    """
    config, entries = plan.config, plan.entries
    seed, fold = _of_search(config)
    failed: list[tuple[Entry, Failure]] = []
    owners: dict[Path, tuple[Entry, dict[str, Any]]] = {}
    tasks = []
    for trial in range(config.search_trials):
        for entry in entries:
            folder = entry.folder / "search" / f"trial{trial}"
            tasks.append(RunTask(entry.name, "search", folder, entry.runs[trial], seed, fold))
            owners[folder] = (entry, entry.settings[trial])
    for task, result, error in run_all(tasks, pool, progress):
        entry, setting = owners[task.folder]
        score = None if error else result[config.search_metric]
        entry.trials += (Trial(setting, score, error is not None and diverged(error)),)
        if error:
            failed.append((entry, failure(task, error, _root(entry))))
    for entry in entries:
        scored = [
            (plan.metric.sign * trial.score, -i) for i, trial in enumerate(entry.trials) if trial.score is not None
        ]
        if not scored:
            entry.failed = True
            failures += [one for of, one in failed if of is entry]
            continue
        failures += [one for of, one in failed if of is entry and not one.diverged]
        entry.chosen = -max(scored)[1]  # of equals the first, which is the recipe as it stands
        trials = [asdict(trial) for trial in entry.trials]
        chosen = {"metric": f"val {config.search_metric}", "chosen": entry.chosen, "trials": trials}
        _atomic.write_json(entry.folder / SEARCH, chosen)


def _root(entry: Entry) -> Path:
    return entry.folder.parents[1] if entry.kind == ALONE else entry.folder.parent


def failure(task: RunTask, error: str, root: Path) -> Failure:
    """A run that ended with an error; `root` is the comparison's folder."""
    name = f"{task.name} alone" if task.kind == ALONE else task.name
    return Failure(name, task.seed, str(task.folder.relative_to(root)), error, task.fold, diverged(error))


def diverged(error: str) -> bool:
    """Whether a task's error, as the pool words it, is that its training diverged."""
    return error.startswith(f"{DivergedError.__name__}:")
