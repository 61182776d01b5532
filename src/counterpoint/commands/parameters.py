"""`counterpoint list --params`: how many parameters everything has, counted, beside the paper's figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from counterpoint.commands.terminal import plain_table, terminal
from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.training.config import ModelConfig, TrainConfig

if TYPE_CHECKING:
    from torch import nn

IN_THE_PAPER = ("resnext50_mfcc", 8)
"""The model and number of classes (RAVDESS's emotions) that printed figures are of: only CFN-SR prints any."""


AVE = {"visual": 512, "audio": 128}
"""Widths of the features that localisers are counted over: there are no encoders."""


@dataclass(frozen=True)
class Count:
    """One row.

    Attributes:
        name: of the recipe, model or encoder.
        parameters: how many numbers are trained; None where it cannot be built.
        printed: the paper's figure, in millions to two places; None without one.
        reason: why it cannot be built.
    """

    name: str
    parameters: int | None
    printed: float | None = None
    reason: str = ""

    @property
    def differs(self) -> bool:
        """Whether rounding gives something else than the paper prints."""
        if self.parameters is None or self.printed is None:
            return False
        return f"{self.parameters / 1e6:.2f}" != f"{self.printed:.2f}"


def count_recipes(names: Iterable[str], model: str, num_classes: int) -> list[Count]:
    """Count what each recipe makes of a model; nothing is allocated.

    Args:
        names: of recipes.
        model: registered model; its encoders are built for clips of its paper's shape.
        num_classes: C.

    Raises:
        UnknownNameError: no such recipe or model.
    """
    from counterpoint.models import MODELS
    from counterpoint.recipes import load_recipe
    from counterpoint.training.build import build_model

    MODELS.get(model)
    rows = []
    for name in names:
        recipe = load_recipe(name)
        config = recipe.apply(TrainConfig(model=ModelConfig(name=model)))
        printed = [r.value for r in recipe.paper if r.metric == "params" and (model, num_classes) == IN_THE_PAPER]
        features = AVE if config.task == "localise" else None
        make = partial(build_model, config, num_classes, features=features)
        rows.append(_count(name, make, printed[0] if printed else None))
    return rows


def count_models(names: Iterable[str], num_classes: int) -> list[Count]:
    """Count each registered model, with concatenation and one linear layer."""
    from counterpoint.models import create_model

    return [_count(name, partial(create_model, name, num_classes=num_classes)) for name in names]


def count_encoders(names: Iterable[str]) -> list[Count]:
    """Count each registered encoder by itself."""
    from counterpoint.encoders import create_encoder

    return [_count(name, partial(create_encoder, name)) for name in names]


def _count(name: str, build: Callable[[], nn.Module], printed: float | None = None) -> Count:
    import torch

    try:
        with torch.device("meta"):
            return Count(name, sum(p.numel() for p in build().parameters()), printed)
    except CounterpointError as error:  # not every fusion takes features of any width
        return Count(name, None, printed, str(error))


def rows_of_tables() -> list[str]:
    """The recipes in the tables of the paper that prints numbers of parameters, in their order."""
    from counterpoint.recipes import list_tables, load_table

    tables = [load_table(table).compare for table in list_tables()]
    printing = [table for table in tables if table["base"].get("model", {}).get("name") == IN_THE_PAPER[0]]
    return list(dict.fromkeys(name for table in printing for name in table["methods"]))


def print_parameters(kind: str | None, names: list[str], model: str, num_classes: int) -> None:
    """One line for each of a kind's parts: how many parameters, and how many the paper says.

    Args:
        kind: ``"recipes"``, ``"models"`` or ``"encoders"``; None: the recipes of the papers' tables.
        names: which of them.
        model: for recipes, whose encoders.
        num_classes: C.

    Raises:
        ConfigError: another kind, or no classes.
    """
    if num_classes < 1:
        raise ConfigError(f"classes is {num_classes}; it must be at least 1")
    counts: dict[str, Callable[[], list[Count]]] = {
        "recipes": lambda: count_recipes(names if kind else rows_of_tables(), model, num_classes),
        "models": lambda: count_models(names, num_classes),
        "encoders": lambda: count_encoders(names),
    }
    if (kind or "recipes") not in counts:
        raise ConfigError(f"--params counts {', '.join(counts)}, not {kind}")
    rows = counts[kind or "recipes"]()
    compared = any(row.printed is not None for row in rows)
    table = plain_table("", "parameters", *(["paper"] if compared else []), "", right=("parameters", "paper"))
    for row in rows:
        number = "-" if row.parameters is None else f"{row.parameters:,}"
        paper = ["" if row.printed is None else f"{row.printed:.2f} M"] if compared else []
        table.add_row(row.name, number, *paper, "≠" if row.differs else row.reason)
    console = terminal()
    if kind in (None, "recipes"):
        console.print(f"{model}, {num_classes} classes")
    console.print(table)
    if any(row.differs for row in rows):
        console.print("≠ no known configuration gives the paper's figure; the recipe tells what ours is")
