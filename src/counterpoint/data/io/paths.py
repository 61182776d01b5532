"""Where things lie when nobody says: one folder, movable by one environment variable."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "COUNTERPOINT_CACHE"
"""Environment variable that names the cache."""


def cache_root(chosen: str | Path | None = None) -> Path:
    """Where decoded and rendered clips go: as chosen, else ``$COUNTERPOINT_CACHE``, else ``~/.cache/counterpoint``."""
    return Path(chosen or os.environ.get(CACHE) or "~/.cache/counterpoint").expanduser()


def default_root(dataset: str) -> Path:
    """Where a dataset is looked for, and downloaded to, when no root is given: a folder in `cache_root`."""
    return cache_root() / "datasets" / dataset
