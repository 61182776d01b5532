"""Datasets, splits, and the cache of decoded clips.

Listing a dataset (`load_table`) is light: names, labels and splits; no media file is opened and torch
is not imported. `ClipDataset`, which needs torch, is imported when it is asked for. Each dataset is a file of
`counterpoint.data.datasets`, found there by itself, and reachable as ``counterpoint.data.NAME`` too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from counterpoint._moved import keep_names
from counterpoint.data import datasets, talkers
from counterpoint.data.cache.prepare import PreparedClips, prepare
from counterpoint.data.clip_table import SPLITS, Clip, ClipTable
from counterpoint.data.events import Event
from counterpoint.data.feature_rows import FeatureRow, Features
from counterpoint.data.features.prepared import PreparedFeatures
from counterpoint.data.registry import DATASETS, DatasetEntry, load_table

if TYPE_CHECKING:
    from counterpoint.data.cache.shard_dataset import ClipDataset, collate
    from counterpoint.data.features.dataset import FeatureDataset

__all__ = [
    "DATASETS",
    "SPLITS",
    "Clip",
    "ClipDataset",
    "ClipTable",
    "DatasetEntry",
    "Event",
    "FeatureDataset",
    "FeatureRow",
    "Features",
    "PreparedClips",
    "PreparedFeatures",
    "collate",
    "datasets",
    "load_table",
    "prepare",
    "talkers",
]


datasets.import_all()


def __getattr__(name: str) -> Any:
    if name in ("ClipDataset", "collate"):
        return getattr(importlib.import_module("counterpoint.data.cache.shard_dataset"), name)
    if name == "FeatureDataset":
        return importlib.import_module("counterpoint.data.features.dataset").FeatureDataset
    if name in datasets.names():
        return getattr(datasets, name)
    raise AttributeError(f"module 'counterpoint.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *datasets.names()})


keep_names(__name__, ("prepare",))  # the function, beside the former module
