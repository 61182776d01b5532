"""Several methods under one protocol: search, train, test once, take apart, compare."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from counterpoint.analysis.config import CompareConfig
from counterpoint.analysis.folds import Fold, check_tables, folds_of, with_fold
from counterpoint.analysis.gather import collect, protocol, with_differences
from counterpoint.analysis.plan import (
    ALONE,
    Entry,
    apply_setting,
    baseline_of,
    check,
    plan_alone,
    plan_methods,
    plan_search,
)
from counterpoint.analysis.pool import Pool
from counterpoint.analysis.rehearse import modalities_of, rehearse
from counterpoint.analysis.report import write_report
from counterpoint.analysis.results import Comparison, Failure, RunResult, Trial
from counterpoint.analysis.tables import write_csv
from counterpoint.analysis.watch import Watch
from counterpoint.analysis.worker import RunTask, finished, run_task
from counterpoint.data import SPLITS, PreparedClips, prepare
from counterpoint.errors import RunError
from counterpoint.training import folder as files
from counterpoint.training.config import TrainConfig, flatten, from_dict, to_dict
from counterpoint.training.datamodule import list_clips, media_spec
from counterpoint.training.progress import Display
from counterpoint.training.yamlfile import read_yaml

CONFIG, RESULTS, SEARCH = files.COMPARISON, "results.json", "search.json"

Runs = Pool[RunTask, RunResult | dict[str, float]]

_FREE_TO_CHANGE = {"methods", "seeds", "folds", "baseline", "probe", ALONE, "jobs"}
_FREE_TO_CHANGE |= {f"base.{name}" for name in (*files.FREE_TO_CHANGE, "seed")}


def compare(
    config: CompareConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Comparison:
    """Train every method with every seed under one protocol, and find what each does with each modality.

    Writes ``compare.yaml``, ``results.json``, ``results.csv``, ``results_per_seed.csv`` and ``report.html`` into
    `folder`, and every run into ``<method>/seed<k>`` below it (``alone/<modality>/seed<k>`` for single modalities,
    ``<method>/search/trial<k>`` for the search; with folds, into ``fold<k>`` below the seed). Validation data choose
    epochs and settings; test data are used for the chosen runs alone, after that.

    Args:
        config: what to compare.
        folder: of the comparison; made here.
        resume: go on with an interrupted comparison; finished runs are not repeated. Methods, seeds and folds may be
            added.
        overwrite: remove a comparison that is there already, once names, options and data of the new one are found
            right.
        progress: show progress on standard error.

    Returns:
        What was found. A run that failed is among its ``failures``, and does not end the others.

    Raises:
        RunError: the folder holds a comparison already (or, with `resume`, one under another protocol; with
            `overwrite`, something that is no comparison).
        CounterpointError: names, options or data are wrong.
        KeyboardInterrupt: on Ctrl-C; finished epochs and runs are kept.
    """
    began = time.perf_counter()
    folder = Path(folder)
    check(config)
    files.require_one_intent(resume, overwrite)
    entries = plan_methods(config, folder)
    if overwrite:
        files.require_removable(folder, CONFIG)
    else:
        _require_place(folder, config, resume)
    modalities = modalities_of(config.base, entries)
    of_base = modalities_of(config.base)
    if config.alone and len(of_base) > 1:
        entries += [plan_alone(config, folder, modality) for modality in of_base]
    settings = {entry.folder: plan_search(entry, config) for entry in entries}  # refuses a space that is too small
    rehearse(entries, settings)
    clips = _prepare(config, entries, settings, modalities, progress)
    if overwrite:
        files.remove_run(folder, CONFIG)
    folder.mkdir(parents=True, exist_ok=True)
    _write_config(folder, config)

    runs: dict[tuple[str, str], list[RunResult]] = {}
    failures: list[Failure] = []
    finals = len(config.seeds) * len(clips)  # runs per entry
    total = len(entries) * (config.search_trials + finals)
    at_once = len(entries) * max(config.search_trials, finals)  # more jobs would only take threads away
    with Watch(total, progress) as watch, Pool(run_task, jobs=min(config.jobs, at_once)) as pool:
        if config.search_trials:
            _search(entries, settings, config, pool, watch, failures)
        tasks = []
        for seed in config.seeds:
            for fold in clips:
                tasks += [_task(entry, seed, fold, config) for entry in entries if not entry.failed]
        for task, result, error in _run(tasks, pool, watch):
            if error is not None:
                failures.append(_failure(task, error, folder))
            elif isinstance(result, RunResult):
                placed = replace(result, folder=str(task.folder.relative_to(folder)), fold=task.fold)
                runs.setdefault((task.kind, task.name), []).append(placed)

    table = next(iter(clips.values())).table
    comparison = Comparison(
        folder=folder,
        dataset=table.name,
        classes=tuple(table.classes),
        modalities=modalities,
        baseline=baseline_of(config, entries),
        methods=collect("method", entries, runs, modalities, folder, list(clips)),
        alone=collect(ALONE, entries, runs, modalities, folder, list(clips)),
        failures=tuple(failures),
        protocol=protocol(config, clips, time.perf_counter() - began),
        folds=tuple(config.folds),
    )
    comparison = with_differences(comparison)
    files.write_json(folder / RESULTS, comparison.to_dict())
    write_csv(comparison, folder)
    write_report(comparison)
    return comparison


def read_compare_config(folder: str | Path) -> CompareConfig:
    """The configuration of a comparison, as ``compare.yaml`` in its folder has it.

    Raises:
        RunError: the folder holds no comparison.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is not a comparison: it has no {CONFIG}")
    return from_dict(CompareConfig, read_yaml(path))


