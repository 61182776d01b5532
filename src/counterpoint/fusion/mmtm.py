"""MMTM between feature vectors, as a fusion of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from counterpoint.fusion.base import FUSIONS, total
from counterpoint.fusion.exchange import Exchange
from counterpoint.intermediate import MMTM


@FUSIONS.register("mmtm")
class MMTMFusion(Exchange):
    """Features gated by `MMTM`, a head per modality, and the mean of their logits.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        head: registered head; every modality gets one.
        head_options: its keyword options.
        ratio, variant: see `MMTM`.

    Raises:
        ConfigError: an option outside its range.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        head: str = "linear",
        head_options: Mapping[str, Any] | None = None,
        ratio: float = 4.0,
        variant: str = "paper",
    ) -> None:
        part = MMTM(dims, ratio=ratio, variant=variant)
        super().__init__(dims, num_classes, part, head=head, head_options=head_options)

    def _combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        return total(logits) / len(logits)
