"""Tiny HDF5 files in the layouts of AVE and of a folder of features."""

from pathlib import Path

import h5py
import numpy as np

SHAPES = {"audio": (10, 3), "visual": (10, 2, 2, 4)}


def numbers(modality, rows, seed=0, dtype=np.float32, segments=10):
    """Features that say by their values of which row they are: row k is k + 0 to 1."""
    shape = (rows, segments, *SHAPES[modality][1:])
    noise = np.random.default_rng(seed).random(shape)
    return (np.arange(rows).reshape(-1, *[1] * (len(shape) - 1)) + noise).astype(dtype)


def write(path, **datasets):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def cut(path: Path, share=0.5):
    """What a download that broke off leaves."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
