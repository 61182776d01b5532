"""Cross-validation: each method and seed is run once per fold, and its runs are evaluated together.

Every clip that any fold tests is evaluated once per seed, by the one model that has not seen it; figures, intervals and
paired tests are over these clips pooled. A seed counts once all its folds are finished.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from counterpoint.analysis.analyse_run import TRACE
from counterpoint.analysis.metrics import score
from counterpoint.analysis.results import ModalityScores, RunResult, SeedResult
from counterpoint.analysis.traces import Trace, load_trace, pool_traces
from counterpoint.data import DATASETS, ClipTable
from counterpoint.errors import ConfigError, DataError
from counterpoint.experiments.config import CompareConfig
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import with_setting

OPTION = "fold"
Fold = int | None


def folds_of(config: CompareConfig) -> tuple[Fold, ...]:
    """The folds, in order; one None where the data have the one split of their own."""
    return tuple(config.folds) or (None,)


def with_fold(config: TrainConfig, fold: Fold) -> TrainConfig:
    """A copy of `config` on a fold of its dataset; itself for None."""
    return config if fold is None else with_setting(config, f"data.options.{OPTION}", fold)


def check_folds(config: CompareConfig) -> None:
    """Refuse folds of a dataset that has none, or folds given twice over.

    Raises:
        CounterpointError: says which, and what to do.
    """
    if not config.folds:
        return
    data = config.base.data
    if OPTION not in DATASETS.get(data.name).wants:
        having = [name for name in DATASETS if OPTION in DATASETS.get(name).wants]
        there = f"; datasets with folds are {', '.join(having)}" if having else ""
        raise ConfigError(f"folds is {config.folds}, but {data.name} takes no option {OPTION!r}{there}")
    if OPTION in data.options:
        raise ConfigError(
            f"folds is {config.folds} and base.data.options has a {OPTION!r} as well; drop one of the two"
        )


def check_tables(tables: Mapping[Fold, ClipTable]) -> None:
    """Refuse folds that cannot be pooled.

    Raises:
        DataError: they differ in classes or shape of clips, or two of them test the same clip.
    """
    tested: dict[str, Fold] = {}
    first = next(iter(tables.values()))
    for fold, table in tables.items():
        if (table.classes, table.media) != (first.classes, first.media):
            raise DataError(
                f"{table.name}: fold {fold} has other classes or another shape of clips than the first fold"
            )
        for clip in table.split("test"):
            if clip.id in tested:
                raise DataError(
                    f"{table.name}: {clip.id} is a test clip of fold {tested[clip.id]} and of fold {fold}; folds whose "
                    "figures are pooled must test different clips"
                )
            tested[clip.id] = fold


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
