"""A paper's table as one comparison: its rows' recipes, and the protocol that the paper trains them by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import filter as matching
from pathlib import Path
from typing import Any

from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.registry import did_you_mean
from counterpoint.training.config_io import read_yaml

TABLES = Path(__file__).parent / "tables"

PAPERS = {"000": "simam2", "001": "cfn-sr", "002": "bmfn", "003": "mmcosine"}
"""Number -> short name, with which the names of its tables begin."""

_ABOUT = ("title", "source", "dataset", "trials", "notes")  # all else is the comparison


@dataclass(frozen=True)
class PaperTable:
    """What ``counterpoint compare --table`` and ``counterpoint reproduce`` run.

    Attributes:
        name: the file's name without its suffix.
        title: one line for lists.
        source: paper and table, as the recipes' `PaperResult.source`.
        datasets: whose figures are printed, as `PaperResult.dataset`.
        compare: the configuration of a comparison: options of `CompareConfig`, as nested plain dicts.
        trials: of a table of verification: dataset as printed -> file of its trials or pairs; else empty.
        notes: where the protocol is not the paper's, and what the paper does not tell.
    """

    name: str
    title: str
    source: str
    datasets: tuple[str, ...]
    compare: dict[str, Any]
    trials: dict[str, str]
    notes: tuple[str, ...]

    @property
    def data(self) -> str:
        """Name of the dataset that it trains on."""
        return str(self.compare["base"]["data"]["name"])


def list_tables(pattern: str = "*") -> list[str]:
    """Names of the tables that match a shell pattern such as ``"cfn-sr-*"``, sorted."""
    return sorted(matching((path.stem for path in TABLES.glob("*.yaml")), pattern))


def load_table(name: str) -> PaperTable:
    """Read a table.

    Args:
        name: one of `list_tables` (``_`` may stand for ``-``).

    Raises:
        UnknownNameError: no such table; the message proposes the nearest name.
        ConfigError: its file is not that of a table.
    """
    stem = name.replace("_", "-")
    if stem not in list_tables():
        raise UnknownNameError(f"No table is called {name!r}.{did_you_mean(name, list_tables())}")
    values = read_yaml(TABLES / f"{stem}.yaml")
    if not isinstance(values, Mapping) or not {"title", "source"} <= set(values):
        raise ConfigError(f"table {stem}: it must map names to values, a title and a source among them")
    trials = dict(values.get("trials", {}))
    return PaperTable(
        name=stem,
        title=str(values["title"]),
        source=str(values["source"]),
        datasets=tuple(trials) or (str(values.get("dataset", "")),),
        # The rows are the paper's; to classify thousands of people by statistics would take longer than the table.
        compare={"ensemble": False, "classical": False}
        | {key: value for key, value in values.items() if key not in _ABOUT},
        trials=trials,
        notes=tuple(values.get("notes", ())),
    )


def printed_tables() -> dict[str, list[str]]:
    """Every table of the papers, ``"simam2:table1"``, with the names of the tables here that make it up."""
    found: dict[str, list[str]] = {}
    for paper in PAPERS.values():
        for name in list_tables(f"{paper}-table*"):
            table = name.removeprefix(f"{paper}-").partition("-")[0]
            found.setdefault(f"{paper}:{table}", []).append(name)
    return found


def find_tables(printed: str, dataset: str | None = None) -> list[PaperTable]:
    """The tables that make up one table of a paper: one for each dataset and kind of supervision.

    Args:
        printed: ``"000:table1"`` or ``"simam2:table1"``; the name of a single table will do as well.
        dataset: those on this one alone, e.g. ``"cremad"``.

    Raises:
        UnknownNameError: no such paper, table or dataset; the message proposes the nearest name.
    """
    known = printed_tables()
    paper, _, which = printed.lower().partition(":")
    asked = f"{PAPERS.get(paper, paper)}:{which}"
    if asked in known:
        names = known[asked]
    elif printed.replace("_", "-") in list_tables():
        names = [printed]
    else:
        numbered = [f"{number}:{name.partition(':')[2]}" for number, p in PAPERS.items() for name in known if p in name]
        near = did_you_mean(printed, [*known, *numbered, *list_tables()])
        raise UnknownNameError(f"There is no table {printed!r}.{near}")
    tables = [load_table(name) for name in names]
    on = [table for table in tables if dataset in (None, table.data)]
    if not on:
        there = {table.data for table in tables}
        raise UnknownNameError(f"{printed} has nothing on {dataset!r}.{did_you_mean(dataset, there)}")
    return on
