"""Clips that are features already: rows of HDF5 files, read as they are needed and never the whole file at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.data.clips import Clip, ClipTable
from counterpoint.data.events import segment_classes
from counterpoint.data.feature_check import Source, bad_rows
from counterpoint.data.hdf5 import opened
from counterpoint.data.judge import check_max_bad, judge, usable_clips
from counterpoint.data.places import cache_root
from counterpoint.errors import ConfigError, DataError
from counterpoint.registry import did_you_mean

if TYPE_CHECKING:
    from counterpoint.data.feature_dataset import FeatureDataset
    from counterpoint.media.spec import MediaSpec

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
    """

    rows: Mapping[str, Mapping[str, FeatureRow]]

    @property
    def modalities(self) -> tuple[str, ...]:
        """As declared."""
        return tuple(self.rows)

    @cached_property
    def sources(self) -> dict[str, dict[Source, int]]:
        """Modality -> (file, dataset) -> number of its rows.

        Raises:
            DataError: as :attr:`shapes`.
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
        """Modality -> D; see :attr:`shapes`."""
        return {modality: shape[-1] for modality, shape in self.shapes.items()}

    @property
    def segments(self) -> int | None:
        """T; None where a clip has one vector for the whole of it. See :attr:`shapes`."""
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
                raise DataError(f"{path}: no modality is called {modality!r}.{did_you_mean(modality, AXES)}")
            if data.dtype.kind != "f":
                raise DataError(f"{path}: dataset {name!r} holds {data.dtype}; features must be floating-point numbers")
            if len(found) not in (len(axes), len(VECTORS)) or 0 in found[1:]:
                raise DataError(
                    f"{path}: dataset {name!r} has the shape {found}; {modality} features must be ({', '.join(axes)}), "
                    f"or one vector for each clip, ({', '.join(VECTORS)})"
                )
            if shape and found[1:] != shape:
                raise DataError(f"{path}: a row of {name!r} has the shape {found[1:]}, in other files {shape}")
        sizes[path, name], shape = found[0], found[1:]
    return sizes, shape


class PreparedFeatures:
    """A table of features, checked; what :class:`~counterpoint.data.prepare.PreparedClips` is for media.

    A clip without a row in some modality, or with a row that holds NaN or infinite values, is set aside with its
    reason. For the latter each dataset has to be read through once: those of at most
    :data:`~counterpoint.data.feature_check.SMALL_BYTES` are, a larger one (AVE's visual features) only with
    ``check=True``, which ``counterpoint prepare`` sets. What was found is remembered in the cache until the file
    changes. Unchecked rows are looked at when a batch is read, and a bad one is then an error that names the clip.

    Args:
        table: with features and events.
        modalities: these alone; None: all that the table has.
        max_bad: share of unusable clips, 0 to 1, above which the table is refused; includes ``table.refused``.
        check: read every row once, whatever the size of the files; False: none; None: small files.
        cache: folder where it is remembered; None: ``$COUNTERPOINT_CACHE`` or ``~/.cache/counterpoint``.
        progress: called with (rows read, rows to read) while rows are checked.

    Attributes:
        table: as given.
        spec: the table's; of it only the length of a clip counts.
        modalities: what the clips have.
        set_aside: clip id -> why it is not used.
        decoded: 0: nothing is.
        segments: T, and clips have a class for each; None: one vector and one class for a whole clip.

    Raises:
        DataError: the files are missing, damaged or of another shape; or too many clips cannot be used.
        ConfigError: a value outside its range, or a modality that the table does not have.
    """

    decoded = 0

    def __init__(
        self,
        table: ClipTable,
        *,
        modalities: Sequence[str] | None = None,
        max_bad: float = 0.05,
        check: bool | None = None,
        cache: str | Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        check_max_bad(max_bad)
        if table.features is None or (table.events is None and table.features.segments is not None):
            raise DataError(f"{table.name} is not a table of features with events")
        self.table = table
        self.features = _only(table.features, modalities)
        self.modalities = self.features.modalities
        self.segments = self.features.segments
        folder = cache_root() if cache is None else Path(cache).expanduser()
        bad = bad_rows(self.features.sources, folder / "features", check, progress)
        self.set_aside = dict(table.refused)
        for clip in table.clips:
            if clip.id not in self.set_aside and (reason := self._why_not(clip.id, bad)):
                self.set_aside[clip.id] = reason
        self._usable = {clip.id for clip in table.clips} - self.set_aside.keys()
        judge(table, self._usable, self.set_aside, max_bad)

    @property
    def spec(self) -> MediaSpec:
        """The table's."""
        return self.table.media

    def clips(self, split: str) -> Sequence[Clip]:
        """The usable clips of a split, in table order.

        Raises:
            DataError: there is no such split, or it is empty.
        """
        return usable_clips(self.table, self._usable, split)

    def split(self, split: str) -> FeatureDataset:
        """The usable clips of a split as a torch dataset.

        Raises:
            DataError: there is no such split, or it is empty.
        """
        from counterpoint.data.feature_dataset import FeatureDataset

        clips = self.clips(split)
        if self.segments is None:
            return FeatureDataset(clips, self.features, [clip.label for clip in clips])
        assert self.table.events is not None
        events = self.table.events
        each = [(events.get(clip.id, ()), _seconds(clip, self.spec.seconds)) for clip in clips]
        targets = [segment_classes(found, length, self.segments, self.table.background) for found, length in each]
        return FeatureDataset(clips, self.features, targets)

    def _why_not(self, clip: str, bad: Mapping[Source, Mapping[int, str]]) -> str:
        for modality, rows in self.features.rows.items():
            row = rows.get(clip)
            if row is None:
                return f"it has no {modality} features"
            source = (row.path, row.dataset)
            if not 0 <= row.row < self.features.sources[modality][source]:
                return f"{row.path.name} has {self.features.sources[modality][source]} rows, so none for this clip"
            if reason := bad.get(source, {}).get(row.row):
                return f"its {modality} features ({row.path.name}, row {row.row}): {reason}"
        return ""


def _only(features: Features, modalities: Sequence[str] | None) -> Features:
    if modalities is None:
        return features
    for modality in modalities:
        if modality not in features.rows:
            raise ConfigError(f"There are no features {modality!r}.{did_you_mean(modality, features.rows)}")
    return Features({name: rows for name, rows in features.rows.items() if name in modalities})


def _seconds(clip: Clip, usual: float) -> float:
    return usual if clip.end is None else clip.end - clip.start
