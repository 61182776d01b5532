"""Where things lie when nobody says: one folder, movable by one environment variable."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "COUNTERPOINT_CACHE"
"""Environment variable that names the cache."""


def cache_root() -> Path:
    """``$COUNTERPOINT_CACHE``, or ``~/.cache/counterpoint``; decoded shards and rendered clips go here."""
    return Path(os.environ.get(CACHE) or "~/.cache/counterpoint").expanduser()


def default_root(dataset: str) -> Path:
    """Where a dataset is looked for, and downloaded to, when no root is given: a folder in `cache_root`."""
    return cache_root() / "datasets" / dataset
