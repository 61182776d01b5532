"""Finds the rows of feature files that hold no finite numbers; each file is read through once, and it is remembered."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from counterpoint._atomic import write_json
from counterpoint._limits import read_json
from counterpoint.data.io.hdf5 import opened
from counterpoint.errors import DataError, RunError

log = logging.getLogger(__name__)

Source = tuple[Path, str]  # file, dataset in it
Progress = Callable[[int, int], None]

SMALL_BYTES = 1 << 30
"""Datasets of at most this many bytes are checked unasked: about a second where the disk is quick."""
MISSING = "values are NaN"
"""The end of what is said of a row that could be filled in."""
_BLOCK_BYTES = 32 << 20


class BadRow(NamedTuple):
    """A row that cannot be used as it is.

    Attributes:
        reason: why not.
        missing: how many of its values are NaN, where the others are fine; 0 where there is nothing to go by.
    """

    reason: str
    missing: int = 0


def bad_rows(
    sources: Mapping[str, Mapping[Source, int]], memory: Path, check: bool | None, progress: Progress | None = None
) -> dict[Source, dict[int, BadRow]]:
    """Of each dataset, the rows that cannot be used as they are.

    Args:
        sources: modality -> dataset -> number of its rows.
        memory: folder in which is remembered what was found.
        check: read every dataset that is not remembered; False: none; None: those of at most `SMALL_BYTES`.
        progress: called with (rows read, rows to read).

    Returns:
        Dataset -> row -> what is wrong with it; a dataset that was not checked is absent.

    Raises:
        DataError: a file is missing or damaged as a whole.
    """
    found: dict[Source, dict[int, BadRow]] = {}
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
        for first, rows_read in _read_through(source):
            bad.update({first + k: row for k, row in enumerate(rows_read) if row is not None})
            done += len(rows_read)
            if progress:
                progress(done, total)
        found[source] = bad
        _remember(place, source, bad)
    return found


def _bytes(source: Source) -> int:
    with opened(*source) as data:
        return int(data.size) * int(data.dtype.itemsize)


def _read_through(source: Source) -> Iterator[tuple[int, list[BadRow | None]]]:
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


def _check_rows(data: Any, first: int, last: int) -> list[BadRow | None]:
    block = np.empty((last - first, *data.shape[1:]), np.float32)  # as it will be read: a float64 may overflow
    with np.errstate(over="ignore"):
        data.read_direct(block, np.s_[first:last])
    return [None if np.isfinite(row).all() else _look_at(row) for row in block.reshape(len(block), -1)]


def _look_at(row: NDArray[np.float32]) -> BadRow:
    missing = int(np.isnan(row).sum())
    if np.isinf(row).any():
        return BadRow("infinite values")
    return BadRow(f"{missing} of {row.size} {MISSING}", missing) if missing < row.size else BadRow("nothing but NaN")


def _check_row(data: Any, row: int) -> BadRow | None:
    try:
        return _check_rows(data, row, row + 1)[0]
    except OSError as error:
        return BadRow(f"damaged ({error})")


def _place(memory: Path, source: Source) -> Path:
    path, name = source
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    key = repr((str(path.absolute()), name, stat.st_size, stat.st_mtime_ns))
    return memory / f"{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"


def _recall(place: Path) -> dict[int, BadRow] | None:
    try:
        said = read_json(place)
        return {int(row): BadRow(str(reason), int(missing)) for row, (reason, missing) in said["rows"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # not there, or damaged: it is found out anew


def _remember(place: Path, source: Source, bad: Mapping[int, BadRow]) -> None:
    said = {"file": str(source[0]), "dataset": source[1], "rows": {str(row): found for row, found in bad.items()}}
    try:
        write_json(place, said, shared=True)
    except (RunError, ValueError) as error:  # ValueError: a file name that is no UTF-8
        log.warning("What was found in %s is not remembered: %s", source[0], error)
