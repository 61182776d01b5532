"""Several methods under one protocol: search, train, test once, take apart, compare."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from counterpoint import _atomic, guests
from counterpoint._checksums import require_whole
from counterpoint._lock import locked
from counterpoint._progress import ProgressDisplay
from counterpoint.analysis.results import Comparison, Failure, RunResult
from counterpoint.errors import RunError
from counterpoint.experiments.aggregate import collect, protocol, separate_groups, with_differences
from counterpoint.experiments.baselines import run_baselines
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.folds import Fold, list_folds
from counterpoint.experiments.plan import ALONE, CLASSICAL, ENSEMBLE, Plan, dry_run, resolve_plan
from counterpoint.experiments.process_pool import Pool
from counterpoint.experiments.progress import RunProgress
from counterpoint.experiments.schedule import failure, final_task, run_all, search_settings
from counterpoint.experiments.worker import run_task
from counterpoint.report.doctor import examine
from counterpoint.report.report import write_report
from counterpoint.report.results_csv import write_csv
from counterpoint.training import place
from counterpoint.training import run_dir as files
from counterpoint.training.budget import as_begun, budget_note, with_budget
from counterpoint.training.config_io import flatten, from_dict, read_yaml, to_dict, write_yaml
from counterpoint.training.datamodule import Prepared

CONFIG, RESULTS, LOG = files.COMPARISON, "results.json", "compare.log"

_FREE_TO_CHANGE = {"methods", "seeds", "folds", "baseline", "probe", ALONE, ENSEMBLE, CLASSICAL, "jobs"}
_FREE_TO_CHANGE |= {f"base.{name}" for name in (*place.FREE_TO_CHANGE, "seed")}


def compare(
    config: CompareConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    rows: Sequence[str] = (),
    progress: bool = True,
    trust_code: bool = False,
) -> Comparison:
    """Train every method with every seed under one protocol, and find what each does with each modality.

    Writes ``compare.yaml``, ``compare.log``, ``results.json``, ``results.csv``, ``results_per_seed.csv`` and
    ``report.html`` into `folder`, and every run into ``<method>/seed<k>`` below it (``alone/<modality>/seed<k>`` for
    single modalities, ``<method>/search/trial<k>`` for the search; with folds, into ``fold<k>`` below the seed).
    Validation data choose epochs and settings; test data are used for the chosen runs alone, after that.

    Args:
        config: what to compare.
        folder: of the comparison; made here.
        resume: go on with an interrupted comparison; finished runs are not repeated. Methods, seeds and folds may be
            added.
        overwrite: remove a comparison that is there already, once names, options and data of the new one are found
            right; its own files alone.
        rows: recipes besides the methods that ``changes`` may be meant for: of a table of which only some are compared.
        progress: show progress on standard error.
        trust_code: let recipe files, and the comparison that is gone on with, name parts that are not counterpoint's
            own; their modules are imported.

    Returns:
        What was found. A run that failed is among its ``failures``, and does not end the others.

    Raises:
        RunError: the folder holds a comparison already (or, with `resume`, one under another protocol; with
            `overwrite`, something that is no comparison); another process is at work in it; a file cannot be written.
        UntrustedCodeError: a recipe file names such parts, and neither `trust_code` nor the user's own words trust
            them.
        CounterpointError: names, options or data are wrong.
        KeyboardInterrupt: on Ctrl-C; finished epochs and runs are kept.
    """
    place.require_one_intent(resume, overwrite)
    begun = resume and (Path(folder) / CONFIG).is_file()
    with guests.trusting(trust_code):
        plan = resolve_plan(config, folder, None if begun else rows)  # with methods left out, what was begun goes on
        return run_plan(plan, resume=resume, overwrite=overwrite, progress=progress)


def run_plan(
    plan: Plan,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    until: float | None = None,
) -> Comparison:
    """What `compare` does once it knows what is to be run; for the other arguments, and what is raised, see there.

    Args:
        plan: what to run.
        resume: go on with what is there.
        overwrite: remove it.
        progress: show bars.
        until: see `run_all`; what was not begun for it is told among the notes.
    """
    with locked(plan.folder):
        return _run(plan, resume, overwrite, progress, until)


def _run(plan: Plan, resume: bool, overwrite: bool, progress: bool, until: float | None) -> Comparison:
    began, folder = time.perf_counter(), plan.folder
    if overwrite:
        place.require_removable(folder, CONFIG)
    else:
        plan = _require_place(plan, resume)
    plan, clips = _prepare(plan, progress)
    if overwrite:
        place.remove_run(folder, CONFIG)
    write_yaml(folder / CONFIG, to_dict(plan.config), checked=True)
    runs, failures, late = _train(plan, tuple(clips), progress, until)
    runs |= run_baselines(plan, runs, clips, failures)
    table = next(iter(clips.values())).table
    comparison = Comparison(
        folder=folder,
        dataset=table.name,
        classes=tuple(table.classes),
        modalities=plan.modalities,
        baseline=plan.baseline,
        methods=collect("method", plan, runs, list(clips)),
        alone=collect(ALONE, plan, runs, list(clips)),
        failures=tuple(failures),
        protocol=protocol(plan, clips, time.perf_counter() - began, late),
        folds=tuple(fold for fold in clips if fold is not None),
    )
    comparison = with_differences(comparison, separate_groups(clips))
    comparison = replace(comparison, findings=examine(comparison))
    _atomic.write_json(folder / RESULTS, comparison.to_dict(), checked=True)
    write_csv(comparison, folder)
    write_report(comparison)
    return comparison


def read_compare_config(folder: str | Path) -> CompareConfig:
    """The configuration of a comparison, as ``compare.yaml`` in its folder has it.

    Raises:
        RunError: the folder holds no comparison.
        UntrustedCodeError: it names code that the user has not named, see `guests.require_trust`.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is not a comparison: it has no {CONFIG}")
    require_whole(path)
    values = read_yaml(path)
    guests.require_trust(path, values)
    if isinstance(values, dict) and "base" in values:
        values = {**values, "base": files.with_former_defaults(values["base"])}
    return from_dict(CompareConfig, values)


