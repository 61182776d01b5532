"""Late fusion in which a sure modality makes the others give way."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from typing_extensions import Unpack, override

from counterpoint.errors import ConfigError
from counterpoint.functional import multiplicative_scores
from counterpoint.fusion.base import FUSIONS
from counterpoint.fusion.late import Late
from counterpoint.heads import HeadOptions


@FUSIONS.register("multiplicative")
class Multiplicative(Late):
    """Late fusion in which a sure modality makes the others give way; "Multiplicative beta = 0.3" of CFN-SR, Table 1.

    By Liu et al. 2018: the joint logits are the scores of `functional.multiplicative_scores`, whose greatest is
    the prediction. The paper trains with the loss of the same name, ``"multiplicative"``, and the same `beta`.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C, at least 2.
        beta: how strongly a modality gives way to surer ones, at least 0.
        head: see `HeadOptions`.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> fusion = Multiplicative({"audio": 4, "visual": 6}, num_classes=3, beta=0.3)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).logits.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        beta: float = 0.3,
        **head: Unpack[HeadOptions],
    ) -> None:
        super().__init__(dims, num_classes, **head)
        if not beta >= 0:  # nor NaN
            raise ConfigError(f"beta must be 0 or more, got {beta}")
        if num_classes < 2:
            raise ConfigError("Multiplicative weighs a class against all others, and needs two or more")
        self.beta = beta

    @override
    def combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        return multiplicative_scores(list(logits.values()), self.beta)

    def extra_repr(self) -> str:
        """Sizes and beta, for ``print(model)``."""
        return f"{super().extra_repr()}, beta={self.beta}"
