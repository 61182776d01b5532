"""`counterpoint list`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from fnmatch import filter as matching
from typing import Any

from counterpoint.commands.options import Parser
from counterpoint.commands.terminal import plain_table, terminal
from counterpoint.errors import CounterpointError, UnknownNameError
from counterpoint.registry import Registry, did_you_mean

Rows = list[tuple[str, str]]
_MARKED = re.compile(r"``(.+?)``")
"""What docstrings set apart as code."""


def main(words: list[str]) -> None:
    """List what may be named: models, encoders, intermediates, fusions, heads, balancers, datasets, recipes ..."""
    parser = Parser("list", main.__doc__)
    parser.add_argument("kind", type=str, nargs="?", help="one of these; none: an overview")
    parser.add_argument("pattern", type=str, nargs="?", default="*", help="names that match, e.g. '*simam2'")
    parser.add_argument("--params", action="store_true", help="count parameters, of recipes, models or encoders")
    parser.add_argument(
        "--model", type=str, default="resnext50_mfcc", help="with --params: whose encoders recipes join"
    )
    parser.add_argument("--classes", type=int, default=8, help="with --params: how many classes")
    options = parser.parse(words)

    if options["params"]:
        from counterpoint.commands.parameters import print_parameters

        kind = options["kind"] and kind_of(options["kind"])
        names = [] if kind is None else [name for name, _ in rows_of(kind, options["pattern"])]
        print_parameters(kind, names, options["model"], options["classes"])
    elif options["kind"] is None:
        print_overview()
    else:
        print_kind(options["kind"], options["pattern"])


def _of_registry(registry: Registry[Any], pattern: str, line: Callable[[Any], str] | None = None) -> Rows:
    """Name and line of each part; what is installed and cannot be imported is listed with the reason."""

    def line_of(name: str) -> str:
        try:
            return (line or _summary)(registry.get(name))
        except CounterpointError as error:
            return f"cannot be used: {error}"

    return [(name, line_of(name)) for name in registry.names(pattern)]


def _summary(part: Any) -> str:
    return _first_sentence(inspect.getdoc(part) or "")


def _first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    end = re.search(r"(?<!\bEq)(?<!\bEqs)(?<!\bSec)(?<!\bal)\. ", paragraph)  # not the dot of an abbreviation
    sentence = paragraph if end is None else paragraph[: end.start() + 1]
    return _MARKED.sub(r"\1", sentence)


def _models(pattern: str) -> Rows:
    from counterpoint.models import MODELS

    return _of_registry(MODELS, pattern, lambda entry: str(entry.summary))


def _registered(room: str, registry: str) -> Callable[[str], Rows]:
    """Rows of ``counterpoint.<room>.<registry>``, which is imported when it is asked for."""
    return lambda pattern: _of_registry(getattr(importlib.import_module(f"counterpoint.{room}"), registry), pattern)


def _localiser_losses(pattern: str) -> Rows:
    from counterpoint.localise import LOCALISER_LOSSES as LOSSES

    return _of_registry(LOSSES, pattern, lambda loss: f"{loss.supervision}: {_summary(loss.function)}")


def _datasets(pattern: str) -> Rows:
    from counterpoint.data import DATASETS

    return _of_registry(DATASETS, pattern, lambda entry: f"{entry.where}; tasks: {', '.join(entry.tasks)}")


def _metrics(pattern: str) -> Rows:
    from counterpoint.training.metrics import METRICS

    return [
        (name, f"{task}: {line}")
        for task, table in METRICS.items()
        for name, line in _of_registry(table, pattern, lambda row: str(row.meaning))
    ]


def _recipes(pattern: str) -> Rows:
    from counterpoint.recipes import list_recipes, load_recipe

    return [(name, load_recipe(name).title) for name in matching(list_recipes(), pattern)]


def _tables(pattern: str) -> Rows:
    from counterpoint.recipes import list_tables, load_table

    return [(name, load_table(name).title) for name in list_tables(pattern)]


KINDS: dict[str, Callable[[str], Rows]] = {
    "models": _models,
    "encoders": _registered("encoders", "ENCODERS"),
    "intermediates": _registered("intermediate", "INTERMEDIATES"),
    "fusions": _registered("fusion", "FUSIONS"),
    "heads": _registered("heads", "HEADS"),
    "losses": _registered("losses", "LOSSES"),
    "localisers": _registered("localise", "LOCALISERS"),
    "localiser_losses": _localiser_losses,
    "balancers": _registered("balance", "BALANCERS"),
    "metrics": _metrics,
    "optimizers": _registered("training.optim", "OPTIMIZERS"),
    "schedules": _registered("training.optim", "SCHEDULES"),
    "datasets": _datasets,
    "recipes": _recipes,
    "tables": _tables,
    "transforms": _registered("media.transforms", "TRANSFORMS"),
}
ALSO_CALLED = {"methods": "recipes"}


def kind_of(word: str) -> str:
    """The kind that is called so, one of `KINDS`.

    Raises:
        UnknownNameError: no such kind.
    """
    kind = ALSO_CALLED.get(word, word)
    if kind not in KINDS:
        raise UnknownNameError(f"There is no list of {word!r}.{did_you_mean(word, [*KINDS, *ALSO_CALLED])}")
    return kind


def rows_of(kind: str, pattern: str = "*") -> Rows:
    """Name and line of each part of a kind.

    Args:
        kind: as for `kind_of`.
        pattern: shell pattern of names.

    Raises:
        UnknownNameError: no such kind, or no name matches.
    """
    kind = kind_of(kind)
    rows = KINDS[kind](pattern)
    if not rows:
        known = [name for name, _ in KINDS[kind]("*")]
        raise UnknownNameError(f"No {kind} match {pattern!r}.{did_you_mean(pattern, known)}")
    return rows


def print_kind(kind: str, pattern: str = "*") -> None:
    """One line for each part of a kind; see `rows_of`."""
    table = plain_table()
    for name, line in rows_of(kind, pattern):
        table.add_row(name, line)
    terminal().print(table)


def print_overview() -> None:
    """Every kind with its names."""
    table = plain_table()
    for kind, rows in KINDS.items():
        table.add_row(kind, ", ".join(dict.fromkeys(name for name, _ in rows("*"))))  # tasks may share a name
    console = terminal()
    console.print(table)
    console.print("\ncounterpoint list KIND tells a line about each.")
