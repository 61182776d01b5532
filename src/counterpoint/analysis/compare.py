"""Several methods under one protocol: search, train, test once, take apart, compare."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from counterpoint.analysis.config import CompareConfig
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
from counterpoint.analysis.report import write_report
from counterpoint.analysis.results import Comparison, Failure, RunResult, Trial
from counterpoint.analysis.tables import write_csv
from counterpoint.analysis.watch import Watch
from counterpoint.analysis.worker import RunTask, finished, run_task
from counterpoint.data import SPLITS, PreparedClips, prepare
from counterpoint.errors import RunError
from counterpoint.training import folder as files
from counterpoint.training.build import build_parts, check_names
from counterpoint.training.config import flatten, from_dict, to_dict
from counterpoint.training.datamodule import list_clips, media_spec
from counterpoint.training.progress import Display
from counterpoint.training.yamlfile import read_yaml

CONFIG, RESULTS, SEARCH = "compare.yaml", "results.json", "search.json"

Runs = Pool[RunTask, RunResult | dict[str, float]]

_FREE_TO_CHANGE = {"methods", "seeds", "baseline", "probe", ALONE, "jobs"}
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
    ``<method>/search/trial<k>`` for the search). Validation data choose epochs and settings; test data are used for
    the chosen runs alone, after that.

    Args:
        config: what to compare.
        folder: of the comparison; made here.
        resume: go on with an interrupted comparison; finished runs are not repeated. Methods and seeds may be added.
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
    for entry in entries:
        check_names(entry.config)
    clips, modalities = _prepare(config, progress)
    if config.alone and len(modalities) > 1:
        entries += [plan_alone(config, folder, modality) for modality in modalities]
    settings = {entry.folder: plan_search(entry, config) for entry in entries}  # refuses a space that is too small
    if overwrite:
        files.remove_run(folder, CONFIG)
    folder.mkdir(parents=True, exist_ok=True)
    _write_config(folder, config)

    runs: dict[tuple[str, str], list[RunResult]] = {}
    failures: list[Failure] = []
    total = len(entries) * (config.search_trials + len(config.seeds))
    at_once = len(entries) * max(config.search_trials, len(config.seeds))  # more jobs would only take threads away
    with Watch(total, progress) as watch, Pool(run_task, jobs=min(config.jobs, at_once)) as pool:
        if config.search_trials:
            _search(entries, settings, config, pool, watch, failures)
        tasks = [
            RunTask(e.name, e.kind, e.folder / f"seed{seed}", replace(e.config, seed=seed), config.probe)
            for seed in config.seeds
            for e in entries
            if not e.failed
        ]
        for task in tasks:
            _reuse_trial(task, config)
        for task, result, error in _run(tasks, pool, watch):
            if error is not None:
                failures.append(_failure(task, error, folder))
            elif isinstance(result, RunResult):
                relative = replace(result, folder=str(task.folder.relative_to(folder)))
                runs.setdefault((task.kind, task.name), []).append(relative)

    comparison = Comparison(
        folder=folder,
        dataset=clips.table.name,
        classes=tuple(clips.table.classes),
        modalities=modalities,
        baseline=baseline_of(config, entries),
        methods=collect("method", entries, runs, modalities),
        alone=collect(ALONE, entries, runs, modalities),
        failures=tuple(failures),
        protocol=protocol(config, clips, time.perf_counter() - began),
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
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; give the comparison another name")
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
    if changed:
        pairs = ", ".join(f"{key} (was {before[key]!r}, now {now[key]!r})" for key in changed)
        raise RunError(
            f"{folder} was started under another protocol: {pairs}. Resume it with the same options, or give the "
            "changed comparison another name"
        )


def _prepare(config: CompareConfig, progress: bool) -> tuple[PreparedClips, tuple[str, ...]]:
    """List, render and decode once before the runs, so that unreadable data are told before anything is trained."""
    source = config.base.data
    with Display(progress) as display:
        table = list_clips(source, display.callback("render"))
        spec = media_spec(table, source.media)
        modalities = build_parts(config.base, len(table.classes), spec).modalities
        clips = prepare(
            table,
            spec,
            cache=source.cache,
            max_bad=source.max_bad,
            modalities=modalities,
            progress=display.callback("decode"),
        )
    for split in SPLITS:
        clips.clips(split)  # an empty one is told now, and not by every run
    return clips, modalities


def _write_config(folder: Path, config: CompareConfig) -> None:
    import yaml

    files.write_text(folder / CONFIG, yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))


# ---------------------------------------------------------------------- the runs


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
    """Try as many settings for each, with the first seed, and keep the one that is best on validation data."""
    owners: dict[Path, tuple[Entry, dict[str, Any]]] = {}
    tasks = []
    for trial in range(config.search_trials):
        for entry in entries:
            setting = settings[entry.folder][trial]
            changed = replace(apply_setting(entry.config, setting), seed=config.seeds[0])
            task = RunTask(entry.name, "search", entry.folder / "search" / f"trial{trial}", changed)
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


def _reuse_trial(task: RunTask, config: CompareConfig) -> None:
    """The chosen trial has trained the very run that the first seed asks for."""
    if not config.search_trials or task.seed != config.seeds[0] or task.folder.exists():
        return
    for trial in sorted(task.folder.parent.glob("search/trial*")):
        if files.read_result(trial) is not None and files.read_config(trial) == task.config:
            part = task.folder.with_name(f"{task.folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(trial, part)
            part.rename(task.folder)  # there whole or not at all
            return


def _root(entry: Entry) -> Path:
    return entry.folder.parents[1] if entry.kind == ALONE else entry.folder.parent


def _failure(task: RunTask, error: str, root: Path) -> Failure:
    name = f"{task.name} alone" if task.kind == ALONE else task.name
    return Failure(name, task.seed, str(task.folder.relative_to(root)), error)
