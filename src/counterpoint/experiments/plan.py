"""What a comparison is going to run: its methods, the single modalities, and the settings that each tries."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from counterpoint import guests
from counterpoint.analysis.results import Trial
from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.folds import check_folds
from counterpoint.experiments.search import draw_settings
from counterpoint.recipes import Recipe, load_recipe
from counterpoint.recipes.space import check_space
from counterpoint.registry import did_you_mean
from counterpoint.training import resolve
from counterpoint.training.config import COMPOSITION, TrainConfig
from counterpoint.training.config_io import check_values, flatten, get_setting, to_dict, with_setting
from counterpoint.training.metrics import METRICS, metrics_of
from counterpoint.training.resolve import admit_guests

ALONE = "alone"


@dataclass
class Entry:
    """A method, or a modality alone, before and while it is run.

    Attributes:
        name: of the recipe, or of the modality.
        kind: ``"method"`` or ``"alone"``.
        title: one line about it.
        folder: of its runs.
        config: with the chosen setting, once the search is over.
        space: the recipe's own search space.
        setting: what the search chose.
        trials: what it tried.
        failed: no trial of the search finished.
    """

    name: str
    kind: str
    title: str
    folder: Path
    config: TrainConfig
    space: dict[str, Any] = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    failed: bool = False


@dataclass(frozen=True)
class Plan:
    """A comparison, checked: whoever is handed this checks nothing again.

    Attributes:
        config: as asked for.
        folder: of the comparison.
        entries: its methods, and behind them the modalities that are trained alone.
        settings: an entry's folder -> the settings that the search tries; none without a search.
        modalities: of any of the methods, in order.
        baseline: the method that the others are tested against.
    """

    config: CompareConfig
    folder: Path
    entries: list[Entry]
    settings: dict[Path, list[dict[str, Any]]]
    modalities: tuple[str, ...]
    baseline: str


def resolve_plan(config: CompareConfig, folder: Path, rows: Sequence[str] | None = ()) -> Plan:
    """Check a comparison, and find out what it is going to run; no data are touched.

    Args:
        config: what to compare.
        folder: of the comparison.
        rows: see `check_changes`; None: changes may be meant for methods that are left out.

    Raises:
        CounterpointError: names, values or options do not fit.
    """
    admit_guests(config.base)
    guests.allow(to_dict(config))
    check(config)
    entries = plan_methods(config, folder)
    if rows is not None:
        check_changes(config, rows)
    modalities, of_base = modalities_of(config.base, entries), modalities_of(config.base)
    baseline = baseline_of(config, entries)
    if config.alone and len(of_base) > 1:
        entries += [plan_alone(config, folder, modality) for modality in of_base]
    settings = {entry.folder: plan_search(entry, config) for entry in entries}  # refuses a space that is too small
    return Plan(config, folder, entries, settings, modalities, baseline)


def modalities_of(base: TrainConfig, entries: Iterable[Entry] = ()) -> tuple[str, ...]:
    """The modalities of a run with `base`, in order, and after them those that only some of the entries have.

    Raises:
        ConfigError: names or options of a model do not fit; names the recipe.
    """
    found = dict.fromkeys(resolve.modalities_of(base))
    for entry in entries:
        with named(entry):
            found |= dict.fromkeys(resolve.modalities_of(entry.config))
    return tuple(found)


@contextlib.contextmanager
def named(entry: Entry, setting: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Errors name the recipe, and the setting of its search."""
    try:
        yield
    except CounterpointError as error:
        which = f"{entry.name} alone" if entry.kind == ALONE else f"recipe {entry.name}"
        tried = f", setting {setting} of its search" if setting else ""
        raise ConfigError(f"{which}{tried}: {error}") from error


def check(config: CompareConfig) -> None:
    """Refuse values outside their range.

    Raises:
        CounterpointError: says which value, and what it may be.
    """
    if config.base.task not in METRICS:
        raise ConfigError(f"base.task is {config.base.task!r}.{did_you_mean(config.base.task, METRICS)}")
    for name, values in (("methods", config.methods), ("seeds", config.seeds), ("folds", config.folds)):
        if not values and name != "folds":
            raise ConfigError(f"{name} is empty; give at least one")
        twice = [value for i, value in enumerate(values) if value in values[:i]]
        if twice:
            raise ConfigError(f"{name} has {twice[0]!r} more than once")
    known = metrics_of(config.base.task, config.base.metric)
    if config.search_metric not in known:
        raise ConfigError(f"search_metric is {config.search_metric!r}.{did_you_mean(config.search_metric, known)}")
    check_values(config)
    check_space(config.search_space, "search_space")
    check_space({name: [value] for name, value in config.changes.items()}, "changes")
    check_folds(config)
    for seed in config.seeds:
        replace(config.base, seed=seed).check()


