"""Where the features of clips are: rows of HDF5 files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from counterpoint.data.features.validate import Source
from counterpoint.data.io.hdf5 import opened
from counterpoint.errors import DataError, quoted
from counterpoint.registry import did_you_mean

AXES = {"audio": ("clips", "T", "D"), "visual": ("clips", "T", "H", "W", "D")}
"""What the axes of each modality's dataset are: T segments, maps of H x W, D features."""


VECTORS = ("clips", "D")
"""What they are where a whole clip has one vector, in every modality."""


@dataclass(frozen=True)
class FeatureRow:
    """Where the features of one clip are: row `row` of dataset `dataset` of the HDF5 file `path`."""

    path: Path
    dataset: str
    row: int


@dataclass(frozen=True)
class Features:
    """Where the features of all clips of a table are.

    Attributes:
        rows: modality (``"audio"``, ``"visual"``) -> clip id -> place. A clip that a modality lacks is set aside.
        standardise: whether they are brought to one scale before anything is learnt, unless the user says otherwise;
            False where a paper's protocol takes them as they are.
    """

    rows: Mapping[str, Mapping[str, FeatureRow]]
    standardise: bool = True

    @property
    def modalities(self) -> tuple[str, ...]:
        """As declared."""
        return tuple(self.rows)

    @cached_property
    def sources(self) -> dict[str, dict[Source, int]]:
        """Modality -> (file, dataset) -> number of its rows.

        Raises:
            DataError: as `shapes`.
        """
        return {modality: sizes for modality, (sizes, _) in self._looked_at.items()}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Modality -> shape of a clip: audio ``(T, D)``, visual ``(T, H, W, D)``; or all ``(D,)``. Opens the files,
        reads no features.

        Raises:
            DataError: a file is missing, damaged or without the dataset; axes or kind of numbers are others; files of
                one modality differ in shape, or modalities in T.
        """
        shapes = {modality: shape for modality, (_, shape) in self._looked_at.items()}
        vectors = [modality for modality, shape in shapes.items() if len(shape) == 1]
        if vectors:
            for modality in shapes.keys() - vectors:
                raise DataError(
                    f"The {vectors[0]} features are one vector for each clip ({self._a_file(vectors[0])}), but the "
                    f"{modality} features are of segments ({self._a_file(modality)})"
                )
            return shapes
        if len({shape[0] for shape in shapes.values()}) > 1:
            each = ", ".join(f"{modality} {shape[0]} ({self._a_file(modality)})" for modality, shape in shapes.items())
            raise DataError(f"The modalities differ in segments per clip, T: {each}")
        return shapes

    @property
    def dims(self) -> dict[str, int]:
        """Modality -> D; see `shapes`."""
        return {modality: shape[-1] for modality, shape in self.shapes.items()}

    @property
    def segments(self) -> int | None:
        """T; None where a clip has one vector for the whole of it. See `shapes`."""
        shape = next(iter(self.shapes.values()))
        return shape[0] if len(shape) > 1 else None

    @cached_property
    def _looked_at(self) -> dict[str, tuple[dict[Source, int], tuple[int, ...]]]:
        if not self.rows or not all(self.rows.values()):
            raise DataError("There are no features: a modality has no rows")
        return {modality: _look_at(modality, rows.values()) for modality, rows in self.rows.items()}

    def _a_file(self, modality: str) -> Path:
        return next(iter(self.rows[modality].values())).path


def _look_at(modality: str, rows: Iterable[FeatureRow]) -> tuple[dict[Source, int], tuple[int, ...]]:
    sizes: dict[Source, int] = {}
    shape: tuple[int, ...] = ()
    for path, name in dict.fromkeys((row.path, row.dataset) for row in rows):
        with opened(path, name) as data:
            found = tuple(int(size) for size in data.shape)
            axes = AXES.get(modality)
            if axes is None:
                raise DataError(f"{path}: no modality is called {quoted(modality)}.{did_you_mean(modality, AXES)}")
            if data.dtype.kind != "f":
                raise DataError(
                    f"{path}: dataset {quoted(name)} holds {data.dtype}; features must be floating-point numbers"
                )
            if len(found) not in (len(axes), len(VECTORS)) or 0 in found[1:]:
                raise DataError(
                    f"{path}: dataset {quoted(name)} has the shape {found}; {modality} features must be "
                    f"({', '.join(axes)}), or one vector for each clip, ({', '.join(VECTORS)})"
                )
            if shape and found[1:] != shape:
                raise DataError(f"{path}: a row of {quoted(name)} has the shape {found[1:]}, in other files {shape}")
        sizes[path, name], shape = found[0], found[1:]
    return sizes, shape
