"""A paper's table as one comparison: its rows' recipes, and the protocol that the paper trains them by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import filter as matching
from pathlib import Path
from typing import Any

from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.registry import did_you_mean
from counterpoint.training.yamlfile import read_yaml

TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True)
class PaperTable:
    """What ``counterpoint compare --table`` runs.

    Attributes:
        name: the file's name without its suffix.
        title: one line for lists.
        compare: the configuration of a comparison: options of `CompareConfig`, as nested plain dicts.
    """

    name: str
    title: str
    compare: dict[str, Any]


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
        raise UnknownNameError(f"No table is called {name!r}.{did_you_mean(stem, list_tables())}")
    values = read_yaml(TABLES / f"{stem}.yaml")
    if not isinstance(values, Mapping) or "title" not in values:
        raise ConfigError(f"table {stem}: it must map names to values, a title among them")
    return PaperTable(stem, str(values["title"]), {key: value for key, value in values.items() if key != "title"})
