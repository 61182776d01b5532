"""Late fusion by the product of probabilities."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from typing_extensions import override

from counterpoint.fusion.base import FUSIONS, total
from counterpoint.fusion.late import Late


@FUSIONS.register("product")
class Product(Late):
    """Late fusion by multiplying probabilities: ``p ~ prod_m softmax(z_m)``; "Multiplication" of CFN-SR, Table 1.

    The joint logits are ``log p``, brought to probabilities that sum to one. As a softmax's normaliser is the same for
    all classes, that is the log-softmax of the sum of the modalities' logits.

    Example:
        >>> fusion = Product({"audio": 4, "visual": 6}, num_classes=3)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).logits.shape
        torch.Size([2, 3])
    """

    @override
    def combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        return total(logits).log_softmax(-1)
