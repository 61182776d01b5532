"""Several methods under one protocol: search, train, test once, take apart, compare."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from counterpoint.analysis.config import CompareConfig
from counterpoint.analysis.pool import run_tasks
from counterpoint.analysis.results import Comparison, Failure, MethodResult, RunResult, Trial
from counterpoint.analysis.search import draw_settings, get_setting, with_setting
from counterpoint.analysis.statistics import Difference, compare_paired, correct_holm, mean_interval
from counterpoint.analysis.traces import load_trace
from counterpoint.analysis.watch import Watch
from counterpoint.analysis.worker import TRACE, RunTask, finished, run_task
from counterpoint.data import PreparedClips, load_table, prepare
from counterpoint.errors import ConfigError, RunError
from counterpoint.recipes import load_recipe
from counterpoint.registry import did_you_mean
from counterpoint.training import folder as files
from counterpoint.training.build import build_parts
from counterpoint.training.config import METRICS, FusionConfig, TrainConfig, flatten, from_dict, to_dict
from counterpoint.training.datamodule import media_spec
from counterpoint.training.progress import Display

CONFIG, RESULTS, REPORT, SEARCH = "compare.yaml", "results.json", "report.html", "search.json"
ALONE = "alone"

_FREE_TO_CHANGE = {"methods", "seeds", "baseline", "probe", "alone", "jobs"}
_FREE_TO_CHANGE |= {f"base.{name}" for name in (*files.FREE_TO_CHANGE, "seed")}


@dataclass
class _Entry:
    """A method, or a modality alone, before and while it is run."""

    name: str
    kind: str
    title: str
    folder: Path
    config: TrainConfig
    space: dict[str, Any]
    setting: dict[str, Any]
    trials: tuple[Trial, ...] = ()
    failed: bool = False


def compare(config: CompareConfig, folder: str | Path, *, resume: bool = False, progress: bool = True) -> Comparison:
    """Train every method with every seed under one protocol, and find what each does with each modality.

    Writes ``compare.yaml``, ``results.json``, ``results.csv``, ``results_per_seed.csv`` and ``report.html`` into
    `folder`, and every run into ``<method>/seed<k>`` below it (``alone/<modality>/seed<k>`` for single modalities,
    ``<method>/search/trial<k>`` for the search). Validation data choose epochs and settings; test data are used once
    per run, after that.

    Args:
        config: what to compare.
        folder: of the comparison; made here.
        resume: go on with an interrupted comparison; finished runs are not repeated. Methods and seeds may be added.
        progress: show progress on standard error.

    Returns:
        What was found. A run that failed is among its ``failures``, and does not end the others.

    Raises:
        RunError: the folder holds a comparison already (or, with `resume`, one under another protocol).
        CounterpointError: names, options or data are wrong.
        KeyboardInterrupt: on Ctrl-C; finished epochs and runs are kept.
    """
    from counterpoint.analysis.report import write_report
    from counterpoint.analysis.tables import write_csv

    began = time.perf_counter()
    folder = Path(folder)
    _check(config)
    entries = _methods(config, folder)
    _require_place(folder, config, resume)
    clips, modalities = _prepare(config, progress)
    if config.alone and len(modalities) > 1:
        entries += [_alone(config, folder, modality) for modality in modalities]
    settings = {id(entry): _settings(entry, config) for entry in entries}  # refuses a space that is too small
    folder.mkdir(parents=True, exist_ok=True)
    _write_config(folder, config)

    runs: dict[tuple[str, str], list[RunResult]] = {}
    failures: list[Failure] = []
    total = len(entries) * (config.search_trials + len(config.seeds))
    with Watch(total, progress) as watch:
        if config.search_trials:
            _search(entries, settings, config, watch, failures)
        tasks = [
            RunTask(e.name, e.kind, e.folder / f"seed{seed}", replace(e.config, seed=seed), config.probe)
            for seed in config.seeds
            for e in entries
            if not e.failed
        ]
        for task in tasks:
            _reuse_trial(task, config)
        for task, result, error in _run(tasks, config.jobs, watch):
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
        baseline=_baseline(config, entries),
        methods=_results("method", entries, runs, modalities),
        alone=_results("alone", entries, runs, modalities),
        failures=tuple(failures),
        protocol=_protocol(config, clips, time.perf_counter() - began),
    )
    comparison = replace(comparison, methods=_with_differences(comparison))
    files.write_json(folder / RESULTS, comparison.to_dict())
    write_csv(comparison, folder)
    write_report(comparison)
    return comparison


def read_compare_config(folder: str | Path) -> CompareConfig:
    """The configuration of a comparison, as ``compare.yaml`` in its folder has it.

    Raises:
        RunError: the folder holds no comparison.
    """
    import yaml

    path = Path(folder) / CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is not a comparison: it has no {CONFIG}")
    return from_dict(CompareConfig, yaml.safe_load(path.read_text(encoding="utf-8")))


# ---------------------------------------------------------------------- before the runs


def _check(config: CompareConfig) -> None:
    for name, values in (("methods", config.methods), ("seeds", config.seeds)):
        if not values:
            raise ConfigError(f"{name} is empty; give at least one")
        twice = [value for i, value in enumerate(values) if value in values[:i]]
        if twice:
            raise ConfigError(f"{name} has {twice[0]!r} more than once")
    if config.search_metric not in METRICS:
        raise ConfigError(f"search_metric is {config.search_metric!r}.{did_you_mean(config.search_metric, METRICS)}")
    if config.search_trials < 0 or config.jobs < 1:
        raise ConfigError("search_trials must be 0 or more, and jobs at least 1")
    for seed in config.seeds:
        replace(config.base, seed=seed).check()


def _methods(config: CompareConfig, folder: Path) -> list[_Entry]:
    entries: list[_Entry] = []
    for method in config.methods:
        recipe = load_recipe(method)
        if recipe.name in (ALONE, *(e.name for e in entries)):
            raise ConfigError(f"methods: two are called {recipe.name!r}; rename one of the recipe files")
        space = dict(recipe.search)
        composed = recipe.apply(config.base)
        entries.append(_Entry(recipe.name, "method", recipe.title, folder / recipe.name, composed, space, {}))
    _baseline(config, entries)
    return entries


def _baseline(config: CompareConfig, entries: Sequence[_Entry]) -> str:
    names = [e.name for e in entries if e.kind == "method"]
    if config.baseline is None:
        return names[0]
    wanted = load_recipe(config.baseline).name
    if wanted not in names:
        raise ConfigError(f"baseline: {wanted!r} is not among the methods.{did_you_mean(wanted, names)}")
    return wanted


def _alone(config: CompareConfig, folder: Path, modality: str) -> _Entry:
    """One encoder and a linear head, with nothing to fuse or balance."""
    base = from_dict(TrainConfig, to_dict(config.base))
    plain = replace(TrainConfig(), fusion=FusionConfig("concat"))
    alone = replace(
        base,
        model=replace(base.model, modalities=[modality]),
        fusion=plain.fusion,
        head=plain.head,
        balance=plain.balance,
    )
    return _Entry(modality, "alone", f"{modality} alone, linear head", folder / ALONE / modality, alone, {}, {})


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
    if changed:
        pairs = ", ".join(f"{key} (was {before[key]!r}, now {now[key]!r})" for key in changed)
        raise RunError(
            f"{folder} was started under another protocol: {pairs}. Resume it with the same options, or give the "
            "changed comparison another name"
        )


def _prepare(config: CompareConfig, progress: bool) -> tuple[PreparedClips, tuple[str, ...]]:
    """Decode once before the runs, so that unreadable data are told before anything is trained."""
    source = config.base.data
    table = load_table(source.name, source.root, source.task, source.seed, **source.options)
    spec = media_spec(table, source.media)
    modalities = tuple(build_parts(config.base, len(table.classes), spec).modalities)
    with Display(progress) as display:
        clips = prepare(
            table,
            spec,
            cache=source.cache,
            max_bad=source.max_bad,
            modalities=modalities,
            progress=display.decoding if display.enabled else None,
        )
    return clips, modalities


def _write_config(folder: Path, config: CompareConfig) -> None:
    import yaml

    files.write_text(folder / CONFIG, yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))


# ---------------------------------------------------------------------- the runs


def _run(tasks: Sequence[RunTask], jobs: int, watch: Watch) -> list[tuple[RunTask, Any, str | None]]:
    """Results in the order of `tasks`; those of finished runs are read, not made again."""
    found: dict[Path, tuple[RunTask, Any, str | None]] = {}
    for task in tasks:
        if (done := finished(task)) is not None:
            found[task.folder] = (task, done, None)
            watch.ended(task, "was finished before")
    waiting = [task for task in tasks if task.folder not in found]
    for outcome in run_tasks(run_task, waiting, jobs=jobs, started=watch.started):
        task = outcome.task
        found[task.folder] = (task, outcome.result, outcome.error)
        if outcome.error is not None:
            watch.ended(task, f"failed: {outcome.error}")
        elif isinstance(outcome.result, RunResult):
            watch.ended(task, f"test top-1 {100 * outcome.result.test.accuracy:.1f}")
        else:
            watch.ended(task, f"val top-1 {100 * outcome.result['accuracy']:.1f}")  # type: ignore[index]
    return [found[task.folder] for task in tasks]


def _settings(entry: _Entry, config: CompareConfig) -> list[dict[str, Any]]:
    space = {**config.search_space, **entry.space}
    defaults = {name: get_setting(entry.config, name) for name in space} if config.search_trials else {}
    if not config.search_trials:
        return []
    return draw_settings(
        defaults,
        {name: values for name, values in config.search_space.items() if name not in entry.space},
        entry.space,
        trials=config.search_trials,
        seed=config.search_seed,
        name=entry.name,
    )


def _search(
    entries: Sequence[_Entry],
    settings: dict[int, list[dict[str, Any]]],
    config: CompareConfig,
    watch: Watch,
    failures: list[Failure],
) -> None:
    """Try as many settings for each, with the first seed, and keep the one that is best on validation data."""
    owners: dict[Path, tuple[_Entry, dict[str, Any]]] = {}
    tasks = []
    for trial in range(config.search_trials):
        for entry in entries:
            setting = settings[id(entry)][trial]
            changed = replace(_with(entry.config, setting), seed=config.seeds[0])
            task = RunTask(entry.name, "search", entry.folder / "search" / f"trial{trial}", changed)
            owners[task.folder] = (entry, setting)
            tasks.append(task)
    tried: dict[int, list[Trial]] = {id(entry): [] for entry in entries}
    for task, result, error in _run(tasks, config.jobs, watch):
        entry, setting = owners[task.folder]
        tried[id(entry)].append(Trial(setting, None if error else result[config.search_metric]))
        if error:
            failures.append(_failure(task, error, _root(entry)))
    for entry in entries:
        entry.trials = tuple(tried[id(entry)])
        scored = [(trial.score, -i) for i, trial in enumerate(entry.trials) if trial.score is not None]
        if not scored:
            entry.failed = True
            continue
        best = -max(scored)[1]  # of equals the first, which is the recipe as it stands
        entry.setting = entry.trials[best].setting
        entry.config = _with(entry.config, entry.setting)
        chosen = {"metric": f"val {config.search_metric}", "chosen": best, "trials": [asdict(t) for t in entry.trials]}
        files.write_json(entry.folder / SEARCH, chosen)


def _with(config: TrainConfig, setting: dict[str, Any]) -> TrainConfig:
    for name, value in setting.items():
        if value is not None or get_setting(config, name) is not None:
            config = with_setting(config, name, value)
    return config


def _reuse_trial(task: RunTask, config: CompareConfig) -> None:
    """The chosen trial has trained the very run that the first seed asks for."""
    if not config.search_trials or task.seed != config.seeds[0] or task.folder.exists():
        return
    for trial in sorted(task.folder.parent.glob("search/trial*")):
        if files.read_result(trial) is not None and files.read_config(trial) == task.config:
            shutil.copytree(trial, task.folder)
            return


def _root(entry: _Entry) -> Path:
    return entry.folder.parents[1] if entry.kind == "alone" else entry.folder.parent


def _failure(task: RunTask, error: str, root: Path) -> Failure:
    name = f"{task.name} alone" if task.kind == "alone" else task.name
    return Failure(name, task.seed, str(task.folder.relative_to(root)), error)


# ---------------------------------------------------------------------- after the runs


def _results(
    kind: str, entries: Sequence[_Entry], runs: dict[tuple[str, str], list[RunResult]], modalities: Sequence[str]
) -> dict[str, MethodResult]:
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


def _with_differences(comparison: Comparison) -> dict[str, MethodResult]:
    """Each method against the baseline, on the seeds that both finished."""
    baseline = comparison.methods.get(comparison.baseline)
    if baseline is None:
        return comparison.methods
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
    return {name: replace(method, difference=corrected.get(name)) for name, method in comparison.methods.items()}


def _protocol(config: CompareConfig, clips: PreparedClips, seconds: float) -> dict[str, Any]:
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
