"""Make the parts of every method once, on no device, so that what is wrong with one is told before the first run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from counterpoint.data import ClipTable
from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.experiments.plan import ALONE, Entry, apply_setting
from counterpoint.media.spec import MediaSpec
from counterpoint.models import Model
from counterpoint.training.build import build_for, check_names
from counterpoint.training.config import TrainConfig
from counterpoint.training.model import build_model
from counterpoint.training.objective import build_balancer, build_loss

T = TypeVar("T")

_NOT_PARTS = ("data", "optim", "epochs", "seed", "precision", "metric", "accelerator", "devices", "imports")
_ANY_CLASSES, _ANY_SHAPE = 2, MediaSpec()


def modalities_of(base: TrainConfig, entries: Iterable[Entry] = ()) -> tuple[str, ...]:
    """The modalities of a run with `base`, in order, and after them those that only some of the entries have.

    Raises:
        ConfigError: names or options of a model do not fit; names the recipe.
    """
    found = dict.fromkeys(_model(base).modalities)
    for entry in entries:
        with _named(entry):
            found |= dict.fromkeys(_model(entry.config).modalities)
    return tuple(found)


def dry_run(
    entries: Iterable[Entry],
    settings: Mapping[Path, list[dict[str, Any]]],
    table: ClipTable | None = None,
    spec: MediaSpec | None = None,
) -> None:
    """Make every entry's model, balancer and loss, with each setting that the search would try.

    Args:
        entries: methods, and modalities alone.
        settings: an entry's folder -> its settings.
        table, spec: the clips and their shape, with which transforms are made too; None while they are not known:
            options of models are told then, those of transforms that hang on the clips are not.

    Raises:
        ConfigError: names the recipe, and the setting where that is at fault.
    """
    done: set[str] = set()
    for entry in entries:
        for setting in ({}, *settings.get(entry.folder, ())):
            with _named(entry, setting):
                config = apply_setting(entry.config, setting)
                config.check()
                check_names(config)
                parts = repr([getattr(config, f.name) for f in fields(config) if f.name not in _NOT_PARTS])
                if parts not in done:  # settings that differ in the learning rate have the same parts
                    done.add(parts)
                    _on_no_device(partial(_make, config, table, spec))


@contextlib.contextmanager
def _named(entry: Entry, setting: Mapping[str, Any] | None = None) -> Iterator[None]:
    try:
        yield
    except CounterpointError as error:
        which = f"{entry.name} alone" if entry.kind == ALONE else f"recipe {entry.name}"
        tried = f", setting {setting} of its search" if setting else ""
        raise ConfigError(f"{which}{tried}: {error}") from error


def _model(config: TrainConfig) -> Model:
    return _on_no_device(partial(build_model, config, _ANY_CLASSES, _ANY_SHAPE))


def _make(config: TrainConfig, table: ClipTable | None, spec: MediaSpec | None) -> None:
    if table is None or spec is None:
        model = build_model(config, _ANY_CLASSES, _ANY_SHAPE)
    else:
        model = build_for(config, table, spec).model
    build_loss(config, build_balancer(config, model), model)


def _on_no_device(make: Callable[[], T]) -> T:
    """Without memory and without drawing weights; for real where a part needs to see its numbers as it is made."""
    state = torch.get_rng_state()
    try:
        with torch.device("meta"):
            return make()
    except CounterpointError:
        raise
    except (RuntimeError, NotImplementedError):
        return make()
    finally:
        torch.set_rng_state(state)
