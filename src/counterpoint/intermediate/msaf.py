"""Multimodal split attention fusion: blocks of channels of all modalities compete for attention (MSAF, 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from counterpoint.errors import ConfigError
from counterpoint.intermediate.base import INTERMEDIATES, Intermediate, gate_like, squeeze
from counterpoint.intermediate.norm import BatchNorm


@INTERMEDIATES.register("msaf")
class MSAF(Intermediate):
    """MSAF: channels are split into blocks of one size; a softmax across all modalities' blocks weighs each channel.

    The means of all blocks are added up to one vector of `block_channels`, which a linear layer, a batch norm and a
    ReLU make into the joint vector z. A linear layer per block scores its channels from z; the weight of channel c in
    block i is ``softmax_i(score_ic)`` over the blocks of *all* modalities, so that weights are small where there are
    many blocks. A modality whose channels are no multiple of `block_channels` has a last block that is filled up with
    zeros.

    The batch norm sees one vector per sample; see `BatchNorm` on a batch of a single one.

    Args:
        channels: per modality the channels of its maps; M >= 2.
        block_channels: channels of a block, at least 1; None: half of the smallest modality's, which gives the 16 and
            32 of its code for RAVDESS.
        block_dropout: probability with which a block of a sample is left out while training, 0 to below 1; the others
            are scaled up by ``1 / (1 - block_dropout)``, once. (Its code scales what leaves the part twice.)
        reduction: z is ``block_channels / reduction`` wide.
        lowest: weights are mapped to ``lowest + (1 - lowest) weight``, 0 to 1.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> maps = {"audio": torch.ones(2, 4, 9), "visual": torch.ones(2, 8, 3, 7, 7)}
        >>> MSAF({"audio": 4, "visual": 8})(maps)["visual"].shape
        torch.Size([2, 8, 3, 7, 7])
    """

    default_layers: ClassVar[tuple[str, ...]] = ("mid", "late")

    def __init__(
        self,
        channels: Mapping[str, int],
        *,
        block_channels: int | None = None,
        block_dropout: float = 0.2,
        reduction: int = 4,
        lowest: float = 0.0,
    ) -> None:
        super().__init__(channels)
        size = max(1, min(channels.values()) // 2) if block_channels is None else block_channels
        if size < 1 or reduction < 1:
            raise ConfigError(f"MSAF: block_channels is {size} and reduction {reduction}; both must be at least 1")
        if not 0 <= block_dropout < 1 or not 0 <= lowest <= 1:
            raise ConfigError(
                f"MSAF: block_dropout is {block_dropout} and lowest {lowest}; they must lie in [0, 1) and [0, 1]"
            )
        self.block_channels, self.block_dropout, self.lowest = size, block_dropout, lowest
        self.blocks = {name: -(-c // size) for name, c in channels.items()}
        width = max(1, size // reduction)
        self.joint = nn.Linear(size, width)
        self.norm = BatchNorm(width)
        self.score = nn.ModuleDict({name: nn.Linear(width, n * size) for name, n in self.blocks.items()})

    @override
    def exchange(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        kept = {name: self._dropped(x, self.blocks[name]) for name, x in maps.items()}
        z = self._joint(kept)
        size = self.block_channels
        scores = torch.cat([self.score[name](z).reshape(-1, n, size) for name, n in self.blocks.items()], 1)
        weights = self.lowest + (1 - self.lowest) * scores.softmax(1)
        each = torch.split(weights, list(self.blocks.values()), 1)
        return {
            name: x * gate_like(w.flatten(1)[:, : x.shape[1]], x)
            for (name, x), w in zip(kept.items(), each, strict=True)
        }

    def _joint(self, maps: dict[str, Tensor]) -> Tensor:
        """z, ``(B, block_channels / reduction)``."""
        size, total = self.block_channels, None
        for name, x in maps.items():
            filled = F.pad(squeeze(x), (0, self.blocks[name] * size - x.shape[1]))
            mean = filled.reshape(-1, self.blocks[name], size).sum(1)
            total = mean if total is None else total + mean
        assert total is not None
        return torch.relu(self.norm(self.joint(total)))

    def _dropped(self, x: Tensor, blocks: int) -> Tensor:
        if not (self.training and self.block_dropout):
            return x
        mask = F.dropout(x.new_ones(x.shape[0], blocks), self.block_dropout)
        return x * gate_like(mask.repeat_interleave(self.block_channels, 1)[:, : x.shape[1]], x)

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{super().extra_repr()}, block_channels={self.block_channels}, block_dropout={self.block_dropout}"
