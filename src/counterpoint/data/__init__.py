"""Datasets, splits, and the cache of decoded clips.

Listing a dataset (:func:`load_table`) is light: names, labels and splits; no media file is opened and torch
is not imported. Decoding (:func:`prepare`) is imported when it is asked for.
"""

from counterpoint.data import folder, grid
from counterpoint.data.clips import SPLITS, Clip, ClipTable
from counterpoint.data.registry import DATASETS, DatasetEntry, dataset, load_table

__all__ = ["DATASETS", "SPLITS", "Clip", "ClipTable", "DatasetEntry", "dataset", "folder", "grid", "load_table"]
