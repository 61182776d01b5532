"""Datasets, splits, and the cache of decoded clips.

Listing a dataset (`load_table`) is light: names, labels and splits; no media file is opened and torch
is not imported. `ClipDataset`, which needs torch, is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from counterpoint.data import talkers
from counterpoint.data.cache.prepare import PreparedClips, prepare
from counterpoint.data.clip_table import SPLITS, Clip, ClipTable
from counterpoint.data.datasets import (
    ave,
    cremad,
    feature_folder,
    folder,
    fop,
    grid,
    kinetics_sounds,
    ravdess,
    shuu,
    ssw60,
    vggsound,
    voxceleb,
)
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
    "ave",
    "collate",
    "cremad",
    "feature_folder",
    "folder",
    "fop",
    "grid",
    "kinetics_sounds",
    "load_table",
    "prepare",
    "ravdess",
    "shuu",
    "ssw60",
    "talkers",
    "vggsound",
    "voxceleb",
]


def __getattr__(name: str) -> Any:
    if name in ("ClipDataset", "collate"):
        return getattr(importlib.import_module("counterpoint.data.cache.shard_dataset"), name)
    if name == "FeatureDataset":
        return importlib.import_module("counterpoint.data.features.dataset").FeatureDataset
    raise AttributeError(f"module 'counterpoint.data' has no attribute {name!r}")
