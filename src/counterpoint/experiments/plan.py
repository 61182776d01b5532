"""What a comparison is going to run, resolved once: its methods, the single modalities, and the settings of each."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from counterpoint import guests
from counterpoint._typecheck import check_values
from counterpoint.analysis.results import Trial
from counterpoint.data import ClipTable
from counterpoint.errors import ConfigError, CounterpointError, did_you_mean
from counterpoint.experiments.config import DEFAULT_METHODS, CompareConfig
from counterpoint.experiments.folds import check_folds, folds_of
from counterpoint.experiments.search import draw_settings
from counterpoint.recipes import Recipe, load_recipe
from counterpoint.recipes.space import check_space
from counterpoint.training import resolve
from counterpoint.training.budget import with_budget
from counterpoint.training.build import build, on_no_device
from counterpoint.training.config import COMPOSITION, TrainConfig
from counterpoint.training.config_io import flatten, get_setting, to_dict, with_settings
from counterpoint.training.metrics import METRICS, Metric, metrics_of
from counterpoint.training.resolved import Resolved

ALONE, ENSEMBLE, CLASSICAL = "alone", "ensemble", "classical"

_PARTS = {f.name for f in fields(TrainConfig)} - {"data", "optim", "epochs", "seed", "metric", "imports"}
"""What tells apart runs whose parts differ, or the shape of whose clips."""


@dataclass
class Entry:
    """A method, or a modality alone, before and while it is run.

    Attributes:
        name: of the recipe, or of the modality.
        kind: ``"method"`` or ``"alone"``.
        title: one line about it.
        folder: of its runs.
        config: as composed.
        space: the recipe's own search space.
        settings: that the search tries; without a search the empty one alone.
        runs: by setting; see `dry_run`.
        chosen: index of the setting that is reported: the search's choice.
        trials: what the search tried.
        failed: no trial of the search finished.
    """

    name: str
    kind: str
    title: str
    folder: Path
    config: TrainConfig
    space: dict[str, Any] = field(default_factory=dict)
    settings: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    runs: list[Resolved] = field(default_factory=list)
    chosen: int = 0
    trials: tuple[Trial, ...] = ()
    failed: bool = False

    @property
    def setting(self) -> dict[str, Any]:
        """What the search chose."""
        return self.settings[self.chosen]


@dataclass(frozen=True)
class Plan:
    """A comparison, checked: whoever is handed this checks nothing again.

    Attributes:
        config: as asked for.
        folder: of the comparison.
        entries: its methods, and behind them the modalities that are trained alone.
        baselines: the rows that are not trained by the engine, see `run_baselines`.
        base_modalities: of the base, in order.
        modalities: of the base, in order, and after them those that only some of the methods have.
        baseline: the method that the others are tested against.
        metric: what chooses the setting.
        optional: methods that nobody named: the task's default ones, but for the baseline.
        left_out: those of them that do not fit, and why.
    """

    config: CompareConfig
    folder: Path
    entries: list[Entry]
    modalities: tuple[str, ...]
    baseline: str
    metric: Metric
    base_modalities: tuple[str, ...] = ()
    baselines: tuple[Entry, ...] = ()
    optional: frozenset[str] = frozenset()
    left_out: dict[str, str] = field(default_factory=dict)


def resolve_plan(config: CompareConfig, folder: str | Path, rows: Sequence[str] | None = ()) -> Plan:
    """Check a comparison as a whole, and find out what it is going to run; no data are touched.

    Args:
        config: what to compare.
        folder: of the comparison.
        rows: further recipes that a change may be meant for: of the table of which only some are compared; None: also
            for methods that are left out.

    Raises:
        CounterpointError: names, values or options do not fit; says of which recipe or setting.
    """
    resolve.admit_guests(config.base)
    guests.allow(to_dict(config))
    metric = _check(config)
    folder, recipes = Path(folder), _recipes(config)
    baseline = _baseline(config, recipes)
    entries = [_method(recipe, config, folder) for recipe in recipes]
    if rows is not None and config.changes:
        _refuse_idle_changes(config, [*recipes, *map(load_recipe, rows)])
    of_base = tuple(resolve.modalities_of(config.base))
    if config.alone and len(of_base) > 1:
        entries += [_alone(modality, config, folder) for modality in of_base]
    if config.search_trials:
        for entry in entries:
            entry.settings = _settings(entry, config)
    named = config.methods != list(DEFAULT_METHODS[config.base.task])
    optional = frozenset() if named else frozenset(config.methods) - {baseline}
    left_out = dry_run(entries, optional=optional)
    modalities = tuple(dict.fromkeys((*of_base, *(name for entry in entries for name in entry.runs[0].modalities))))
    baselines = _baselines(config, folder, of_base)
    return Plan(config, folder, entries, modalities, baseline, metric, of_base, baselines, optional, left_out)


def dry_run(entries: list[Entry], table: ClipTable | None = None, optional: Collection[str] = ()) -> dict[str, str]:
    """Resolve every entry with each of its settings, and make its model, balancer and loss once, on no device.

    Args:
        entries: methods, and modalities alone; each gets its `runs`, and those that are left out go from the list.
        table: the clips, checked names and values being taken for granted, and transforms being made too; None while
            they are not known: everything is checked that does not hang on them.
        optional: names of methods that are left out where they do not fit, e.g. those that balance encoders where there
            are none.

    Returns:
        What was left out, and why.

    Raises:
        ConfigError: names the recipe, and the setting where that is at fault.
    """
    made: dict[str, Resolved] = {}
    left_out: dict[str, str] = {}
    for entry in entries:
        try:
            _try_out(entry, table, made)
        except ConfigError as error:  # noqa: PERF203
            if entry.kind == ALONE or entry.name not in optional:
                raise
            left_out[entry.name] = str(error)
    entries[:] = [entry for entry in entries if entry.kind == ALONE or entry.name not in left_out]
    return left_out


def _try_out(entry: Entry, table: ClipTable | None, made: dict[str, Resolved]) -> None:
    """The runs of an entry; `made` has what was made for others before."""
    entry.runs = []
    for setting in entry.settings:
        with _named(entry, setting):
            config = with_settings(entry.config, setting)
            if table is None:
                resolve.check(config)
            else:
                config = with_budget(config, table)
            parts = repr((config.data.media, [getattr(config, name) for name in _PARTS]))
            if parts not in made:  # settings that differ in the learning rate have the same
                made[parts] = resolve.resolve_for(config, table)
                on_no_device(partial(build, made[parts]))
            entry.runs.append(replace(made[parts], config=config))


@contextlib.contextmanager
def _named(entry: Entry, setting: Mapping[str, Any]) -> Iterator[None]:
    """Errors name the recipe, and the setting of its search."""
    try:
        yield
    except CounterpointError as error:
        which = f"{entry.name} alone" if entry.kind == ALONE else f"recipe {entry.name}"
        tried = f", setting {setting} of its search" if setting and setting is not entry.settings[0] else ""
        raise ConfigError(f"{which}{tried}: {error}") from error


def _check(config: CompareConfig) -> Metric:
    """Refuse values outside their range, and give the metric of the search."""
    if config.base.task not in METRICS:
        raise ConfigError(f"base.task is {config.base.task!r}.{did_you_mean(config.base.task, METRICS)}")
    for name, values in (("methods", config.methods), ("seeds", config.seeds), ("folds", folds_of(config))):
        if not values:
            raise ConfigError(f"{name} is empty; give at least one")
        twice: list[Any] = [value for i, value in enumerate(values) if value in values[:i]]
        if twice:
            raise ConfigError(f"{name} has {twice[0]!r} more than once")
    check_values(config)
    config.base.check_together()
    changes = {name: [value] for name, value in config.changes.items()}
    for where, space in (("search_space", config.search_space), ("changes", changes)):
        check_space(space, where)
    check_folds(config)
    known = metrics_of(config.base.task, config.base.metric)
    if config.search_metric not in known:
        raise ConfigError(f"search_metric is {config.search_metric!r}.{did_you_mean(config.search_metric, known)}")
    return known[config.search_metric]


def _recipes(config: CompareConfig) -> list[Recipe]:
    """The methods: of one task, and no two of one name."""
    recipes: list[Recipe] = []
    for method in config.methods:
        recipe = load_recipe(method)
        if recipe.name in (ALONE, ENSEMBLE, CLASSICAL, *(other.name for other in recipes)):
            raise ConfigError(f"methods: two are called {recipe.name!r}; rename one of the recipe files")
        if recipe.task != config.base.task:
            raise ConfigError(
                f"recipe {recipe.name} is for task {recipe.task!r}, but base.task is {config.base.task!r}; all methods "
                "of a comparison have one task"
            )
        recipes.append(recipe)
    return recipes


def _baseline(config: CompareConfig, recipes: Sequence[Recipe]) -> str:
    """Name of the method that the others are tested against."""
    names = [recipe.name for recipe in recipes]
    if config.baseline is None:
        return names[0]
    wanted = load_recipe(config.baseline).name
    if wanted not in names:
        raise ConfigError(
            f"baseline: {wanted!r} is not among the methods, {', '.join(names)}; add it to them, or name "
            "one of them as --baseline"
        )
    return wanted


def _method(recipe: Recipe, config: CompareConfig, folder: Path) -> Entry:
    composed = recipe.apply(config.base, config.changes)
    return Entry(recipe.name, "method", recipe.title, folder / recipe.name, composed, dict(recipe.search))


def _alone(modality: str, config: CompareConfig, folder: Path) -> Entry:
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


def _baselines(config: CompareConfig, folder: Path, modalities: Sequence[str]) -> tuple[Entry, ...]:
    """The rows that are not trained by the engine: those that fit, unless told; refuses those that cannot be had."""
    classify, joined = config.base.task == "classify", len(modalities) > 1 and config.alone
    for name in (ENSEMBLE, CLASSICAL):
        if getattr(config, name) and not classify:
            raise ConfigError(f"{name} is true, but it classifies clips, and base.task is {config.base.task!r}")
    if config.ensemble and not joined:
        raise ConfigError(
            "ensemble is true, but it is of two modalities or more that are each trained alone; set alone to true"
        )
    rows = (
        (ENSEMBLE, "Modalities trained apart, calibrated, averaged", config.ensemble, classify and joined),
        (CLASSICAL, "Logistic regression or SVM on statistics of the clips", config.classical, classify),
    )
    return tuple(
        Entry(name, "method", title, folder / name, config.base)
        for name, title, told, fits in rows
        if (fits if told is None else told)
    )


def _settings(entry: Entry, config: CompareConfig) -> list[dict[str, Any]]:
    """What a search tries; refuses a space of too few settings."""
    common = {name: space for name, space in config.search_space.items() if name not in entry.space}
    defaults = {name: get_setting(entry.config, name) for name in (*common, *entry.space)}
    return draw_settings(
        defaults, common, entry.space, trials=config.search_trials, seed=config.search_seed, name=entry.name
    )


def _refuse_idle_changes(config: CompareConfig, recipes: Sequence[Recipe]) -> None:
    """Refuse a change that would change nothing, as none of the recipes has what is to be changed."""
    composed = [(recipe, recipe.apply(config.base)) for recipe in recipes]
    for name in config.changes:
        if not any(recipe.has(name, made) for recipe, made in composed):
            known = {known for recipe, made in composed for known in (*_set_in(made), *recipe.search)}
            hint = "" if name in flatten(config.base) else did_you_mean(name, sorted(known))
            raise ConfigError(f"changes: none of the methods has {name!r}, so that nothing would change.{hint}")


def _set_in(config: TrainConfig) -> list[str]:
    return [name for name, value in flatten(config, options=True).items() if value is not None]
