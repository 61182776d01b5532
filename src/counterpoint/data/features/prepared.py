"""Clips that are features already: rows of HDF5 files, read as they are needed and never the whole file at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from counterpoint.data.alterations import Alteration, of_skipped
from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.events import segment_classes
from counterpoint.data.feature_rows import Features
from counterpoint.data.features.validate import BadRow, Source, bad_rows
from counterpoint.data.io.paths import cache_root
from counterpoint.data.quality import check_max_bad, check_usable, usable_clips
from counterpoint.errors import ConfigError, DataError, quoted
from counterpoint.registry import check_choice, did_you_mean

if TYPE_CHECKING:
    from counterpoint.data.features.dataset import FeatureDataset
    from counterpoint.media.spec import MediaSpec

Impute = Literal["none", "mean"]


class PreparedFeatures:
    """A table of features, checked; what `PreparedClips` is for media.

    A clip without a row in some modality, or with a row that holds NaN or infinite values, is set aside with its
    reason; with ``impute="mean"`` NaN is left for the model to fill in. For that each dataset has to be read through
    once: those of at most `SMALL_BYTES` are, a larger one (AVE's visual features) only with ``check=True``, which
    ``counterpoint prepare`` sets. What was found is remembered in the cache until the file changes. Unchecked rows are
    looked at when a batch is read, and a bad one is then an error that names the clip.

    Args:
        table: with features and events.
        modalities: these alone; None: all that the table has.
        impute: ``"mean"``: rows in which some values are NaN are used, see `FeatureScaler`.
        max_bad: share of unusable clips, 0 to 1, above which the table is rejected; includes ``table.rejected``.
        check: read every row once, whatever the size of the files; False: none; None: small files.
        cache: folder where it is remembered; None: ``$COUNTERPOINT_CACHE`` or ``~/.cache/counterpoint``.
        progress: called with (rows read, rows to read) while rows are checked.

    Attributes:
        table: as given.
        spec: the table's; of it only the length of a clip counts.
        modalities: what the clips have.
        skipped: clip id -> why it is not used.
        imputed: clip id -> how many of its values are NaN, of the clips that are used.
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
        impute: Impute = "none",
        max_bad: float = 0.05,
        check: bool | None = None,
        cache: str | Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        check_max_bad(max_bad)
        check_choice("impute", impute, Impute)
        if table.features is None or (table.events is None and table.features.segments is not None):
            raise DataError(f"{table.name} is not a table of features with events")
        self.table = table
        self.features = _only(table.features, modalities)
        self.modalities = self.features.modalities
        self.segments = self.features.segments
        bad = bad_rows(self.features.sources, cache_root(cache) / "features", check, progress)
        self.impute = impute
        self.skipped = dict(table.rejected)
        self.imputed: dict[str, int] = {}
        for clip in table.clips:
            if clip.id in self.skipped:
                continue
            found = self._flaws(clip.id, bad)
            if why := [row.reason for row in found if not row.missing or impute == "none"]:
                self.skipped[clip.id] = why[0]
            elif found:
                self.imputed[clip.id] = sum(row.missing for row in found)
        self._usable = {clip.id for clip in table.clips} - self.skipped.keys()
        check_usable(table, self._usable, self.skipped, max_bad)

    @property
    def alterations(self) -> list[Alteration]:
        """What was filled in and skipped."""
        numbers = sum(math.prod(shape) for shape in self.features.shapes.values()) * len(self._usable)
        filled = Alteration(
            "with NaN, filled with the mean of the training clips",
            len(self.imputed),
            len(self._usable),
            sum(self.imputed.values()) / numbers,
            "data.impute",
            unit="numbers",
        )
        total = len({clip.id for clip in self.table.clips} | self.skipped.keys())
        return [*([filled] if self.imputed else []), *of_skipped(self.skipped, total)]

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
        from counterpoint.data.features.dataset import FeatureDataset

        clips, missing = self.clips(split), self.impute != "none"
        if self.segments is None:
            return FeatureDataset(clips, self.features, [clip.label for clip in clips], missing=missing)
        assert self.table.events is not None
        events = self.table.events
        each = [(events.get(clip.id, ()), _seconds(clip, self.spec.seconds)) for clip in clips]
        targets = [segment_classes(found, length, self.segments, self.table.background) for found, length in each]
        return FeatureDataset(clips, self.features, targets, missing=missing)

    def _flaws(self, clip: str, bad: Mapping[Source, Mapping[int, BadRow]]) -> list[BadRow]:
        """What is wrong with a clip, one for each modality in which something is."""
        found = []
        for modality, rows in self.features.rows.items():
            row = rows.get(clip)
            if row is None:
                found.append(BadRow(f"it has no {modality} features"))
                continue
            source = (row.path, row.dataset)
            if not 0 <= row.row < (count := self.features.sources[modality][source]):
                found.append(BadRow(f"{row.path.name} has {count} rows, so none for this clip"))
            elif (flaw := bad.get(source, {}).get(row.row)) is not None:
                where = f"its {modality} features ({row.path.name}, row {row.row})"
                found.append(BadRow(f"{where}: {flaw.reason}", flaw.missing))
        return found


def _only(features: Features, modalities: Sequence[str] | None) -> Features:
    if modalities is None:
        return features
    for modality in modalities:
        if modality not in features.rows:
            raise ConfigError(f"There are no features {quoted(modality)}.{did_you_mean(modality, features.rows)}")
    return replace(features, rows={name: rows for name, rows in features.rows.items() if name in modalities})


def _seconds(clip: Clip, usual: float) -> float:
    return usual if clip.end is None else clip.end - clip.start