def plan_methods(config: CompareConfig, folder: Path) -> list[Entry]:
    """One entry per method.

    Raises:
        CounterpointError: no such recipe or baseline, or two recipes of one name.
    """
    entries: list[Entry] = []
    for method in config.methods:
        recipe = load_recipe(method)
        if recipe.name in (ALONE, *(e.name for e in entries)):
            raise ConfigError(f"methods: two are called {recipe.name!r}; rename one of the recipe files")
        if recipe.task != config.base.task:
            raise ConfigError(
                f"recipe {recipe.name} is for task {recipe.task!r}, but base.task is {config.base.task!r}; all methods "
                "of a comparison have one task"
            )
        composed = recipe.apply(config.base)
        for name, value in config.changes.items():
            if _has(recipe, composed, name):
                composed = with_setting(composed, name, value)
        entries.append(Entry(recipe.name, "method", recipe.title, folder / recipe.name, composed, dict(recipe.search)))
    baseline_of(config, entries)
    return entries


def check_changes(config: CompareConfig, rows: Sequence[str] = ()) -> None:
    """Refuse a change that would change nothing.

    Args:
        config: the comparison; names of its methods are right.
        rows: further recipes that a change may be meant for: of the table of which only some are compared.

    Raises:
        ConfigError: neither a method nor a row has what is to be changed; the message proposes the nearest name.
    """
    recipes = [load_recipe(name) for name in (*config.methods, *rows)]
    composed = [(recipe, recipe.apply(config.base)) for recipe in recipes]
    for name in config.changes:
        if not any(_has(recipe, made, name) for recipe, made in composed):
            known = {known for recipe, made in composed for known in (*_set_in(made), *recipe.search)}
            hint = "" if name in flatten(config.base) else did_you_mean(name, sorted(known))
            raise ConfigError(f"changes: none of the methods has {name!r}, so that nothing would change.{hint}")


def _set_in(config: TrainConfig) -> list[str]:
    return [name for name, value in flatten(config, options=True).items() if value is not None]


def _has(recipe: Recipe, composed: TrainConfig, name: str) -> bool:
    return name in recipe.search or get_setting(composed, name) is not None


def baseline_of(config: CompareConfig, entries: Sequence[Entry]) -> str:
    """Name of the method that the others are tested against.

    Raises:
        CounterpointError: no such recipe, or it is not among the methods.
    """
    names = [e.name for e in entries if e.kind == "method"]
    if config.baseline is None:
        return names[0]
    wanted = load_recipe(config.baseline).name
    if wanted not in names:
        raise ConfigError(
            f"baseline: {wanted!r} is not among the methods, {', '.join(names)}; add it to them, or name "
            "one of them as --baseline"
        )
    return wanted


def plan_alone(config: CompareConfig, folder: Path, modality: str) -> Entry:
    """One modality with a linear head, or AVEL, with nothing to fuse or balance; all else as for the methods."""
    plain = TrainConfig()  # concatenation of one modality: its features as they are
    alone = replace(
        config.base,
        model=replace(config.base.model, modalities=[modality]),
        **{part: getattr(plain, part) for part in COMPOSITION},
    )
    title = f"{modality} alone, linear head"
    if alone.task == "localise":  # the one localiser that does without the other modality
        alone = replace(alone, localise=replace(alone.localise, name="avel", loss=None, options={}))
        title = f"{modality} alone, AVEL"
    return Entry(modality, ALONE, title, folder / ALONE / modality, alone)


def plan_search(entry: Entry, config: CompareConfig) -> list[dict[str, Any]]:
    """The settings that an entry tries; none without a search.

    Raises:
        ConfigError: a space with too few settings.
    """
    if not config.search_trials:
        return []
    common = {name: space for name, space in config.search_space.items() if name not in entry.space}
    return draw_settings(
        {name: get_setting(entry.config, name) for name in (*common, *entry.space)},
        common,
        entry.space,
        trials=config.search_trials,
        seed=config.search_seed,
        name=entry.name,
    )
