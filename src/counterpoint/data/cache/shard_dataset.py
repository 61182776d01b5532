"""Prepared clips as a torch dataset: rows of memory-mapped shards, read in the order in which they lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from counterpoint.data.cache.shards import Array, Place, array_shapes, open_shard
from counterpoint.data.clip_table import Clip
from counterpoint.media.spec import MediaSpec

_DTYPES = {"audio": torch.int16, "visual": torch.uint8}


class Batch(list[dict[str, Tensor]]):
    """Items of a batch that lie side by side in memory already; see `collate`.

    Attributes:
        stacked: the same, with a first axis over the items.
    """

    def __init__(self, stacked: dict[str, Tensor]) -> None:
        self.stacked = stacked
        size = len(next(iter(stacked.values())))
        super().__init__({name: tensor[k] for name, tensor in stacked.items()} for k in range(size))


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """For ``DataLoader(collate_fn=...)``: a batch without a further copy where the dataset gave one."""
    if isinstance(items, Batch):
        return items.stacked
    joined: dict[str, Tensor] = default_collate(list(items))
    return joined


class RowDataset(Dataset[dict[str, Tensor]], ABC):
    """Clips whose content lies in rows of files, which are read side by side.

    Attributes:
        clips: in order.
        targets: int64 ``(len(clips),)``, or per segment ``(len(clips), T)``.
    """

    clips: tuple[Clip, ...]
    targets: Tensor

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One clip, copied out of its file; see `batch`."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return {name: tensor[0] for name, tensor in self.batch([index % len(self)]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Several clips at once; this is what a ``DataLoader`` calls."""
        return Batch(self.batch(indices))

    def batch(self, indices: Sequence[int] | Tensor | Array) -> dict[str, Tensor]:
        """Several clips side by side: as an item, with a first axis over `indices`.

        Raises:
            DataError: what a clip holds cannot be read; the message names it.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        items = self._read_rows(chosen)
        index = torch.from_numpy(chosen.copy())
        return {**items, "target": self.targets[index], "index": index}

    @abstractmethod
    def _read_rows(self, chosen: Array) -> dict[str, Tensor]:
        """Per modality what these clips hold, with a first axis over them."""


class ClipDataset(RowDataset):
    """The clips of one split.

    An item is ``{"audio": int16 (num_samples,), "visual": uint8 (T, H, W, C), "target": int64 (), "index": int64 ()}``
    with the modalities that were prepared; `index` is the clip's place in `clips`. Works with any number of
    loading processes; each maps the shards for itself, and all share the system's page cache.

    Args:
        clips: the clips, in order.
        places: where each one's row is, by clip id.
        spec: shape of the clips.
        modalities: what the items hold.
        targets: of each clip; None: its label.

    Attributes:
        clips: as given.
        targets: int64 ``(len(clips),)``, or per segment ``(len(clips), T)``.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        places: Mapping[str, Place],
        spec: MediaSpec,
        modalities: Sequence[str],
        targets: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.clips = tuple(clips)
        self.spec = spec
        self.modalities = tuple(modalities)
        known = [clip.label for clip in self.clips] if targets is None else targets
        self.targets = torch.tensor(known, dtype=torch.int64)
        where = [places[clip.id] for clip in self.clips]
        self._shards = sorted({place.shard for place in where})
        number = {shard: k for k, shard in enumerate(self._shards)}
        self._shard = np.array([number[place.shard] for place in where], dtype=np.int64)
        self._row = np.array([place.row for place in where], dtype=np.int64)
        self._open: dict[tuple[int, str], Array] = {}

    def _read_rows(self, chosen: Array) -> dict[str, Tensor]:
        shards, rows = self._shard[chosen], self._row[chosen]
        order = np.lexsort((rows, shards)).tolist()  # as they lie on disk
        shards, rows = shards.tolist(), rows.tolist()
        items: dict[str, Tensor] = {}
        shapes = array_shapes(self.spec)
        for modality in self.modalities:
            out = torch.empty((len(chosen), *shapes[modality][0]), dtype=_DTYPES[modality])
            into = out.numpy()
            for k in order:
                into[k] = self._rows(shards[k], modality)[rows[k]]
            items[modality] = out
        return items

    def _rows(self, shard: int, modality: str) -> Array:
        rows = self._open.get((shard, modality))
        if rows is None:
            rows = self._open[shard, modality] = open_shard(self._shards[shard], modality)
        return rows

    def __getstate__(self) -> dict[str, Any]:
        """Without the open shards: a process that receives the dataset maps them for itself."""
        return {**self.__dict__, "_open": {}}
