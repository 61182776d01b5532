"""In which order clips are seen: a function of seed and epoch alone, so that a resumed run sees the same."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class Batches(Sampler[list[int]]):
    """Batches of positions in a split.

    In training, clips are shuffled anew each epoch and spread evenly: sizes differ by one at most and never exceed
    `batch_size`, so that no batch of a single clip is left over for batch statistics to fail on. Otherwise clips
    come in order.

    Args:
        clips: number of clips in the split.
        batch_size: most clips of a batch, per process.
        train: shuffle and spread.
        seed: of the order.
        rank: of this process in a distributed run.
        processes: of the run; each takes every `processes`-th clip, and clips from the start are repeated until all
            have equally many.

    Attributes:
        epoch: whose order comes next.
    """

    def __init__(
        self, clips: int, batch_size: int, *, train: bool = False, seed: int = 0, rank: int = 0, processes: int = 1
    ) -> None:
        self.clips = clips
        self.batch_size = batch_size
        self.train = train
        self.seed = seed
        self.rank = rank
        self.processes = processes
        self.epoch = 0

    @property
    def _share(self) -> int:
        return -(-self.clips // self.processes)

    def __len__(self) -> int:
        return -(-self._share // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.arange(self.clips)
        if self.train:
            generator = torch.Generator().manual_seed(zlib.crc32(f"order/{self.seed}/{self.epoch}".encode()))
            order = torch.randperm(self.clips, generator=generator)
        padded = order.repeat(-(-self._share * self.processes // self.clips))[: self._share * self.processes]
        mine = padded[self.rank :: self.processes]
        parts = mine.tensor_split(len(self)) if self.train else torch.split(mine, self.batch_size)
        for part in parts:
            yield part.tolist()
