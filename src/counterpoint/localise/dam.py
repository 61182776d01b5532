"""DAM: the whole clip of one modality checked against each segment of the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack, override

from counterpoint.localise.attention import Attention, AttentionLayer
from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser, LocaliserOptions
from counterpoint.localise.guided import GuidedAttention, gather
from counterpoint.localise.output import LocaliserOutput, from_event_and_class


@LOCALISERS.register("dam")
class DAM(Localiser):
    """Dual attention matching (Wu et al. 2019), rebuilt: there is no public code.

    Sure, from its abstract and figure: self-attention over the event's segments makes a global feature of each
    modality; its dot product with every local feature of the *other* modality tells event from background (both
    directions count), and the clip's class comes from the global features. Likely: that the two checks are averaged,
    and that the losses are those of BMFN, which takes its way of prediction from here. Guessed: AVEL's spatial
    attention, the widths, one layer, and the choice of the event's segments: where the authors gather over segments
    known to be the event's, this weighs them by a learned relevance, in training as in testing.

    It is fully supervised alone, as in the table.

    Args:
        dims: ``{"visual": D_v, "audio": D_a}``.
        num_classes: C.
        width: of the local and global features.
        heads: of the self-attention.
        ffn: width of the feed forward networks.
        dropout: of the self-attention.
        training: see `LocaliserOptions`.

    Example:
        >>> localiser = DAM({"visual": 8, "audio": 4}, num_classes=3, width=32)
        >>> localiser({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    losses: ClassVar[Mapping[str, str]] = {"fully": "event_and_class"}

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        width: int = 256,
        heads: int = 4,
        ffn: int = 1024,
        dropout: float = 0.1,
        **training: Unpack[LocaliserOptions],
    ) -> None:
        super().__init__(dims, num_classes, **training)

        def layer() -> AttentionLayer:
            return AttentionLayer(Attention(width, heads, dropout), width, ffn, dropout)

        self.guide = GuidedAttention(dims[VISUAL], dims[AUDIO])
        self.embed = nn.ModuleDict({name: nn.Linear(inputs, width) for name, inputs in dims.items()})
        self.self_attention = nn.ModuleDict({name: layer() for name in dims})
        self.relevance = nn.ModuleDict({name: nn.Linear(width, 1) for name in dims})
        self.scale = 1 / math.sqrt(width)
        self.event_class = nn.Linear(2 * width, num_classes)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        visual, positions = self.guide(features[VISUAL], features[AUDIO])
        pooled = {AUDIO: features[AUDIO], VISUAL: visual}
        local = {name: F.relu(self.embed[name](x)) for name, x in pooled.items()}
        whole = {}
        for name, x in local.items():
            attended = self.self_attention[name](x)
            whole[name] = gather(self.relevance[name](attended).squeeze(-1).softmax(-1), attended)
        checks = [(whole[one].unsqueeze(1) * local[other]).sum(-1) for one, other in ((AUDIO, VISUAL), (VISUAL, AUDIO))]
        event = 0.5 * self.scale * (checks[0] + checks[1])
        output = from_event_and_class(event, self.event_class(torch.cat([whole[AUDIO], whole[VISUAL]], -1)))
        return replace(output, extras={"attention": positions.detach()})

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """Each modality's side of the spatial attention, its linear layer and its self-attention."""
        sides = {AUDIO: self.guide.audio, VISUAL: self.guide.visual_part()}
        parts = (self.embed, self.self_attention, self.relevance)
        return {name: nn.ModuleList([sides[name], *(part[name] for part in parts)]) for name in self.modalities}
