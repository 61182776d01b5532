"""Features as a torch dataset: rows of HDF5 files, read in the order in which they lie."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint.data.cache.shard_dataset import RowDataset
from counterpoint.data.cache.shards import Array
from counterpoint.data.clip_table import Clip
from counterpoint.data.feature_rows import Features
from counterpoint.data.io.hdf5 import find_dataset, open_hdf5
from counterpoint.errors import DataError, quoted


class FeatureDataset(RowDataset):
    """The clips of one split.

    An item is ``{"audio": float32 (T, D_a), "visual": float32 (T, H, W, D_v), "target": int64 (T,),
    "index": int64 ()}`` with the modalities that there are; where a whole clip has one vector, ``{"audio": float32
    (D_a,), "visual": float32 (D_v,), "target": int64 (), "index": int64 ()}``. `index` is the clip's place in
    `clips`. Works with any number of loading processes: each opens the files for itself when it first reads.

    Args:
        clips: the clips, in order.
        features: where their rows are.
        targets: of each clip the class of each of its segments, ``(len(clips), T)``, or its own, ``(len(clips),)``.
        missing: values may be NaN, which the model fills in.

    Attributes:
        clips: as given.
        targets: int64 ``(len(clips), T)`` or ``(len(clips),)``.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        features: Features,
        targets: Sequence[Sequence[int]] | Sequence[int],
        *,
        missing: bool = False,
    ) -> None:
        self.clips = tuple(clips)
        self.modalities = features.modalities
        self._missing = missing
        self.targets = torch.tensor(targets, dtype=torch.int64)
        self._shapes = features.shapes
        self._sources = sorted({source for sources in features.sources.values() for source in sources})
        number = {source: k for k, source in enumerate(self._sources)}
        self._source: dict[str, Array] = {}
        self._row: dict[str, Array] = {}
        for modality, rows in features.rows.items():
            where = [rows[clip.id] for clip in self.clips]
            self._source[modality] = np.array([number[place.path, place.dataset] for place in where], dtype=np.int64)
            self._row[modality] = np.array([place.row for place in where], dtype=np.int64)
        self._open: dict[int, Any] = {}
        self._files: dict[Path, Any] = {}
        self._process = os.getpid()

    def _read_rows(self, chosen: Array) -> dict[str, Tensor]:
        items: dict[str, Tensor] = {}
        for modality in self.modalities:
            out = torch.empty((len(chosen), *self._shapes[modality]), dtype=torch.float32)
            into = out.numpy()
            # As they lie on disk.
            for k in np.lexsort((self._row[modality][chosen], self._source[modality][chosen])).tolist():
                self._read(modality, int(chosen[k]), into, k)
            # A sum is NaN or infinite where one of its terms is, and quicker than a look at each.
            if not bool(out.sum().isfinite()):
                bad, what = (out.isinf(), "infinite") if self._missing else (~out.isfinite(), "NaN or infinite")
                for k, found in enumerate(bad.flatten(1).any(1).tolist()):
                    if found:
                        raise self._refusal(modality, int(chosen[k]), f"has {what} values")
            items[modality] = out
        return items

    def _read(self, modality: str, index: int, into: Array, k: int) -> None:
        data = self._dataset(int(self._source[modality][index]))
        try:
            data.read_direct(into, np.s_[int(self._row[modality][index])], np.s_[k])
        except OSError as error:
            raise self._refusal(modality, index, f"is damaged ({error})") from None

    def _refusal(self, modality: str, index: int, what: str) -> DataError:
        path, name = self._sources[int(self._source[modality][index])]
        clip = quoted(self.clips[index].id)
        row = int(self._row[modality][index])
        return DataError(
            f"{path}, dataset {quoted(name)}: row {row}, the {modality} features of clip {clip}, {what}. "
            "`counterpoint prepare` reads every row once; clips with such rows are then skipped"
        )

    def _dataset(self, number: int) -> Any:
        if self._process != os.getpid():  # after a fork, what the parent has open must not be read from
            self._open, self._files, self._process = {}, {}, os.getpid()
        data = self._open.get(number)
        if data is None:
            path, name = self._sources[number]
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = open_hdf5(path)
            data = self._open[number] = find_dataset(file, path, name)
        return data

    def __getstate__(self) -> dict[str, Any]:
        """Without the open files: a process that receives the dataset opens them for itself."""
        return {**self.__dict__, "_open": {}, "_files": {}}
