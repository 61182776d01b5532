"""Try every recipe out, end to end and in minutes: tiny made data, light encoders, one epoch, one seed.

The figures mean nothing. What is learnt is that each row of each table can be made with the model of its table, and
that a lighter one of the same composition trains, is written and read, tested and compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from counterpoint.data.io.paths import CACHE
from counterpoint.data.tiny import write_tiny
from counterpoint.experiments.compare import CONFIG
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.folds import folds_of
from counterpoint.experiments.plan import dry_run, resolve_plan
from counterpoint.experiments.reproduce import reproduce
from counterpoint.experiments.reproduction_tables import Reproduction
from counterpoint.models.registry import create_encoders
from counterpoint.recipes import PaperTable, list_recipes, list_tables, load_recipe, load_table
from counterpoint.training.config import ModelConfig
from counterpoint.training.config_io import from_dict, write_yaml
from counterpoint.training.datamodule import list_run_clips
from counterpoint.training.place import remove_run

REST = {
    "other-classifiers": ("classify", "mmcosine-table1-cremad"),
    "other-localisers": ("localise", "bmfn-table1"),
}
"""The recipes that are in no table: their task, and the table by whose protocol they are tried."""

_LIGHT = 1_000_000  # parameters of an encoder that is kept as it is
_SMALL = {"audio": "audio_cnn", "visual": "visual_cnn"}
_MEDIA = {"seconds": 0.5, "size": 32, "frames": 4, "audio_start": 0.0, "audio_seconds": None}
_LIGHT_LOCALISERS = {
    "avel": {"hidden": 16, "inner": 8},
    "avin": {"hidden": 16, "ffn": 16},
    "avrb": {"width": 16, "hidden": 16},
    "avsdn": {"hidden": 16},
    "avt": {"width": 16, "ffn": 16},
    "bmfn": {"width": 16, "ffn": 16},
    "cman": {"width": 16},
    "cmran": {"width": 16, "ffn": 16},
    "dam": {"width": 16, "ffn": 16},
    "psp": {"hidden": 16, "inner": 8},
}


def smoke_names() -> list[str]:
    """All that can be tried: every table, and the recipes that are in none."""
    return [*list_tables(), *(name for name in REST if _rest(name).compare["methods"])]


def smoke(name: str, folder: str | Path, data: str | Path, *, progress: bool = False) -> Reproduction:
    """Try one table out.

    Args:
        name: of `smoke_names`.
        folder: gets the comparison, in a folder of the table's name; one that is there is removed.
        data: folder of tiny datasets; made here where they are missing, so that several tables can share it.
        progress: show progress on standard error.

    Raises:
        CounterpointError: something is wrong with a row. Runs that fail are among the result's ``failures``.
    """
    table = _rest(name) if name in REST else load_table(name)
    folder, root = Path(folder), Path(data) / table.data
    if not root.is_dir():
        write_tiny(table.data, root)
    remove_run(folder / table.name, CONFIG)
    own = from_dict(CompareConfig, table.compare)
    own = replace(own, base=replace(own.base, data=replace(own.base.data, root=str(root))))
    with _cache_in(Path(data) / "cache"):
        _make_with_its_own_model(own)
        return reproduce(table, _light(own, folder / "recipes"), folder / table.name, progress=progress)


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Nothing of made data into the user's cache: datasets that are converted on reading know no other place."""
    before = os.environ.get(CACHE)
    os.environ[CACHE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(CACHE)
        if before is not None:
            os.environ[CACHE] = before


def _rest(name: str) -> PaperTable:
    """The recipes of one task that are in no table, under the protocol of a table."""
    task, like = REST[name]
    in_tables = {method for table in list_tables() for method in load_table(table).compare["methods"]}
    others = [recipe for recipe in list_recipes() if recipe not in in_tables and load_recipe(recipe).task == task]
    table = load_table(like)
    compare = {**table.compare, "methods": others, "baseline": None}
    return replace(table, name=name, title=f"Recipes in no table, task {task}", compare=compare)


def _make_with_its_own_model(config: CompareConfig) -> None:
    """Every row, in the shape of the dataset's own clips and on no device."""
    table = list_run_clips(config.base)
    dry_run(resolve_plan(replace(config, alone=False, search_trials=0), Path()).entries, table)


def _light(config: CompareConfig, recipes: Path) -> CompareConfig:
    """The same comparison, for seconds of a CPU."""
    base = config.base
    media = base.data.media if base.task == "localise" else {**base.data.media, **_MEDIA}
    data = replace(base.data, media=media, batch_size=8, workers=0)
    model = replace(base.model, options=_light_encoders(base.model))
    recipes.mkdir(parents=True, exist_ok=True)
    return replace(
        config,
        methods=[_light_recipe(method, recipes) for method in config.methods],
        baseline=None,
        seeds=config.seeds[:1],
        folds=[fold for fold in folds_of(config)[:1] if fold is not None],
        alone=False,
        base=replace(base, data=data, model=model, epochs=1, precision="32-true", accelerator="cpu"),
    )


def _light_encoders(model: ModelConfig) -> dict[str, Any]:
    with torch.device("meta"):
        encoders = create_encoders(model.name, None, model.options)
    sizes = {modality: sum(p.numel() for p in encoder.parameters()) for modality, encoder in encoders.items()}
    heavy = {modality: {"name": _SMALL[modality]} for modality, size in sizes.items() if size > _LIGHT}
    return {**model.options, **heavy}


def _light_recipe(name: str, folder: Path) -> str:
    """A recipe's file with a narrower localiser."""
    recipe = load_recipe(name)
    changes = recipe.changes()
    del changes["task"]
    if recipe.localise:
        options = _LIGHT_LOCALISERS.get(recipe.localise["name"], {})
        changes["localise"] = {**recipe.localise, "options": {**options, **recipe.localise.get("options", {})}}
    path = folder / f"{recipe.name}.yaml"
    write_yaml(path, {"title": recipe.title, **changes})
    return str(path)
