"""Finds the rows of feature files that hold no finite numbers; each file is read through once, and it is remembered."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from counterpoint._atomic import write_text
from counterpoint.data.io.hdf5 import opened
from counterpoint.errors import DataError, RunError

log = logging.getLogger(__name__)

Source = tuple[Path, str]  # file, dataset in it
Progress = Callable[[int, int], None]

SMALL_BYTES = 1 << 30
"""Datasets of at most this many bytes are checked unasked: about a second where the disk is quick."""
_BLOCK_BYTES = 32 << 20


def bad_rows(
    sources: Mapping[str, Mapping[Source, int]], memory: Path, check: bool | None, progress: Progress | None = None
) -> dict[Source, dict[int, str]]:
    """Of each dataset, the rows that cannot be used.

    Args:
        sources: modality -> dataset -> number of its rows.
        memory: folder in which is remembered what was found.
        check: read every dataset that is not remembered; False: none; None: those of at most `SMALL_BYTES`.
        progress: called with (rows read, rows to read).

    Returns:
        Dataset -> row -> reason; a dataset that was not checked is absent.

    Raises:
        DataError: a file is missing or damaged as a whole.
    """
    found: dict[Source, dict[int, str]] = {}
    unknown: dict[Source, int] = {}
    for source, rows in dict(pair for datasets in sources.values() for pair in datasets.items()).items():
        known = _recall(_place(memory, source))
        if known is not None:
            found[source] = known
        elif check or (check is None and _bytes(source) <= SMALL_BYTES):
            unknown[source] = rows
    done, total = 0, sum(unknown.values())
    for source in unknown:
        place, bad = _place(memory, source), {}
        for first, reasons in _read_through(source):
            bad.update({first + k: reason for k, reason in enumerate(reasons) if reason})
            done += len(reasons)
            if progress:
                progress(done, total)
        found[source] = bad
        _remember(place, source, bad)
    return found


def _bytes(source: Source) -> int:
    with opened(*source) as data:
        return int(data.size) * int(data.dtype.itemsize)


def _read_through(source: Source) -> Iterator[tuple[int, list[str]]]:
    """First row of each block of rows, and of each of its rows what is wrong with it, if anything."""
    with opened(*source) as data:
        rows, shape = int(data.shape[0]), tuple(data.shape[1:])
        step = max(1, _BLOCK_BYTES // (4 * int(np.prod(shape))))
        for first in range(0, rows, step):
            last = min(rows, first + step)
            try:
                yield first, _check_rows(data, first, last)
            except OSError:  # a damaged chunk of the file: which of the rows need it
                yield first, [_check_row(data, row) for row in range(first, last)]


def _check_rows(data: Any, first: int, last: int) -> list[str]:
    block = np.empty((last - first, *data.shape[1:]), np.float32)  # as it will be read: a float64 may overflow
    with np.errstate(over="ignore"):
        data.read_direct(block, np.s_[first:last])
    rows = np.isfinite(block).reshape(len(block), -1)
    return ["" if row.all() else "NaN or infinite values" for row in rows]


def _check_row(data: Any, row: int) -> str:
    try:
        return _check_rows(data, row, row + 1)[0]
    except OSError as error:
        return f"damaged ({error})"


def _place(memory: Path, source: Source) -> Path:
    path, name = source
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    key = repr((str(path.absolute()), name, stat.st_size, stat.st_mtime_ns))
    return memory / f"{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"


def _recall(place: Path) -> dict[int, str] | None:
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
        return {int(row): str(reason) for row, reason in said["bad"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # not there, or damaged: it is found out anew


def _remember(place: Path, source: Source, bad: Mapping[int, str]) -> None:
    said = {"file": str(source[0]), "dataset": source[1], "bad": {str(row): reason for row, reason in bad.items()}}
    try:
        write_text(place, json.dumps(said), shared=True)
    except (RunError, ValueError) as error:  # ValueError: a file name that is no UTF-8
        log.warning("What was found in %s is not remembered: %s", source[0], error)
