"""MMTM between feature vectors, as a fusion of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor
from typing_extensions import Unpack, override

from counterpoint.fusion.base import FUSIONS, total
from counterpoint.fusion.exchange import Exchange
from counterpoint.heads import HeadOptions
from counterpoint.intermediate import MMTM


@FUSIONS.register("mmtm")
class MMTMFusion(Exchange):
    """Features gated by `MMTM`, a head per modality, and the mean of their logits.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        ratio: see `MMTM`.
        variant: see `MMTM`.
        head: see `HeadOptions`.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> fusion = MMTMFusion({"audio": 4, "visual": 6}, num_classes=3, ratio=2.0)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).logits.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        ratio: float = 4.0,
        variant: Literal["paper", "released"] = "paper",
        **head: Unpack[HeadOptions],
    ) -> None:
        part = MMTM(dims, ratio=ratio, variant=variant)
        super().__init__(dims, num_classes, part, **head)

    @override
    def combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        return total(logits) / len(logits)
