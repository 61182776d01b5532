"""AVIN: local and global information of two modalities that interact within and with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint.localise.attention import Attention, AttentionLayer
from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser, LocaliserOptions
from counterpoint.localise.guided import GuidedAttention
from counterpoint.localise.heads import SegmentHead
from counterpoint.localise.output import LocaliserOutput
from counterpoint.localise.recurrent import BiLSTM


@LOCALISERS.register("avin")
class AVIN(Localiser):
    """The audio-visual interacting network (Ramaswamy 2020), rebuilt: there is no public code.

    Sure, from its abstract and from how BMFN describes it: interactions between the modalities and within each, which
    use local and global information of both, and features concatenated at the end. Guessed: AVEL's spatial attention
    and recurrent networks before them, that interactions are attention, that the global information is the mean over
    segments, offered as one more segment to ask, and the head, which is AVEL's.

    Args:
        dims: ``{"visual": D_v, "audio": D_a}``.
        num_classes: C.
        hidden: width of the recurrent networks, per direction.
        heads: of all attention over segments.
        ffn: width of the feed forward networks.
        dropout: of the attention.
        training: see `LocaliserOptions`.

    Example:
        >>> localiser = AVIN({"visual": 8, "audio": 4}, num_classes=3)
        >>> localiser({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        hidden: int = 128,
        heads: int = 4,
        ffn: int = 512,
        dropout: float = 0.1,
        **training: Unpack[LocaliserOptions],
    ) -> None:
        super().__init__(dims, num_classes, **training)
        width = 2 * hidden

        def layer() -> AttentionLayer:
            return AttentionLayer(Attention(width, heads, dropout), width, ffn, dropout)

        self.guide = GuidedAttention(dims[VISUAL], dims[AUDIO])
        self.recurrent = nn.ModuleDict({name: BiLSTM(inputs, hidden) for name, inputs in dims.items()})
        self.within = nn.ModuleDict({name: layer() for name in dims})
        self.between = nn.ModuleDict({name: layer() for name in dims})
        self.head = SegmentHead(2 * width, num_classes, supervision=self.supervision)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        visual, positions = self.guide(features[VISUAL], features[AUDIO])
        pooled = {AUDIO: features[AUDIO], VISUAL: visual}
        own, asked = {}, {}
        for name, x in pooled.items():
            local = self.recurrent[name](x)
            own[name] = self.within[name](local, _with_whole(local))
            asked[name] = _with_whole(own[name])
        joint = [self.between[AUDIO](own[AUDIO], asked[VISUAL]), self.between[VISUAL](own[VISUAL], asked[AUDIO])]
        return replace(self.head(torch.cat(joint, -1)), extras={"attention": positions.detach()})

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """Each modality's side of the spatial attention, its recurrent network and its self-attention."""
        sides = {AUDIO: self.guide.audio, VISUAL: self.guide.visual_part()}
        return {name: nn.ModuleList([sides[name], self.recurrent[name], self.within[name]]) for name in self.modalities}


def _with_whole(x: Tensor) -> Tensor:
    """Segments ``(B, T, D)`` and their mean, ``(B, T + 1, D)``."""
    return torch.cat([x, x.mean(1, keepdim=True)], 1)
