"""MSAF between feature vectors, as a fusion of its own."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from typing_extensions import Unpack, override

from counterpoint.fusion.base import FUSIONS, total
from counterpoint.fusion.exchange import Exchange
from counterpoint.heads import HeadOptions
from counterpoint.intermediate import MSAF


@FUSIONS.register("msaf")
class MSAFFusion(Exchange):
    """Features weighed by `MSAF`, a head per modality, and the sum of their logits.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        block_channels: see `MSAF`.
        block_dropout: see `MSAF`.
        reduction: see `MSAF`.
        lowest: see `MSAF`.
        head: see `HeadOptions`.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> fusion = MSAFFusion({"audio": 4, "visual": 6}, num_classes=3, block_channels=2)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).logits.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        block_channels: int | None = None,
        block_dropout: float = 0.2,
        reduction: int = 4,
        lowest: float = 0.0,
        **head: Unpack[HeadOptions],
    ) -> None:
        part = MSAF(
            dims, block_channels=block_channels, block_dropout=block_dropout, reduction=reduction, lowest=lowest
        )
        super().__init__(dims, num_classes, part, **head)

    @override
    def combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        return total(logits)
