"""Late fusion by the mean of probabilities, or of logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import Unpack, override

from counterpoint.fusion.base import FUSIONS, total
from counterpoint.fusion.late import Late
from counterpoint.heads import HeadOptions


@FUSIONS.register("average")
class Average(Late):
    """Late fusion by averaging probabilities: ``p = mean_m softmax(z_m)``; "Averaging" of CFN-SR, Table 1.

    The joint logits are ``log p``, computed as the logarithm of a sum of exponentials, so that no probability
    underflows. Where modalities are to be trained alone and only judged together, train with the loss ``"unimodal"``.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        of: ``"probabilities"``; or ``"logits"`` for ``mean_m z_m``, with which MMTM's code ends.
        head: see `HeadOptions`.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> fusion = Average({"audio": 4, "visual": 6}, num_classes=3)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).unimodal_logits["visual"].shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        of: Literal["probabilities", "logits"] = "probabilities",
        **head: Unpack[HeadOptions],
    ) -> None:
        super().__init__(dims, num_classes, **head)
        self.of = of

    @override
    def combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        if self.of == "logits":
            return total(logits) / len(logits)
        each = torch.stack([one.log_softmax(-1) for one in logits.values()])
        return each.logsumexp(0) - math.log(len(logits))

    def extra_repr(self) -> str:
        """Sizes and what is averaged, for ``print(model)``."""
        return f"{super().extra_repr()}, of={self.of!r}"
