"""BMFN: audio-visual features generated forward and adjusted backward, then both directions in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from counterpoint.errors import ConfigError
from counterpoint.localise.attention import (
    VARIANTS,
    Attention,
    AttentionLayer,
    CrossAttention,
    ExpansionAttention,
    PairFusion,
    SelfAttention,
)
from counterpoint.localise.avfa import AVFA
from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser
from counterpoint.localise.dropout import Dropout
from counterpoint.localise.guided import ChannelSpatialAttention
from counterpoint.localise.heads import EventHead
from counterpoint.localise.output import LocaliserOutput
from counterpoint.registry import check_choice

# Which features each fusion module joins: BMFN, and its ablation BMFN* (Table 2).
PAIRINGS = {
    "bidirectional": (("forward_visual", "backward_visual"), ("forward_audio", "backward_audio")),
    "directional": (("forward_visual", "forward_audio"), ("backward_audio", "backward_visual")),
}
JOINTS = ("mean", "add", "multiply", "concat")


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
        supervision: ``"fully"`` or ``"weakly"``.
        loss: see `Localiser`.
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

    Raises:
        ConfigError: an option outside its range, or a joint of one feature.
    """

    losses: ClassVar[Mapping[str, str]] = {"fully": "event_and_class", "weakly": "video_binary"}

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        supervision: str = "fully",
        loss: str | None = None,
        variant: str = "paper",
        pairing: str = "bidirectional",
        without: str | None = None,
        joint: str = "mean",
        width: int = 256,
        heads: int = 4,
        ffn: int = 2048,
        layers: int | None = None,
        factors: int = 5,
        dropout: float = 0.1,
        fold: bool | None = None,
    ) -> None:
        check_choice("variant", variant, VARIANTS)
        released = variant == "released"
        if loss is None and released and supervision == "weakly":
            loss = "video_soft_margin"
        super().__init__(dims, num_classes, supervision=supervision, loss=loss)
        check_choice("pairing", pairing, PAIRINGS)
        check_choice("without", without or "nothing", ("nothing", "fbfm1", "fbfm2"))
        check_choice("joint", joint, JOINTS)
        if without is not None and joint != "mean":
            raise ConfigError(f"joint={joint!r} joins F_1 and F_2, but without={without!r} leaves one of them")
        depth = layers or (2 if released else 1)
        visual, audio = dims[VISUAL], dims[AUDIO]
        self.joint = joint
        self.pairs = {f"fbfm{n}": pair for n, pair in enumerate(PAIRINGS[pairing], 1) if f"fbfm{n}" != without}
        needed = {name for pair in self.pairs.values() for name in pair}

        def normal(hidden: int = ffn) -> AttentionLayer:
            return AttentionLayer(Attention(width, heads, dropout), width, hidden, dropout, variant=variant)

        def expanded() -> AttentionLayer:
            attention = ExpansionAttention(width, heads, dropout, variant=variant)
            return AttentionLayer(attention, width, ffn, dropout, variant=variant)

        def block(inputs: int) -> SelfAttention:
            return SelfAttention(inputs, width, [expanded() for _ in range(depth)] + [normal() for _ in range(depth)])

        self.embed: nn.Module = nn.Identity()
        if released:
            self.embed = nn.Sequential(nn.Linear(visual, visual), nn.ReLU(), Dropout(0.2))
        self.avfa = AVFA(visual, audio, width, factors=factors, dropout=dropout, variant=variant, fold=fold)
        self.visual_attention: ChannelSpatialAttention | None = None
        if needed & {"forward_visual", "backward_visual"}:
            self.visual_attention = ChannelSpatialAttention(visual, width, variant=variant)
        queries = dict.fromkeys(("forward_visual", "backward_visual", "backward_audio"), visual)
        queries["forward_audio"] = audio
        memories = {"backward_visual": ("visual", visual), "backward_audio": ("audio", audio)}
        own = [memories.get(name, ("fused", visual)) for name in queries if name in needed]
        self.self_attention = nn.ModuleDict({name: block(inputs) for name, inputs in dict(own).items()})
        self.attention = nn.ModuleDict(
            {name: CrossAttention(inputs, width, normal()) for name, inputs in queries.items() if name in needed}
        )
        self.fbfm = nn.ModuleDict({name: PairFusion(normal(0 if released else ffn)) for name in self.pairs})
        self.head = EventHead(
            2 * width if joint == "concat" else width,
            num_classes,
            background_logit=released and supervision == "weakly",
        )

    def _locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
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
        output: LocaliserOutput = self.head(self._joined(streams))
        return replace(output, extras=extras)

    def _joined(self, streams: list[Tensor]) -> Tensor:
        if len(streams) == 1:
            return streams[0]
        if self.joint == "concat":
            return torch.cat(streams, -1)
        if self.joint == "multiply":
            return streams[0] * streams[1]
        total = streams[0] + streams[1]
        return total if self.joint == "add" else 0.5 * total

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
