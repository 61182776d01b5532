"""Datasets by name: each is a function that lists its clips, with its tasks and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterpoint.data.clip_table import ClipTable
from counterpoint.errors import UnknownNameError, quoted
from counterpoint.registry import ROW, Registry, check_options, did_you_mean

Load = Callable[..., ClipTable]
_OWN = ("root", "task", "seed")  # what every dataset takes, in this order; the rest are its options


@dataclass(frozen=True)
class DatasetEntry:
    """A registered dataset; calling it lists its clips.

    Attributes:
        name: what it is asked for by.
        tasks: the labels it has; the first is the default.
        where: source and licence, for ``counterpoint list`` and for the error of a missing dataset.
        event_tasks: those of the tasks that know when something happens; the first is the default where that is asked.
        classes: those of every task, where loading takes long and they are known before; else empty.
        elsewhere: where it is to be had, of a dataset that this library does not download; else empty.
        wants: what the run is to hand in, as arguments of `load`: ``progress``, ``events``, ``fold``; see
            `counterpoint.wants`.
        load: ``(root: Path | None, task: str, seed: int, **options) -> ClipTable``; reads names and
            annotations only, no media file is opened.

    Example:
        >>> from counterpoint.data import DATASETS
        >>> DATASETS.get("grid").tasks
        ('digit', 'command', 'colour', 'preposition', 'letter', 'adverb')
    """

    name: str
    tasks: tuple[str, ...]
    where: str
    load: Load
    event_tasks: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    elsewhere: str = ""
    wants: tuple[str, ...] = ()

    def __call__(
        self, root: str | Path | None = None, task: str | None = None, seed: int = 0, **options: Any
    ) -> ClipTable:
        """List the clips of one task; see `load_table`."""
        task = self.tasks[0] if task is None else task
        if task not in self.tasks:
            raise UnknownNameError(f"{self.name} has no task {quoted(task)}.{did_you_mean(task, self.tasks)}")
        check_options(f"Dataset {quoted(self.name)}", self.load, options, given=len(_OWN))
        return self.load(None if root is None else Path(root).expanduser(), task=task, seed=seed, **options)


DATASETS: Registry[DatasetEntry] = Registry("dataset", values_of=DatasetEntry)


def dataset(
    name: str,
    *,
    tasks: tuple[str, ...],
    where: str,
    event_tasks: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
    elsewhere: str = "",
    wants: tuple[str, ...] = (),
) -> Callable[[Load], Load]:
    """Decorator: register a function ``(root, task, seed, **options) -> ClipTable`` as the dataset `name`.

    Args:
        name: what it is asked for by.
        tasks: the labels it has; the first is the default.
        where: source and licence, one or two lines.
        event_tasks: those of the tasks whose tables have events; where they cost reading more files, it wants
            ``events``.
        classes: those of every task; for datasets that render or copy their clips as they are loaded, so that classes
            that do not fit are told before.
        elsewhere: where it is to be had, if it cannot be downloaded with this library.
        wants: what the run is to hand in, as arguments of the function; see `DatasetEntry`.
    """

    def add(load: Load) -> Load:
        entry = DatasetEntry(name, tasks, where, load, event_tasks, classes, elsewhere, wants)
        DATASETS.register(name)(entry)
        setattr(load, ROW, entry)
        return load

    return add


def load_table(
    name: str, root: str | Path | None = None, task: str | None = None, seed: int = 0, **options: Any
) -> ClipTable:
    """List the clips of one task of a registered dataset: names, labels and the split; nothing is decoded.

    Args:
        name: the dataset, e.g. ``"grid"``.
        root: its folder; None: the dataset's default place.
        task: which labels; None: the dataset's first.
        seed: of the split; equal seeds give equal splits.
        options: further arguments of the dataset.

    Raises:
        UnknownNameError: no such dataset or task.
        ConfigError: an option that the dataset does not take, or a value outside its range.
        DatasetNotFoundError: the dataset is not at `root`; the message says where to get it.
        DataError: its files do not say what its layout promises.
    """
    return DATASETS.get(name)(root, task, seed, **options)
