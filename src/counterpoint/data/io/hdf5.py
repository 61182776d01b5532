"""Reads HDF5 files so that what is wrong with one is said: which file, which dataset in it, what to do."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.errors import DataError, quoted
from counterpoint.media.files import what_is_wrong
from counterpoint.registry import did_you_mean


def import_h5py(path: Path) -> Any:
    """The module h5py, which is imported where it is first needed and not before.

    Raises:
        DataError: it is not installed; the message names the file that needs it.
    """
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise DataError(f"{path}: HDF5 files need h5py ({error}); `pip install h5py`") from None


def open_hdf5(path: Path) -> Any:
    """An ``h5py.File``, for reading.

    Raises:
        DataError: the file is missing, is no HDF5 file, or is damaged or not complete; or h5py is not installed.
    """
    h5py = import_h5py(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        why = what_is_wrong(path) or f"it is no HDF5 file, or a damaged one ({error})"
        if "truncated" in str(error):
            why = "the file is not complete, its end is missing; get it again"
        raise DataError(f"{path}: {why}") from None


def find_dataset(file: Any, path: Path, name: str) -> Any:
    """The dataset `name` of an open file.

    Raises:
        DataError: there is none of that name; the message says which there are.
    """
    found: list[str] = []
    file.visititems(lambda key, item: found.append(key) if hasattr(item, "shape") else None)
    if name not in found:
        raise DataError(f"{path}: it has no dataset {quoted(name)}.{did_you_mean(name, found)}")
    return file[name]


@contextmanager
def opened(path: Path, name: str) -> Iterator[Any]:
    """One dataset of a file, for as long as the block lasts.

    Raises:
        DataError: as `open_hdf5` and `find_dataset`; or what is read in the block is damaged.
    """
    with open_hdf5(path) as file:
        data = find_dataset(file, path, name)
        try:
            yield data
        except OSError as error:
            raise DataError(f"{path}: dataset {quoted(name)} is damaged ({error}); get the file again") from None


def read_numbers(path: Path, name: str, axes: tuple[str, ...]) -> NDArray[Any]:
    """A whole small dataset of numbers, e.g. labels.

    Args:
        path: of the file.
        name: of the dataset in it.
        axes: what its axes are, for the message where their number is another.

    Raises:
        DataError: it is not there, is damaged, has other axes, or holds no finite numbers.
    """
    with opened(path, name) as data:
        if data.dtype.kind not in "iufb":
            raise DataError(f"{path}: dataset {quoted(name)} holds {data.dtype}, not numbers")
        if len(data.shape) != len(axes):
            raise DataError(
                f"{path}: dataset {quoted(name)} has the shape {data.shape}; it must be ({', '.join(axes)})"
            )
        numbers: NDArray[Any] = data[()]
    if not np.isfinite(numbers).all():
        raise DataError(f"{path}: dataset {quoted(name)} has values that are not finite")
    return numbers