# ---------------------------------------------------------------------- before the runs


def _require_place(folder: Path, config: CompareConfig, resume: bool) -> None:
    files.require_no_other(folder, "comparison", files.CONFIG)
    if not (folder / CONFIG).exists():
        return
    if not resume:
        raise RunError(
            f"{folder} holds a comparison already. Continue it with --resume, or give the new one another name"
        )
    before, now = flatten(read_compare_config(folder)), flatten(config)
    changed = [key for key in now if now[key] != before[key] and key not in _FREE_TO_CHANGE]
    if config.search_trials and now["seeds"][0] != before["seeds"][0]:
        changed.append("seeds")  # the search was with the first of them
    if now["folds"][:1] != before["folds"][:1] and (config.search_trials or not (now["folds"] and before["folds"])):
        changed.append("folds")
    if changed:
        pairs = ", ".join(f"{key} (was {before[key]!r}, now {now[key]!r})" for key in changed)
        raise RunError(
            f"{folder} was started under another protocol: {pairs}. Resume it with the same options, or give the "
            "changed comparison another name"
        )


def _prepare(
    config: CompareConfig,
    entries: Sequence[Entry],
    settings: dict[Path, list[dict[str, Any]]],
    modalities: tuple[str, ...],
    progress: bool,
) -> dict[Fold, PreparedClips]:
    """List, render and decode once before the runs, so that unreadable data are told before anything is trained.

    Between the two, when the shape of clips is known, parts that do not fit it are told.
    """
    source = config.base.data
    clips: dict[Fold, PreparedClips] = {}
    with Display(progress) as display:
        tables = {
            fold: list_clips(with_fold(config.base, fold).data, display.callback("render")) for fold in folds_of(config)
        }
        check_tables(tables)
        for table in tables.values():
            rehearse(entries, settings, len(table.classes), media_spec(table, source.media))
            break  # all folds have the same classes and shape
        for fold, table in tables.items():
            clips[fold] = prepare(
                table,
                media_spec(table, source.media),
                cache=source.cache,
                max_bad=source.max_bad,
                modalities=modalities,
                progress=display.callback("decode"),
            )
            for split in SPLITS:
                clips[fold].clips(split)  # an empty one is told now, and not by every run
    return clips


def _write_config(folder: Path, config: CompareConfig) -> None:
    import yaml

    files.write_text(folder / CONFIG, yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))


# ---------------------------------------------------------------------- the runs


