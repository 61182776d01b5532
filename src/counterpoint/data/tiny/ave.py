"""Tiny AVE, as features."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from counterpoint.data.datasets._ave_files import CLASSES, KEY

_SEGMENTS = 10
_SHAPES = {"visual": (2, 2, 16), "audio": (8,)}  # of a segment; AVE's are (7, 7, 512) and (128,)
_SIDES = {"train": range(9), "val": range(9, 12), "test": range(12, 16)}


def write_ave(root: Path) -> None:
    """``Annotations.txt``, the split, ``labels.h5`` and features of 16 clips; a number of noise apart per class."""
    rng = np.random.default_rng(0)
    clips = max(side.stop for side in _SIDES.values())
    lines, truth = [], np.full((clips, _SEGMENTS), len(CLASSES))
    for k in range(clips):
        label, start, end = k % 3, k % 4, 5 + k % 5
        truth[k, start:end] = label
        lines.append(f"{CLASSES[label]}&video{k:04d}__&good&{start}&{end}\n")
    (root / "Annotations.txt").write_text("".join(lines), encoding="utf-8")
    one_hot = np.eye(len(CLASSES) + 1, dtype=np.float32)[truth]
    files = {f"{modality}_feature.h5": (KEY, _features(rng, truth, shape)) for modality, shape in _SHAPES.items()}
    files |= {f"{side}_order.h5": ("order", np.array(rows)) for side, rows in _SIDES.items()}
    for name, (key, values) in {**files, "labels.h5": (KEY, one_hot)}.items():
        with h5py.File(root / name, "w") as file:
            file[key] = values


def _features(rng: np.random.Generator, truth: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    level = (truth % 4).reshape(*truth.shape, *[1] * len(shape))
    return (level + rng.random((*truth.shape, *shape))).astype(np.float32)
