"""A fusion of your own: of every feature, the larger of what the modalities say.

counterpoint train --import examples/own_fusion.py --fusion.name own_fusion:Largest --fusion.options.width 32
counterpoint evaluate runs/talkers-Largest-0 --trust-code
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.fusion import Fusion, Joined
from counterpoint.heads import create_head


class Largest(Fusion):
    """Brings every modality to one width and keeps, channel by channel, the largest value.

    The base class checks and names the features, and asks `join` for the joint logits. What each modality says alone it
    finds out by itself, with the others at zero.

    Args:
        dims: per modality the width D_m of its features.
        num_classes: C.
        width: D, of the fused features.
        head: registered head; a run hands in ``head.name`` and ``head.options``.
        head_options: its keyword options.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        width: int = 64,
        head: str = "linear",
        head_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(dims, num_classes)
        self.project = nn.ModuleDict({name: nn.Linear(d, width) for name, d in dims.items()})
        self.head = create_head(head, {"fused": width}, num_classes, **(head_options or {}))

    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        """``(B, D_m)`` per modality to logits ``(B, C)``; `update` is for fusions with running statistics."""
        fused = torch.stack([self.project[name](x) for name, x in features.items()]).amax(0)
        return Joined(logits=self.head({"fused": fused})["fused"], fused=fused)
