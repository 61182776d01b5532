"""Late fusion: every modality is classified by a head of its own, and the answers are joined."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from typing_extensions import override

from counterpoint.fusion.base import Fusion, Joined
from counterpoint.heads import Separate


class Late(Fusion):
    """One head per modality, each with a bias of its own; subclasses say in `combine` how their logits join.

    Unimodal logits are those of the heads, with gradient: they say what a modality answers alone, and do not in
    general add up to the joint logits, which are the `fused` of the output as well.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        head: registered head; every modality gets one.
        head_options: its keyword options.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> class Highest(Late):
        ...     def combine(self, logits):
        ...         return torch.stack(list(logits.values())).amax(0)
        >>> fusion = Highest({"audio": 4, "visual": 6}, num_classes=3)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).logits.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        head: str = "linear",
        head_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(dims, num_classes)
        self.head = Separate(head, dims, num_classes, **(head_options or {}))

    @override
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        logits: dict[str, Tensor] = self.head(features)
        joint = self.combine(logits)
        return Joined(joint, joint, None, {}, logits)

    @abstractmethod
    def combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        """Joint logits ``(B, ..., C)`` of each modality's."""
