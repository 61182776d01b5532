"""A paper's table, run whole: what the paper prints beside what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from counterpoint._lock import locked
from counterpoint.analysis.results import Comparison, MethodResult
from counterpoint.analysis.statistics import Estimate, mean_interval
from counterpoint.experiments.compare import CONFIG, run_plan
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.plan import Plan, resolve_plan
from counterpoint.experiments.reproduction_tables import Reproduction, Row, write_reproduction
from counterpoint.recipes import PaperResult, PaperTable, Recipe, load_recipe
from counterpoint.training import run_dir as files
from counterpoint.training.config_io import flatten, from_dict
from counterpoint.training.datamodule import list_run_clips
from counterpoint.training.load import load_run
from counterpoint.training.place import FREE_TO_CHANGE
from counterpoint.training.resolve import modalities_of
from counterpoint.verify.evaluate import Verified, check_trials, find_trial_lists, verify

_SCALE = {"minDCF": 1.0, "params": 1e-6}  # from a measured value to what papers print; all others are percentages


def plan_reproduction(table: PaperTable, config: CompareConfig, folder: str | Path) -> Plan:
    """Refuse what is wrong with names, options or data, without training or decoding anything.

    Args:
        table: of the paper.
        config: the table's comparison, perhaps changed.
        folder: of the comparison; one that is there is resumed.

    Raises:
        CounterpointError: the dataset or its trials are not there, for one.
    """
    plan = resolve_plan(config, folder, table.compare["methods"])
    list_run_clips(config.base)
    lists = find_trial_lists(table.trials, config.base.data)
    check_trials(lists, config.base.data, modalities_of(config.base))
    return plan


def reproduce(table: PaperTable, config: CompareConfig, folder: str | Path, *, progress: bool = True) -> Reproduction:
    """Run a table, or go on where it stopped, and set what the paper prints beside it.

    Besides what `compare` writes there are ``reproduction.csv`` and ``reproduction.md`` in `folder`.

    Args:
        table: of the paper.
        config: the table's comparison, perhaps changed.
        folder: of the comparison; one that is there is resumed.
        progress: show progress on standard error.

    Raises:
        RunError: the folder holds a comparison under another protocol.
        CounterpointError: names, options or data are wrong; nothing is trained then.
    """
    return run_reproduction(table, plan_reproduction(table, config, folder), progress=progress)


def run_reproduction(table: PaperTable, plan: Plan, *, progress: bool = True) -> Reproduction:
    """What `reproduce` does once it knows what is to be run; for what is raised, see there."""
    with locked(plan.folder):
        return _run(table, plan, progress)


def _run(table: PaperTable, plan: Plan, progress: bool) -> Reproduction:
    config, folder = plan.config, plan.folder
    comparison = run_plan(plan, resume=(folder / CONFIG).is_file(), progress=progress)
    verified, missing = _verify(table, config, comparison)
    rows = []
    recipes = [load_recipe(method) for method in config.methods]
    for recipe in recipes:
        found = comparison.methods.get(recipe.name)
        rows += _rows(table, recipe, found, verified.get(recipe.name, {}), config, folder)
    made = Reproduction(
        table=table,
        folder=folder,
        methods=tuple(recipe.name for recipe in recipes),
        seeds=tuple(config.seeds),
        rows=tuple(rows),
        notes=(*_told_otherwise(table, config, comparison), *table.notes, *missing, *comparison.protocol["notes"]),
        failures=comparison.failures,
    )
    write_reproduction(made)
    return made


def metrics_of(table: PaperTable) -> dict[str, str]:
    """What a table prints: metric as printed -> metric as measured, in the order of its first rows.

    ``accuracy_weakly`` is what a weakly supervised run's accuracy is set beside, and ``accuracy`` a fully supervised
    one's.
    """
    localise = table.compare["base"].get("localise", {})
    other = "accuracy" if localise.get("supervision") == "weakly" else "accuracy_weakly"
    printed = dict.fromkeys(
        result.metric for method in table.compare["methods"] for result in _of(table, load_recipe(method))
    )
    return {metric: metric.removesuffix("_weakly") for metric in printed if metric != other}


def _of(table: PaperTable, recipe: Recipe) -> list[PaperResult]:
    return [result for result in recipe.paper if result.source == table.source and result.dataset in table.datasets]


def _rows(
    table: PaperTable,
    recipe: Recipe,
    found: MethodResult | None,
    verified: Mapping[str, list[Verified]],
    config: CompareConfig,
    folder: Path,
) -> list[Row]:
    printed = {(result.dataset, result.metric): result.value for result in _of(table, recipe)}
    rows = []
    for dataset in table.datasets:
        for name, metric in metrics_of(table).items():
            values = _measured(metric, found, verified.get(dataset, []), folder)
            estimate = mean_interval([value * _SCALE.get(metric, 100.0) for value in values])
            if metric == "params":  # the same for every seed
                estimate = Estimate(estimate.mean, None, estimate.values)
            paper = printed.get((dataset, name))
            remark = "" if paper is not None else _why_not(table, recipe, dataset)
            rows.append(Row(recipe.name, recipe.title, dataset, metric, paper, estimate, remark))
    return rows


def _measured(metric: str, found: MethodResult | None, verified: list[Verified], folder: Path) -> list[float]:
    """One value per seed, as measured."""
    if metric in ("EER", "AUC", "minDCF"):
        return [getattr(one, metric) for one in verified]
    if found is None:
        return []
    if metric == "params":
        result = files.read_result(folder / found.runs[0].folder)
        return [] if result is None else [float(result["parameters"])]
    if metric.startswith("probe_"):
        modality = metric.removeprefix("probe_")
        scores = [seed.modalities[modality].probe for seed in found.seeds if modality in seed.modalities]
        return [probe["accuracy"] for probe in scores if probe is not None]
    if metric == "accuracy" and found.fold_accuracy is not None:  # papers print the mean over folds
        return list(found.fold_accuracy.values)
    return [seed.test[metric] for seed in found.seeds if metric in seed.test]


def _why_not(table: PaperTable, recipe: Recipe, dataset: str) -> str:
    """Which other figures there are of a method where its own is missing."""
    here = [result.metric for result in _of(table, recipe) if result.dataset == dataset]
    if here:
        return f"printed as {', '.join(here)} alone"
    elsewhere = dict.fromkeys(f"{result.source} ({result.dataset})" for result in recipe.paper)
    return f"printed in {', '.join(elsewhere)}" if elsewhere else "no row of a paper"


def _verify(
    table: PaperTable, config: CompareConfig, comparison: Comparison
) -> tuple[dict[str, dict[str, list[Verified]]], list[str]]:
    """Method -> dataset -> what was verified, once per seed; and what the lists lack."""
    lists = find_trial_lists(table.trials, config.base.data)
    found: dict[str, dict[str, list[Verified]]] = {}
    if not lists:
        return found, []
    for name, method in comparison.methods.items():
        for run in method.runs:
            for dataset, one in verify(load_run(comparison.folder / run.folder), lists).items():
                found.setdefault(name, {}).setdefault(dataset, []).append(one)
    missing = {dataset: one.missing for by in found.values() for dataset, (one, *_) in by.items() if one.missing}
    return found, [f"{dataset}: {sentence}" for dataset, sentence in missing.items()]


def _told_otherwise(table: PaperTable, config: CompareConfig, comparison: Comparison) -> list[str]:
    """What is not as the table has it, places of files and the like aside."""
    own, now = flatten(from_dict(CompareConfig, table.compare)), flatten(config)
    free = {"methods", "jobs", *(f"base.{name}" for name in FREE_TO_CHANGE)}
    changed = [f"{name} is {now[name]!r}, not {own[name]!r}" for name in now if now[name] != own[name]]
    told = [f"This run differs from the table: {what}." for what in changed if what.split(" is ")[0] not in free]
    if config.base.data.name != table.data:
        told.insert(0, f"Measured on {comparison.dataset}; the paper's figures are of {', '.join(table.datasets)}.")
    return told
