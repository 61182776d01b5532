"""Datasets, one file each, found by themselves; helpers are beside them in files that begin with an underscore."""

from __future__ import annotations

import importlib
import pkgutil


def names() -> list[str]:
    """Modules of this package that register a dataset."""
    return [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]


def import_all() -> None:
    """Import every dataset, so that it is registered."""
    for name in names():
        importlib.import_module(f"{__name__}.{name}")
