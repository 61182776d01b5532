"""CMAN: where, when and which to attend to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack, override

from counterpoint.localise.attention import Attention
from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser, LocaliserOptions
from counterpoint.localise.guided import GuidedAttention
from counterpoint.localise.heads import SegmentHead
from counterpoint.localise.output import LocaliserOutput


class ContextAttention(nn.Module):
    """Self-attention in which every segment asks together with the whole clip.

    Args:
        width: D.
        heads: of the attention.
        dropout: of the attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.context = nn.Linear(width, width)
        self.attention = Attention(width, heads, dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, D)`` to the same."""
        gathered, _ = self.attention(x + self.context(x.mean(1, keepdim=True)), x)
        normalised: Tensor = self.norm(x + gathered)
        return normalised


class AdaptiveCoAttention(nn.Module):
    """What one modality finds in the other's segments, let in by a gate per segment and channel.

    Args:
        width: D.
        heads: of the attention.
        dropout: of the attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.gate = nn.Linear(2 * width, width)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """Two tensors ``(B, T, D)`` to one."""
        found, _ = self.attention(own, other)
        share = torch.sigmoid(self.gate(torch.cat([own, found], -1)))
        mixed: Tensor = torch.lerp(own, found, share)
        return mixed


@LOCALISERS.register("cman")
class CMAN(Localiser):
    """The cross-modal attention network (Xuan et al. 2020), rebuilt: there is no public code.

    Sure, from its abstract and figure: three modules choose where (spatial attention), when (self-attention aware of
    the global context) and which modality (adaptive co-attention) to attend to. Likely: that sound guides the spatial
    attention, which here is AVEL's. Guessed: how the context enters (added to the queries), the gate that adapts, the
    widths, and the head, which is AVEL's.

    Args:
        dims: ``{"visual": D_v, "audio": D_a}``.
        num_classes: C.
        width: of all attention over segments.
        heads: of it.
        dropout: of the attention weights.
        training: see `LocaliserOptions`.

    Example:
        >>> localiser = CMAN({"visual": 8, "audio": 4}, num_classes=3, width=32)
        >>> localiser({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        width: int = 256,
        heads: int = 4,
        dropout: float = 0.1,
        **training: Unpack[LocaliserOptions],
    ) -> None:
        super().__init__(dims, num_classes, **training)
        self.where = GuidedAttention(dims[VISUAL], dims[AUDIO])
        self.embed = nn.ModuleDict({name: nn.Linear(inputs, width) for name, inputs in dims.items()})
        self.when = nn.ModuleDict({name: ContextAttention(width, heads, dropout) for name in dims})
        self.which = nn.ModuleDict({name: AdaptiveCoAttention(width, heads, dropout) for name in dims})
        self.head = SegmentHead(2 * width, num_classes, supervision=self.supervision)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        visual, positions = self.where(features[VISUAL], features[AUDIO])
        pooled = {AUDIO: features[AUDIO], VISUAL: visual}
        own = {name: self.when[name](F.relu(self.embed[name](x))) for name, x in pooled.items()}
        joint = [self.which[AUDIO](own[AUDIO], own[VISUAL]), self.which[VISUAL](own[VISUAL], own[AUDIO])]
        return replace(self.head(torch.cat(joint, -1)), extras={"attention": positions.detach()})

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """Each modality's side of the spatial attention, its linear layer and its self-attention."""
        sides = {AUDIO: self.where.audio, VISUAL: self.where.visual_part()}
        return {name: nn.ModuleList([sides[name], self.embed[name], self.when[name]]) for name in self.modalities}
