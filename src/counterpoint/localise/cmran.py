"""CMRAN: each modality's segments related to those of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint.localise.attention import Attention, AttentionLayer, CrossAttention, PairFusion, SelfAttention
from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser, LocaliserOptions
from counterpoint.localise.dropout import Dropout
from counterpoint.localise.guided import ChannelSpatialAttention
from counterpoint.localise.heads import EventHead
from counterpoint.localise.output import LocaliserOutput


@LOCALISERS.register("cmran")
class CMRAN(Localiser):
    """The cross-modal relation-aware network (Xu et al. 2020), from its public code: every choice is sure.

    The picture passes a linear layer, then audio-guided attention to channels and positions. Each modality asks the
    other's self-attended segments and its own at once, and their product asks both again.

    Args:
        dims: ``{"visual": D_v, "audio": D_a}``.
        num_classes: C.
        width: of all attention over segments.
        heads: of all attention but the last.
        pair_heads: of the last; None: 4, and 2 in weak supervision, as the code has it.
        ffn: width of the feed forward networks.
        layers: of self-attention.
        dropout: everywhere but on the maps, which have 0.2.
        training: see `LocaliserOptions`.

    Example:
        >>> localiser = CMRAN({"visual": 8, "audio": 4}, num_classes=3, width=32)
        >>> localiser({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    losses: ClassVar[Mapping[str, str]] = {"fully": "event_and_class", "weakly": "video_soft_margin"}

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        width: int = 256,
        heads: int = 4,
        pair_heads: int | None = None,
        ffn: int = 2048,
        layers: int = 2,
        dropout: float = 0.1,
        **training: Unpack[LocaliserOptions],
    ) -> None:
        super().__init__(dims, num_classes, **training)
        weakly = self.supervision == "weakly"
        visual, audio = dims[VISUAL], dims[AUDIO]

        def layer() -> AttentionLayer:
            return AttentionLayer(Attention(width, heads, dropout), width, ffn, dropout)

        self.embed = nn.Sequential(nn.Linear(visual, visual), nn.ReLU(), Dropout(0.2))
        self.visual_attention = ChannelSpatialAttention(visual, width, guide=audio, variant="released")
        self.self_attention = nn.ModuleDict(
            {name: SelfAttention(dims[name], width, [layer() for _ in range(layers)]) for name in self.modalities}
        )
        self.relation = nn.ModuleDict({name: CrossAttention(dims[name], width, layer()) for name in self.modalities})
        pair = Attention(width, pair_heads or (2 if weakly else 4), dropout)
        self.pair = PairFusion(AttentionLayer(pair, width, 0, dropout))
        self.head = EventHead(width, num_classes, background_logit=weakly)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        audio = features[AUDIO]
        visual, weights = self.visual_attention(self.embed(features[VISUAL]), audio)
        asked_by_audio = self.relation[AUDIO](audio, self.self_attention[VISUAL](visual))
        asked_by_visual = self.relation[VISUAL](visual, self.self_attention[AUDIO](audio))
        return replace(self.head(self.pair(asked_by_visual, asked_by_audio)), extras={"attention": weights.detach()})

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """Self-attention of each modality, and what only the picture passes through before it."""
        visual = [self.embed, self.visual_attention.visual_part(), self.self_attention[VISUAL]]
        own = {AUDIO: nn.ModuleList([self.self_attention[AUDIO]]), VISUAL: nn.ModuleList(visual)}
        return {name: own[name] for name in self.modalities}
