"""The one way out of every fusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch.export
from torch import Tensor


@dataclass(frozen=True)
class FusionOutput:
    """What a fusion makes of the features of M modalities.

    Attributes:
        logits: joint logits, ``(B, ..., C)``.
        unimodal_logits: per modality what it contributes alone, ``(B, ..., C)``; sums to `logits` where the fusion is
            decoupled exactly, is what a modality's own head answers in late fusion, and comes from ablating the other
            modalities (and carries no gradient) everywhere else.
        fused: the fused representation U before the head (for sums of logits, the logits themselves).
        weights: the superposition weights zeta of Eq. (4) of SimAM² per modality, broadcastable to `fused` and summing
            to one over modalities; None where the fusion has none.
        extras: what else is worth recording, e.g. ``"r"`` and ``"energy"`` of SimAM².
        features: per modality what was fused, ``(B, ..., D_m)``, for whoever has heads of its own on them.

    Example:
        >>> output = FusionOutput(torch.zeros(2, 3), {"audio": torch.zeros(2, 3)}, torch.zeros(2, 8))
        >>> output.logits.shape, output.weights
        (torch.Size([2, 3]), None)
    """

    logits: Tensor
    unimodal_logits: Mapping[str, Tensor]
    fused: Tensor
    weights: Mapping[str, Tensor] | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    features: Mapping[str, Tensor] | None = None

    def float(self) -> FusionOutput:
        """With all logits in float32, whatever the precision they were computed in."""
        unimodal = {name: logits.float() for name, logits in self.unimodal_logits.items()}
        return replace(self, logits=self.logits.float(), unimodal_logits=unimodal)


# torch.export takes only outputs that it knows how to take apart.
torch.export.register_dataclass(FusionOutput, serialized_type_name="counterpoint.FusionOutput")
