"""The lists that datasets' splits are given out as, without any media: what the leak check compares.

Each dataset reads its own, in its own file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from counterpoint.data.splits.leaks import LeakReport
from counterpoint.errors import ConfigError, DatasetNotFoundError, quoted
from counterpoint.registry import did_you_mean

Read = Callable[[Path], list[LeakReport]]

READERS: dict[str, tuple[str, Read]] = {}
"""Dataset -> the lists that are read of it, and how."""


def published(dataset: str, lists: str) -> Callable[[Read], Read]:
    """Decorator: register what compares the sides of a dataset's published lists in a folder.

    Args:
        dataset: its name.
        lists: the files that are read, for messages.
    """

    def add(read: Read) -> Read:
        READERS[dataset] = (lists, read)
        return read

    return add


def check_lists(dataset: str, folder: str | Path) -> list[LeakReport]:
    """What the sides of a dataset's lists share, for each split that the folder has.

    Args:
        dataset: one of `READERS`.
        folder: where the lists are.

    Raises:
        ConfigError: lists of this dataset are not read.
        DatasetNotFoundError: the folder or the lists are not there.
        DataError: a line of a list that does not fit, with its number.
    """
    if dataset not in READERS:
        raise ConfigError(f"No published lists are read of {quoted(dataset)}.{did_you_mean(dataset, READERS)}")
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DatasetNotFoundError(f"There is no folder {folder} with lists of {dataset}")
    names, read = READERS[dataset]
    reports = read(path)
    if not reports:
        raise DatasetNotFoundError(f"{folder} has no lists of {dataset}: {names}")
    return reports
