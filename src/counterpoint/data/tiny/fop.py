"""Tiny files of features as FOP trains and tests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from counterpoint.data.datasets._fop_files import DIMS

_FILES = {"audio": "voice", "visual": "face"}
_SPEAKERS, _EACH, _PAIRS = 3, 8, 8


def write_fop(root: Path) -> None:
    """``faceTrain.csv``, ``voiceTrain.csv`` and the test pairs of both kinds: of one speaker and of two, in turn."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(_SPEAKERS), _EACH)
    for modality, name in _FILES.items():
        lines = [f"{row},{k}\n" for row, k in zip(_rows(rng, people, DIMS[modality]), people.tolist(), strict=True)]
        (root / f"{name}Train.csv").write_text("".join(lines), encoding="utf-8")
        for kind in ("seenheard", "unseenunheard"):
            other = np.arange(_PAIRS) % 2 if modality == "visual" else 0  # every second face is of somebody else
            rows = _rows(rng, (np.arange(_PAIRS) // 2 + other) % _SPEAKERS, DIMS[modality])
            path = root / f"{name}_veriflist_test_{kind}.csv"
            path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def _rows(rng: np.random.Generator, people: np.ndarray, width: int) -> list[str]:
    features = people[:, None] + rng.standard_normal((len(people), width))
    return [",".join(f"{value:.3f}" for value in row) for row in features.tolist()]
