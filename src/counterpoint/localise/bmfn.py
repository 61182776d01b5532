"""BMFN: audio-visual features generated forward and adjusted backward, then both directions in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint.errors import ConfigError
from counterpoint.localise.attention import (
    Attention,
    AttentionLayer,
    CrossAttention,
    ExpansionAttention,
    PairFusion,
    SelfAttention,
)
from counterpoint.localise.avfa import AVFA
from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser, LocaliserOptions
from counterpoint.localise.dropout import Dropout
from counterpoint.localise.guided import ChannelSpatialAttention
from counterpoint.localise.heads import EventHead
from counterpoint.localise.output import LocaliserOutput

# Which features each fusion module joins: BMFN, and its ablation BMFN* (Table 2).
PAIRINGS = {
    "bidirectional": (("forward_visual", "backward_visual"), ("forward_audio", "backward_audio")),
    "directional": (("forward_visual", "forward_audio"), ("backward_audio", "backward_visual")),
}


class _Layers(NamedTuple):
    """Makes the layers of attention, all of one size."""

    width: int
    heads: int
    ffn: int
    depth: int
    dropout: float
    variant: Literal["paper", "released"]

    def normal(self, ffn: int) -> AttentionLayer:
        attention = Attention(self.width, self.heads, self.dropout)
        return AttentionLayer(attention, self.width, ffn, self.dropout, variant=self.variant)

    def expanded(self) -> AttentionLayer:
        attention = ExpansionAttention(self.width, self.heads, self.dropout, variant=self.variant)
        return AttentionLayer(attention, self.width, self.ffn, self.dropout, variant=self.variant)

    def block(self, inputs: int) -> SelfAttention:
        """ESA layers, then as many NSA."""
        expanded = [self.expanded() for _ in range(self.depth)]
        return SelfAttention(inputs, self.width, expanded + [self.normal(self.ffn) for _ in range(self.depth)])


@LOCALISERS.register("bmfn")
class BMFN(Localiser):
    """The bi-directional modality fusion network, Eqs. (1) to (8) of BMFN (Liu et al.).

    ``variant="paper"`` is the equations as printed; ``"released"`` follows the public code, with one exception: its
    expansion attention is made of fresh random numbers in every pass, which is a fault; here it is learned in both
    variants. What the code does otherwise: a linear layer with ReLU and dropout 0.2 on the maps first; gates of one
    plus the sigmoid; a hidden layer before the positions' score; dropout before the sum pooling of Eq. (2); the usual
    residuals and the root of a head's width in attention; two expansion and two normal layers per block; no feed
    forward network in FBFM; for weak supervision a background class and joint scores of raw logits.

    Of what the paper leaves open, this takes from the code: linear layers have biases, each feature has a linear layer
    to d = 256 before attention, 4 heads, feed forward networks of 2048, dropout 0.1. The paper's weak loss is not given
    either: here it is the binary cross entropy of the pooled joint scores. How many layers make a block ("composed of
    an ESA and an NSA") is read as one each.

    Ablations of Table 2: BMFN* is ``pairing="directional"``; "w/o FBFM_1" is ``without="fbfm1"``, whose F is the other
    module's, and what only the missing one needed is not there; of Table 3: `joint`.

    Args:
        dims: ``{"visual": D_v, "audio": D_a}``.
        num_classes: C.
        variant: ``"paper"`` or ``"released"``.
        pairing: ``"bidirectional"``: FBFM_1 joins fa1 and ba1, FBFM_2 fa2 and ba2, Eq. (7); ``"directional"``: BMFN*,
            fa1 with fa2, ba2 with ba1.
        without: None, ``"fbfm1"`` or ``"fbfm2"``.
        joint: how F comes from F_1 and F_2: ``"mean"`` (the paper's), ``"add"``, ``"multiply"``, ``"concat"``.
        width: d.
        heads: n_h of every attention.
        ffn: width of the feed forward networks.
        layers: ESA layers per block, and as many NSA after them; None: 1 in the paper's variant, 2 in the released one.
        factors: p of Eq. (2).
        dropout: everywhere but on the maps.
        fold: see `PositionwiseMFB`.
        training: see `LocaliserOptions`.

    Raises:
        ConfigError: an option outside its range, or a joint of one feature.

    Example:
        >>> localiser = BMFN({"visual": 8, "audio": 4}, num_classes=3)
        >>> localiser({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    losses: ClassVar[Mapping[str, str]] = {"fully": "event_and_class", "weakly": "video_binary"}

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        variant: Literal["paper", "released"] = "paper",
        pairing: Literal["bidirectional", "directional"] = "bidirectional",
        without: Literal["fbfm1", "fbfm2"] | None = None,
        joint: Literal["mean", "add", "multiply", "concat"] = "mean",
        width: int = 256,
        heads: int = 4,
        ffn: int = 2048,
        layers: int | None = None,
        factors: int = 5,
        dropout: float = 0.1,
        fold: bool | None = None,
        **training: Unpack[LocaliserOptions],
    ) -> None:
        released = variant == "released"
        weakly = training.get("supervision") == "weakly"
        if released and weakly and training.get("loss") is None:
            training["loss"] = "video_soft_margin"
        super().__init__(dims, num_classes, **training)
        if without is not None and joint != "mean":
            raise ConfigError(f"joint={joint!r} joins F_1 and F_2, but without={without!r} leaves one of them")
        make = _Layers(width, heads, ffn, layers or (2 if released else 1), dropout, variant)
        visual, audio = dims[VISUAL], dims[AUDIO]
        self.joint = joint
        self.pairs = {f"fbfm{n}": pair for n, pair in enumerate(PAIRINGS[pairing], 1) if f"fbfm{n}" != without}
        needed = {name for pair in self.pairs.values() for name in pair}
        self.embed: nn.Module = nn.Identity()
        if released:
            self.embed = nn.Sequential(nn.Linear(visual, visual), nn.ReLU(), Dropout(0.2))
        self.avfa = AVFA(visual, audio, width, factors=factors, dropout=dropout, variant=variant, fold=fold)
        self.visual_attention: ChannelSpatialAttention | None = None
        if needed & {"forward_visual", "backward_visual"}:
            self.visual_attention = ChannelSpatialAttention(visual, width, variant=variant)
        queries = dict.fromkeys(("forward_visual", "backward_visual", "backward_audio"), visual)
        queries["forward_audio"] = audio
        queries = {name: inputs for name, inputs in queries.items() if name in needed}
        memories = {"backward_visual": ("visual", visual), "backward_audio": ("audio", audio)}
        attended = dict(memories.get(name, ("fused", visual)) for name in queries)
        self.self_attention = nn.ModuleDict({name: make.block(inputs) for name, inputs in attended.items()})
        self.attention = nn.ModuleDict(
            {name: CrossAttention(inputs, width, make.normal(ffn)) for name, inputs in queries.items()}
        )
        self.fbfm = nn.ModuleDict({name: PairFusion(make.normal(0 if released else ffn)) for name in self.pairs})
        features = 2 * width if joint == "concat" else width
        self.head = EventHead(features, num_classes, background_logit=released and weakly)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        audio, maps = features[AUDIO], self.embed(features[VISUAL])
        fused, fused_weights = self.avfa(maps, audio)
        extras = {"fusion_attention": fused_weights.detach()}
        sources = {"audio": audio, "fused": fused}
        if self.visual_attention is not None:
            sources["visual"], weights = self.visual_attention(maps)
            extras["attention"] = weights.detach()
        attended = {name: block(sources[name]) for name, block in self.self_attention.items()}
        directed = {}
        for name, attention in self.attention.items():
            direction, modality = name.split("_")
            query, memory = (modality, "fused") if direction == "forward" else ("fused", modality)
            directed[name] = attention(sources[query], attended[memory])
        streams = [self.fbfm[name](directed[one], directed[other]) for name, (one, other) in self.pairs.items()]
        return replace(self.head(self._joined(streams)), extras=extras)

    def _joined(self, streams: list[Tensor]) -> Tensor:
        if len(streams) == 1:
            return streams[0]
        if self.joint == "concat":
            return torch.cat(streams, -1)
        if self.joint == "multiply":
            return streams[0] * streams[1]
        total = streams[0] + streams[1]
        return total if self.joint == "add" else 0.5 * total

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """Self-attention of the sound; first layer, attention and self-attention of the picture.

        An ablation in which a modality has none of these leaves that modality out.
        """
        own: dict[str, list[nn.Module]] = {AUDIO: [], VISUAL: [self.embed]}
        if self.visual_attention is not None:
            own[VISUAL].append(self.visual_attention)
        for name in self.modalities:
            if name in self.self_attention:
                own[name].append(self.self_attention[name])
        made = {name: nn.ModuleList(own[name]) for name in self.modalities}
        return {name: module for name, module in made.items() if next(module.parameters(), None) is not None}
