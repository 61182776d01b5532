"""AVT: a Transformer over what is seen within a segment, over segments, and heard."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint.localise.attention import Attention, AttentionLayer
from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser, LocaliserOptions
from counterpoint.localise.heads import SegmentHead
from counterpoint.localise.output import LocaliserOutput


@LOCALISERS.register("avt")
class AVT(Localiser):
    """The audio-visual Transformer with instance attention (Lin and Wang 2020), rebuilt: there is no public code.

    Sure, from its abstract: co-attention over three things, what is seen within a frame, what is seen over frames, and
    what is heard; and attention to the regions of the picture that sound. Likely: multi-head attention throughout.
    Guessed: that the sound asks the positions of its own segment (the instances), that the three are tokens of one
    Transformer, marked by a learned vector each and by no position in time, the number of layers and the widths, that a
    segment's three tokens are concatenated, and the head, which is AVEL's.

    Args:
        dims: ``{"visual": D_v, "audio": D_a}``.
        num_classes: C.
        width: of all attention.
        heads: of it.
        ffn: width of the feed forward networks.
        layers: of co-attention.
        dropout: of the attention.
        training: see `LocaliserOptions`.

    Example:
        >>> localiser = AVT({"visual": 8, "audio": 4}, num_classes=3, width=32)
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
        ffn: int = 1024,
        layers: int = 2,
        dropout: float = 0.1,
        **training: Unpack[LocaliserOptions],
    ) -> None:
        super().__init__(dims, num_classes, **training)

        def layer() -> AttentionLayer:
            return AttentionLayer(Attention(width, heads, dropout), width, ffn, dropout)

        self.embed = nn.ModuleDict({name: nn.Linear(inputs, width) for name, inputs in dims.items()})
        self.instance = layer()
        self.over_time = layer()
        self.kind = nn.Parameter(0.02 * torch.randn(3, 1, width))
        self.joint = nn.ModuleList([layer() for _ in range(layers)])
        self.head = SegmentHead(3 * width, num_classes, supervision=self.supervision)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        audio, maps = self.embed[AUDIO](features[AUDIO]), self.embed[VISUAL](features[VISUAL])
        clips = audio.shape[:2]
        seen = self.instance(audio.flatten(0, 1).unsqueeze(1), maps.flatten(0, 1)).squeeze(1).unflatten(0, clips)
        kinds = torch.stack([seen, self.over_time(maps.mean(-2)), audio], 1) + self.kind
        tokens = kinds.flatten(1, 2)
        for layer in self.joint:
            tokens = layer(tokens)
        joint = torch.unflatten(tokens, 1, (3, -1)).transpose(1, 2).flatten(2)
        return self.head(joint)

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """Each modality's linear layer, and the picture's attention over time."""
        own = {AUDIO: nn.ModuleList([self.embed[AUDIO]]), VISUAL: nn.ModuleList([self.embed[VISUAL], self.over_time])}
        return {name: own[name] for name in self.modalities}
