"""Find, read and check recipes."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterpoint import guests
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.recipes.space import check_space
from counterpoint.registry import did_you_mean
from counterpoint.training.config import (
    COMPOSITION,
    BalanceConfig,
    FusionConfig,
    HeadConfig,
    IntermediateConfig,
    LocaliseConfig,
    LossConfig,
    ModelConfig,
    RegulariseConfig,
    Task,
    TrainConfig,
)
from counterpoint.training.config_io import from_dict, get_setting, read_yaml, to_dict, with_setting

METHODS = Path(__file__).parent / "methods"
_KEYS = ("title", "references", "model", "localise", *COMPOSITION, "search", "paper")


@dataclass(frozen=True)
class PaperResult:
    """What a paper prints for the method.

    Attributes:
        source: paper and table, e.g. ``"SimAM² Table 1"``.
        dataset: e.g. ``"CREMA-D"``.
        metric: ``"accuracy"`` (where something is localised, of segments; ``"accuracy_weakly"`` of those under weak
            supervision) or ``"mAP"``; ``"EER"``, ``"AUC"`` or ``"minDCF"`` of verification; ``"probe_<modality>"``, the
            accuracy of a linear probe; or ``"params"``.
        value: as printed: in percent, minDCF as it is, parameters in millions.
    """

    source: str
    dataset: str
    metric: str
    value: float


@dataclass(frozen=True)
class Recipe:
    """One method.

    Attributes:
        name: the file's name without its suffix.
        title: one line for tables.
        references: where the papers say it.
        model: changes to the model of the run, e.g. ``{"modalities": ["audio"]}`` for a baseline of one modality;
            empty: none.
        localise: of a recipe that says when something happens, changes to the localiser of the run, with its name;
            empty: the recipe classifies whole clips.
        intermediate: of the composition, which is whole: what a recipe does not name has its default.
        fusion: of the composition.
        head: of the composition.
        loss: of the composition.
        balance: of the composition.
        regularise: of the composition.
        search: the method's own hyper-parameters: dotted name in `TrainConfig` -> list of choices, or
            ``{"low": ..., "high": ..., "log": true}``.
        paper: what the papers print for it.
    """

    name: str
    title: str
    references: tuple[str, ...]
    model: dict[str, Any]
    localise: dict[str, Any]
    intermediate: IntermediateConfig
    fusion: FusionConfig
    head: HeadConfig
    loss: LossConfig
    balance: BalanceConfig
    regularise: RegulariseConfig
    search: dict[str, Any]
    paper: tuple[PaperResult, ...]

    @property
    def task(self) -> Task:
        """``"classify"`` or ``"localise"``."""
        return "localise" if self.localise else "classify"

    def composition(self) -> dict[str, Any]:
        """``{"fusion": {...}, "head": {...}, ...}`` with every option spelt out."""
        return {part: to_dict(getattr(self, part)) for part in COMPOSITION}

    def changes(self) -> dict[str, Any]:
        """All that the recipe says, as the configuration of a run has it: task, model, localiser and composition."""
        parts = {"model": self.model, "localise": self.localise}
        return {"task": self.task, **{name: part for name, part in parts.items() if part}, **self.composition()}

    def has(self, name: str, config: TrainConfig) -> bool:
        """Whether `config`, which is made by this recipe, has a value by that dotted name, or is searched for one."""
        return name in self.search or get_setting(config, name) is not None

    def apply(self, config: TrainConfig, changes: Mapping[str, Any] | None = None) -> TrainConfig:
        """`config` with this recipe's composition in place of its own; `config` itself stays as it is.

        Of the localiser, supervision and number of segments are the run's where the recipe does not name them.

        Args:
            config: of a run.
            changes: dotted name -> value, set where the recipe sets or searches what is called so.
        """
        parts = {name: from_dict(type(getattr(self, name)), v, name) for name, v in self.composition().items()}
        model = from_dict(ModelConfig, {**to_dict(config.model), **self.model}, "model")
        kept = {"supervision": config.localise.supervision, "segments": config.localise.segments}
        localise = from_dict(LocaliseConfig, {**kept, **self.localise} if self.localise else {}, "localise")
        copy = from_dict(TrainConfig, to_dict(config))
        made = dataclasses.replace(copy, task=self.task, model=model, localise=localise, **parts)
        for name, value in (changes or {}).items():
            if self.has(name, made):
                made = with_setting(made, name, value)
        return made


def list_recipes(pattern: str = "*") -> list[str]:
    """Names of the recipes that match a shell pattern such as ``"*simam2"``, sorted."""
    return sorted(fnmatch.filter((path.stem for path in METHODS.glob("*.yaml")), pattern))


def load_recipe(name: str | Path, *, trust_code: bool = False) -> Recipe:
    """Read a recipe.

    Args:
        name: one of `list_recipes` (``_`` may stand for ``-``), or the path of a YAML file of the same form.
        trust_code: let a file name parts that are not counterpoint's own; nothing is imported here.

    Raises:
        UntrustedCodeError: a file names such parts, and neither this nor the user's own words trust them.
        UnknownNameError: no such recipe; the message proposes the nearest name.
        ConfigError: a key or a value that a recipe cannot have.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        stem = str(name).replace("_", "-")
        path = METHODS / f"{stem}.yaml"
        if stem not in list_recipes():
            if Path(name).is_file():
                raise ConfigError(f"{name} is no recipe: the file of one ends in .yaml")
            raise UnknownNameError(f"No recipe is called {str(name)!r}.{did_you_mean(stem, list_recipes())}")
    try:
        values = read_yaml(path)
    except OSError as error:
        raise UnknownNameError(f"There is no recipe at {path}: {error.strerror}") from error
    if path.parent != METHODS:
        with guests.trusting(trust_code):
            guests.require_trust(path, values)
    try:
        return _build(path.stem, values)
    except ConfigError as error:
        raise ConfigError(f"recipe {path.name}: {error}") from None


