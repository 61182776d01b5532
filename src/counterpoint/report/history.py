"""What a run wrote down on its way: metrics per epoch, ratio and coefficient per step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint._atomic import read_csv
from counterpoint._checksums import require_whole
from counterpoint.training.run_dir import METRICS, STEPS

Series = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """The columns of ``metrics.csv`` and ``steps.csv``; a value that was not written is NaN."""

    epochs: Mapping[str, Series] = field(default_factory=dict)
    steps: Mapping[str, Series] = field(default_factory=dict)


def read_history(folder: Path) -> History:
    """Read a run folder; a missing file gives no columns."""
    return replace(read_epochs(folder), steps=_read(folder / STEPS))


def read_epochs(folder: Path) -> History:
    """The same without the steps, which are many."""
    return History(_read(folder / METRICS))


def mean_over_runs(histories: Sequence[Mapping[str, Series]], column: str) -> tuple[Series, Series, Series] | None:
    """Mean, lowest and highest over runs at each epoch or step; None where no run has the column.

    Runs of different length are cut to the shortest.
    """
    found = [h[column] for h in histories if column in h and np.isfinite(h[column]).any()]
    if not found:
        return None
    length = min(map(len, found))
    stacked = np.stack([series[:length] for series in found])
    return stacked.mean(axis=0), stacked.min(axis=0), stacked.max(axis=0)


def _read(path: Path) -> dict[str, Series]:
    require_whole(path)
    rows = read_csv(path)
    columns = rows[0] if rows else {}
    return {name: np.array([_number(row[name]) for row in rows]) for name in columns if name is not None}


def _number(text: str | None) -> float:
    try:
        return float(text) if text else float("nan")
    except ValueError:
        return float("nan")
