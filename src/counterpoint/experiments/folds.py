"""The clips of a comparison, fold by fold: with cross-validation each method and seed is run once on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from counterpoint.data import DATASETS, ClipTable
from counterpoint.data.cache.prepare import Progress
from counterpoint.errors import ConfigError, DataError
from counterpoint.experiments.config import CompareConfig
from counterpoint.training.config import TrainConfig
from counterpoint.training.datamodule import list_run_clips

OPTION = "fold"
Fold = int | None


def folds_of(config: CompareConfig) -> tuple[Fold, ...]:
    """The folds, in order; one None where the data have the one split of their own."""
    assert not isinstance(config.folds, int)
    return tuple(config.folds) or (None,)


def with_fold(config: TrainConfig, fold: Fold) -> TrainConfig:
    """A copy of `config` on a fold: one that is drawn, or one of its dataset's own; itself for None."""
    data = config.data
    if fold is None:
        return config
    own = {"options": {**data.options, OPTION: fold}}
    return replace(config, data=replace(data, **({"fold": fold} if data.folds else own)))


def check_folds(config: CompareConfig) -> None:
    """Refuse folds of a dataset that has none, or folds given twice over.

    Raises:
        ConfigError: says which, and what to do.
    """
    data = config.base.data
    if not config.folds:
        return
    has_own = OPTION in DATASETS.get(data.name).wants
    if has_own and data.folds is not None:
        raise ConfigError(
            f"folds is {data.folds}, but {data.name} has folds of its own; name them, as in --folds 0 1 2 (or [0])"
        )
    if not has_own and data.folds is None:
        raise ConfigError(
            f"folds is {config.folds}, but {data.name} takes no option {OPTION!r}; give their number, as in --folds 5"
        )
    if OPTION in data.options:
        raise ConfigError(
            f"folds is {config.folds} and base.data.options has a {OPTION!r} as well; drop one of the two"
        )


def list_folds(config: CompareConfig, progress: Progress | None) -> dict[Fold, ClipTable]:
    """The clips of every fold, listed.

    Args:
        config: checked.
        progress: see `list_run_clips`.

    Raises:
        CounterpointError: the dataset is not there, or its folds cannot be pooled.
    """
    tables = {fold: list_run_clips(with_fold(config.base, fold), progress) for fold in folds_of(config)}
    check_tables(tables)
    return tables


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