def _require_place(plan: Plan, resume: bool) -> Plan:
    """Refuse a place that is taken; what is gone on with goes on with its epochs and batch size."""
    folder = plan.folder
    place.require_no_other(folder, CONFIG)
    if not (folder / CONFIG).exists():
        return plan
    if not resume:
        raise RunError(
            f"{folder} holds a comparison already. Continue it with --resume, or give the new one another name"
        )
    begun = read_compare_config(folder)
    config = replace(plan.config, base=as_begun(plan.config.base, begun.base))
    before, now = flatten(begun), flatten(config)
    changed = [key for key in now if now[key] != before[key] and key not in _FREE_TO_CHANGE]
    if config.search_trials and now["seeds"][0] != before["seeds"][0]:
        changed.append("seeds")  # the search was with the first of them
    if now["folds"][:1] != before["folds"][:1] and (config.search_trials or not (now["folds"] and before["folds"])):
        changed.append("folds")
    if (now["base.epochs"] or 0) > (before["base.epochs"] or 0):
        changed.remove("base.epochs")
    if changed:
        pairs = place.differences(changed, before, now)
        raise RunError(f"{folder} was started under another protocol: {pairs}. So may methods, seeds and folds")
    return replace(plan, config=config)


def _prepare(plan: Plan, progress: bool) -> tuple[Plan, dict[Fold, Prepared]]:
    """List, render and decode once before the runs, so that unreadable data are told before anything is trained.

    Between the two, when clips and their shape are known, parts that do not fit it are told, and epochs and batch size
    that are open become those of all runs.
    """
    clips, asked = {}, plan.config.base
    with ProgressDisplay(progress) as display:
        tables = list_folds(plan.config, display.callback("list"))
        first = next(iter(tables.values()))  # all have the same classes and shape
        plan = replace(plan, config=replace(plan.config, base=with_budget(asked, first)))
        for entry in plan.entries:
            entry.config = as_begun(entry.config, plan.config.base)
        plan.left_out.update(dry_run(plan.entries, first, plan.optional))
        of_all = replace(plan.entries[0].runs[0], modalities=plan.modalities)
        for fold, table in tables.items():
            clips[fold] = replace(of_all, table=table).decode(display.callback("decode")).clips
        fitted = budget_note(asked, plan.config.base, len(next(iter(clips.values())).clips("train")))
        if fitted is not None:
            display.say(f"Note: {fitted}")
    return plan, clips


def _train(
    plan: Plan, folds: Sequence[Fold], progress: bool, until: float | None
) -> tuple[dict[tuple[str, str], list[RunResult]], list[Failure], list[str]]:
    """The search, and then the runs that are reported: (kind, name) -> finished ones; those that failed; and notes."""
    config, entries = plan.config, plan.entries
    runs: dict[tuple[str, str], list[RunResult]] = {}
    failures: list[Failure] = []
    finals = len(config.seeds) * len(folds)  # runs per entry
    total = len(entries) * (config.search_trials + finals)
    at_once = len(entries) * max(config.search_trials, finals)  # more jobs would only take threads away
    progressing = RunProgress(total, plan.folder / LOG, progress)
    with progressing as shown, Pool(run_task, jobs=min(config.jobs, at_once)) as pool:
        if config.search_trials:
            search_settings(plan, pool, shown, failures)
        tasks = []
        for seed in config.seeds:
            for fold in folds:
                tasks += [final_task(entry, seed, fold, config) for entry in entries if not entry.failed]
        done = run_all(tasks, pool, shown, until)
        for task, result, error in done:
            if error is not None:
                failures.append(failure(task, error, plan.folder))
            elif isinstance(result, RunResult):
                placed = replace(result, folder=str(task.folder.relative_to(plan.folder)), fold=task.fold)
                runs.setdefault((task.kind, task.name), []).append(placed)
    begun = {task.folder for task, *_ in done}
    late = [str(task.folder.relative_to(plan.folder)) for task in tasks if task.folder not in begun]
    return runs, failures, [f"Not begun for want of time: {', '.join(late)}; --resume goes on."] if late else []
