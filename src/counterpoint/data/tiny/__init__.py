"""Tiny copies of the datasets, made on the spot in their official layouts: what tries every recipe out in minutes.

The files are real (H.264, Flash video, AAC, WAV, JPEG, HDF5, CSV) and hold a tone and a grey level that tell the class.
They say nothing about the dataset but how its folder looks.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from counterpoint.errors import UnknownNameError, quoted
from counterpoint.registry import did_you_mean

TINY = {
    "ave": "ave",
    "cremad": "emotions",
    "fop": "fop",
    "ravdess": "emotions",
    "shuu": "speakers",
    "ssw60": "videos",
    "vggsound": "videos",
    "voxceleb": "speakers",
}
"""Dataset -> module of this room whose ``write_<dataset>`` writes its tiny copy."""


def write_tiny(name: str, root: str | Path) -> Path:
    """A tiny copy of a dataset.

    Args:
        name: of the dataset, as `load_table` knows it.
        root: its folder, made here.

    Returns:
        `root`.

    Raises:
        UnknownNameError: there is no tiny copy of that dataset.
    """
    if name not in TINY:
        raise UnknownNameError(f"There is no tiny copy of {quoted(name)}.{did_you_mean(name, TINY)}")
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    getattr(import_module(f"{__name__}.{TINY[name]}"), f"write_{name}")(root)
    return root
