"""PSP: features propagate between the audio-visual pairs of segments that match."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack, override

from counterpoint.fusion.superposition import SuperpositionOptions
from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser
from counterpoint.localise.dropout import Dropout
from counterpoint.localise.guided import GuidedAttention
from counterpoint.localise.heads import SegmentHead
from counterpoint.localise.join import LateJoin
from counterpoint.localise.output import LocaliserOutput, from_segments
from counterpoint.localise.recurrent import BiLSTM

EPS = 1e-8


class Propagation(nn.Module):
    """Positive sample propagation: all pairs of segments compared, weak ones cut off, the rest exchanged.

    Args:
        width: D of both modalities.
        threshold: how many times an even share, 1 / T, of a segment's similarity a pair must have not to be cut off.
        project: True: what is left sums to one again, and a linear layer, ReLU and dropout follow (full supervision);
            False: neither (weak supervision).
        dropout: of all branches.
    """

    def __init__(self, width: int, threshold: float, *, project: bool, dropout: float = 0.1) -> None:
        super().__init__()

        def linear() -> nn.Linear:
            layer = nn.Linear(width, width, bias=False)
            nn.init.xavier_uniform_(layer.weight)
            return layer

        self.first = nn.ModuleDict({name: linear() for name in (AUDIO, VISUAL)})
        self.second = nn.ModuleDict({name: linear() for name in (AUDIO, VISUAL)})
        self.out = nn.ModuleDict({name: linear() for name in (AUDIO, VISUAL)} if project else {})
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=1e-6)  # one for both modalities, as released
        self.threshold = threshold
        self.scale = 1 / math.sqrt(width)

    def forward(self, streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Per modality ``(B, T, D)`` to the same."""
        first = {name: self._active(self.first[name](x)) for name, x in streams.items()}
        second = {name: self._active(self.second[name](x)) for name, x in streams.items()}
        similarity = F.relu(second[VISUAL] * self.scale @ first[AUDIO].transpose(1, 2))
        gathered = {
            VISUAL: streams[VISUAL] + self._shares(similarity) @ second[AUDIO],
            AUDIO: streams[AUDIO] + self._shares(similarity.transpose(1, 2)) @ first[VISUAL],
        }
        return {name: self.norm(self._active(self.out[name](x)) if self.out else x) for name, x in gathered.items()}

    def _active(self, x: Tensor) -> Tensor:
        active: Tensor = self.dropout(F.relu(x))
        return active

    def _shares(self, similarity: Tensor) -> Tensor:
        shares = similarity / (similarity.sum(-1, keepdim=True) + EPS)
        shares = shares * (shares > self.threshold / shares.shape[-1])
        return shares / (shares.sum(-1, keepdim=True) + EPS) if self.out else shares


@LOCALISERS.register("psp")
class PSP(Localiser):
    """The positive sample propagation network (Zhou et al. 2021), from its public code but for `variant`.

    In weak supervision the code differs in more than the head: no linear layers on the sound, one on the picture, a
    lower threshold, no linear layers after propagation; each segment's scores are weighted by ``sigmoid(relu(w
    scores))`` and averaged over segments.

    SimAM² (its Table 2) takes the place of the mean of both modalities, its last fusion, which is Eq. (4) of
    SimAM² with zeta 0.5: ``attention="simam2"``, and ``zeta="learned"`` where gradients are modulated without
    decoupling. OGM-GE's supplement modulates only what lies before propagation; so do `encoders`.

    Args:
        dims: ``{"visual": D_v, "audio": D_a}``.
        num_classes: C.
        supervision: see `LocaliserOptions`.
        loss: see `LocaliserOptions`; full supervision adds the pair similarity loss, of weight 100.
        hidden: width of the recurrent networks, per direction.
        embed: width of the hidden layer (without activation) before them.
        inner: of `GuidedAttention`.
        variant: of the same: AVEL's formula, or what the code computes.
        threshold: of propagation, in even shares, 1 / T; None: 0.99, and 0.95 in weak supervision, which for the ten
            segments of AVE are the paper's 0.099 and 0.095. Those would cut off everything in clips of more segments.
        dropout: of propagation.
        superposition: see `SuperpositionOptions`; the streams are the modalities' segments, and a learned zeta is a
            gate per segment and channel.

    Example:
        >>> localiser = PSP({"visual": 8, "audio": 4}, num_classes=3)
        >>> localiser({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    decoupled: ClassVar[bool] = True
    losses: ClassVar[Mapping[str, str]] = {"fully": "segments_and_similarity", "weakly": "video_binary"}

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        supervision: Literal["fully", "weakly"] = "fully",
        loss: str | None = None,
        hidden: int = 128,
        embed: int = 256,
        inner: int = 49,
        variant: Literal["paper", "released"] = "paper",
        threshold: float | None = None,
        dropout: float = 0.1,
        **superposition: Unpack[SuperpositionOptions],
    ) -> None:
        super().__init__(dims, num_classes, supervision=supervision, loss=loss)
        fully = supervision == "fully"
        visual, audio = dims[VISUAL], dims[AUDIO]

        def embedding(inputs: int) -> nn.Module:
            return nn.Sequential(nn.Linear(inputs, embed, bias=False), nn.Linear(embed, hidden, bias=False))

        self.embed = nn.ModuleDict(
            {AUDIO: embedding(audio), VISUAL: embedding(visual)}
            if fully
            else {AUDIO: nn.Identity(), VISUAL: nn.Linear(visual, hidden)}
        )
        heard = hidden if fully else audio
        self.guide = GuidedAttention(visual, heard, inner=inner, variant=variant)
        self.recurrent = nn.ModuleDict({AUDIO: BiLSTM(heard, hidden), VISUAL: BiLSTM(hidden, hidden)})
        default = 0.99 if fully else 0.95
        self.propagation = Propagation(
            2 * hidden, default if threshold is None else threshold, project=fully, dropout=dropout
        )
        self.join = LateJoin(self.modalities, 2 * hidden, how="mean", **superposition)
        self.head = SegmentHead(2 * hidden, num_classes, bias=False, supervision=supervision)
        self.importance = None if fully else nn.Linear(num_classes + 1, 1, bias=False)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        audio = self.embed[AUDIO](features[AUDIO])
        visual, positions = self.guide(features[VISUAL], audio)
        states = {AUDIO: self.recurrent[AUDIO](audio), VISUAL: self.recurrent[VISUAL](self.embed[VISUAL](visual))}
        propagated = self.propagation(states)
        streams = {name: propagated[name] for name in self.modalities}
        output = self.join.classified(streams, self._classified, self._trained, update=self.training)
        similarity = F.cosine_similarity(streams[VISUAL], streams[AUDIO], -1)
        return replace(output, extras={"attention": positions.detach(), "similarity": similarity, **output.extras})

    def _classified(self, fused: Tensor) -> LocaliserOutput:
        logits = self.head.logits(fused)
        if self.importance is None:
            return from_segments(logits)
        logits = logits * torch.sigmoid(F.relu(self.importance(logits)))
        return from_segments(logits, logits.mean(1))

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """What lies before propagation: linear layers, sides of the attention, recurrent networks."""
        sides = {AUDIO: self.guide.audio, VISUAL: self.guide.visual_part()}
        return {name: nn.ModuleList([self.embed[name], sides[name], self.recurrent[name]]) for name in self.modalities}
