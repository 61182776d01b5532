"""Make the parts of every method once, on no device, so that what is wrong with one is told before the first run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from counterpoint.data import ClipTable
from counterpoint.experiments.plan import Entry, named
from counterpoint.training import resolve
from counterpoint.training.build import build, on_no_device
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import with_settings
from counterpoint.training.resolved import Resolved

_NOT_PARTS = ("data", "optim", "epochs", "seed", "metric", "imports")


def dry_run(
    entries: Iterable[Entry], settings: Mapping[Path, list[dict[str, Any]]], table: ClipTable | None = None
) -> dict[str, Resolved]:
    """Resolve every entry with each setting that the search would try, and make its model, balancer and loss.

    Args:
        entries: methods, and modalities alone.
        settings: an entry's folder -> its settings.
        table: the clips, checked names and values being taken for granted, and transforms being made too; None while
            they are not known: everything is checked that does not hang on them.

    Returns:
        What `resolved` finds a run in.

    Raises:
        ConfigError: names the recipe, and the setting where that is at fault.
    """
    found: dict[str, Resolved] = {}
    for entry in entries:
        for setting in ({}, *settings.get(entry.folder, ())):
            with named(entry, setting):
                config = with_settings(entry.config, setting)
                if table is None:
                    resolve.check(config)
                key = _parts(config)
                if key not in found:  # settings that differ in the learning rate have the same parts
                    found[key] = resolve.before_data(config) if table is None else resolve.resolve_for(config, table)
                    on_no_device(partial(build, found[key]))
    return found


def resolved(found: Mapping[str, Resolved], config: TrainConfig) -> Resolved:
    """A run of a dry run, with a seed, fold and optimizer of its own."""
    return replace(found[_parts(config)], config=config)


def _parts(config: TrainConfig) -> str:
    """What tells apart runs whose parts or whose clips' shapes differ."""
    named = [getattr(config, f.name) for f in fields(config) if f.name not in _NOT_PARTS]
    return repr((config.data.media, named))