def _build(name: str, values: Any) -> Recipe:
    if not isinstance(values, Mapping):
        raise ConfigError(f"it must map names to values, but is {values!r}")
    for key in values:
        if key not in _KEYS:
            raise ConfigError(f"There is no key {str(key)!r}.{did_you_mean(str(key), _KEYS)}")
    return Recipe(
        name=name,
        title=str(values.get("title", name)),
        references=tuple(str(line) for line in values.get("references", ())),
        model=_changes(ModelConfig, values.get("model", {}), "model"),
        localise=_changes(LocaliseConfig, values.get("localise", {}), "localise"),
        intermediate=from_dict(IntermediateConfig, values.get("intermediate", {}), "intermediate"),
        fusion=from_dict(FusionConfig, values.get("fusion", {}), "fusion"),
        head=from_dict(HeadConfig, values.get("head", {}), "head"),
        loss=from_dict(LossConfig, values.get("loss", {}), "loss"),
        balance=from_dict(BalanceConfig, values.get("balance", {}), "balance"),
        regularise=from_dict(RegulariseConfig, values.get("regularise", {}), "regularise"),
        search=_search(values.get("search", {})),
        paper=tuple(_results(values.get("paper", ()))),
    )


def _changes(part: type, changes: Any, name: str) -> dict[str, Any]:
    from_dict(part, changes, name)  # refuses what this part of a configuration cannot have
    return dict(changes)


def _search(space: Any) -> dict[str, Any]:
    check_space(space, "search")
    return dict(space)


def _results(rows: Any) -> list[PaperResult]:
    """Rows ``{source, dataset, <metric>: value, ...}`` to one result per metric."""
    results = []
    for row in rows:
        if not isinstance(row, Mapping) or not {"source", "dataset"} < set(row):
            raise ConfigError(f"paper: {row!r} must have a source, a dataset and at least one metric")
        metrics = {k: v for k, v in row.items() if k not in ("source", "dataset")}
        results += [PaperResult(str(row["source"]), str(row["dataset"]), m, float(v)) for m, v in metrics.items()]
    return results