def _task(entry: Entry, seed: int, fold: Fold, config: CompareConfig) -> RunTask:
    """A run of the chosen setting. If the search's chosen trial was that very run, its folder is taken over."""
    folder = entry.folder / f"seed{seed}"
    folder = folder if fold is None else folder / f"fold{fold}"
    task = RunTask(entry.name, entry.kind, folder, _run_config(entry.config, seed, fold), config.probe, fold)
    if config.search_trials and (seed, fold) == _of_search(config) and not folder.exists():
        for trial in sorted((entry.folder / "search").glob("trial*")):
            if files.read_result(trial) is not None and files.read_config(trial) == task.config:
                part = folder.with_name(f"{folder.name}.part")
                shutil.rmtree(part, ignore_errors=True)
                shutil.copytree(trial, part)
                part.rename(folder)  # there whole or not at all
                break
    return task


def _run_config(config: TrainConfig, seed: int, fold: Fold) -> TrainConfig:
    return replace(with_fold(config, fold), seed=seed)


def _of_search(config: CompareConfig) -> tuple[int, Fold]:
    """Seed and fold that the search runs with."""
    return config.seeds[0], folds_of(config)[0]


def _run(tasks: Sequence[RunTask], pool: Runs, watch: Watch) -> list[tuple[RunTask, Any, str | None]]:
    """Results in the order of `tasks`; those of finished runs are read, not made again."""
    found: dict[Path, tuple[RunTask, Any, str | None]] = {}
    for task in tasks:
        if (done := finished(task)) is not None:
            found[task.folder] = (task, done, None)
            watch.ended(task, "was finished before")
    waiting = [task for task in tasks if task.folder not in found]
    for outcome in pool.run(waiting, watch.started):
        task = outcome.task
        found[task.folder] = (task, outcome.result, outcome.error)
        if outcome.error is not None:
            watch.ended(task, f"failed: {outcome.error}")
        elif isinstance(outcome.result, RunResult):
            watch.ended(task, f"test top-1 {100 * outcome.result.test.accuracy:.1f}")
        else:
            watch.ended(task, f"val top-1 {100 * outcome.result['accuracy']:.1f}")  # type: ignore[index]
    return [found[task.folder] for task in tasks]


def _search(
    entries: Sequence[Entry],
    settings: dict[Path, list[dict[str, Any]]],
    config: CompareConfig,
    pool: Runs,
    watch: Watch,
    failures: list[Failure],
) -> None:
    """Try as many settings for each, with the first seed and fold, and keep the best one on validation data."""
    seed, fold = _of_search(config)
    owners: dict[Path, tuple[Entry, dict[str, Any]]] = {}
    tasks = []
    for trial in range(config.search_trials):
        for entry in entries:
            setting = settings[entry.folder][trial]
            changed = _run_config(apply_setting(entry.config, setting), seed, fold)
            task = RunTask(entry.name, "search", entry.folder / "search" / f"trial{trial}", changed, fold=fold)
            owners[task.folder] = (entry, setting)
            tasks.append(task)
    for task, result, error in _run(tasks, pool, watch):
        entry, setting = owners[task.folder]
        entry.trials += (Trial(setting, None if error else result[config.search_metric]),)
        if error:
            failures.append(_failure(task, error, _root(entry)))
    for entry in entries:
        scored = [(trial.score, -i) for i, trial in enumerate(entry.trials) if trial.score is not None]
        if not scored:
            entry.failed = True
            continue
        best = -max(scored)[1]  # of equals the first, which is the recipe as it stands
        entry.setting = entry.trials[best].setting
        entry.config = apply_setting(entry.config, entry.setting)
        chosen = {"metric": f"val {config.search_metric}", "chosen": best, "trials": [asdict(t) for t in entry.trials]}
        files.write_json(entry.folder / SEARCH, chosen)


def _root(entry: Entry) -> Path:
    return entry.folder.parents[1] if entry.kind == ALONE else entry.folder.parent


def _failure(task: RunTask, error: str, root: Path) -> Failure:
    name = f"{task.name} alone" if task.kind == ALONE else task.name
    return Failure(name, task.seed, str(task.folder.relative_to(root)), error, task.fold)
