"""AVRB: sound and sight fused bilinearly with residuals, segments weighed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint.localise.avfa import PositionwiseMFB
from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser, LocaliserOptions
from counterpoint.localise.guided import gather
from counterpoint.localise.heads import SegmentHead
from counterpoint.localise.output import LocaliserOutput
from counterpoint.localise.recurrent import BiLSTM


@LOCALISERS.register("avrb")
class AVRB(Localiser):
    """ "See the sound, hear the pixels" (Ramaswamy and Das 2020), rebuilt: there is no public code.

    Sure, from its abstract: an audio-visual fusion block and a segment-wise attention block, the same for every
    supervision. Likely, from the name the table gives it: that the fusion is bilinear and residual. Guessed: that it is
    factorised (MFB, as in BMFN), that the positions to look at come from it, the sigmoid that weighs segments on top of
    the identity, the recurrent network after it, the widths, and the head, which is AVEL's.

    Args:
        dims: ``{"visual": D_v, "audio": D_a}``.
        num_classes: C.
        width: of the fused features.
        factors: p of the bilinear pooling.
        dropout: in it.
        hidden: width of the recurrent network, per direction.
        training: see `LocaliserOptions`.

    Example:
        >>> localiser = AVRB({"visual": 8, "audio": 4}, num_classes=3)
        >>> localiser({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        width: int = 256,
        factors: int = 5,
        dropout: float = 0.1,
        hidden: int = 128,
        **training: Unpack[LocaliserOptions],
    ) -> None:
        super().__init__(dims, num_classes, **training)
        visual, audio = dims[VISUAL], dims[AUDIO]
        self.matching = PositionwiseMFB(visual, audio, width, factors=factors, dropout=dropout)
        self.score = nn.Linear(width, 1)
        self.bilinear = PositionwiseMFB(visual, audio, width, factors=factors, dropout=dropout)
        self.residual = nn.ModuleDict({name: nn.Linear(inputs, width) for name, inputs in dims.items()})
        self.importance = nn.Linear(width, 1)
        self.recurrent = BiLSTM(width, hidden)
        self.head = SegmentHead(2 * hidden, num_classes, supervision=self.supervision)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        clips = features[AUDIO].shape[:2]
        maps, audio = features[VISUAL].flatten(0, 1), features[AUDIO].flatten(0, 1)
        positions = self.score(self.matching(maps, audio)).squeeze(-1).softmax(-1)
        visual = gather(positions, maps)
        fused = self.bilinear(visual.unsqueeze(-2), audio).squeeze(-2)
        fused = (fused + self.residual[VISUAL](visual) + self.residual[AUDIO](audio)).unflatten(0, clips)
        fused = fused * (1 + torch.sigmoid(self.importance(fused)))
        return replace(self.head(self.recurrent(fused)), extras={"attention": positions.detach().unflatten(0, clips)})

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """Each modality's projections for the bilinear poolings, and its residual."""
        return {
            name: nn.ModuleList([getattr(self.matching, name), getattr(self.bilinear, name), self.residual[name]])
            for name in self.modalities
        }
