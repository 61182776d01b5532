"""AVSDN: from sequence to sequence, in both modalities at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint.localise.base import AUDIO, LOCALISERS, VISUAL, Localiser, LocaliserOptions
from counterpoint.localise.heads import SegmentHead
from counterpoint.localise.output import LocaliserOutput


@LOCALISERS.register("avsdn")
class AVSDN(Localiser):
    """The audio-visual sequence-to-sequence dual network (Lin et al. 2019), rebuilt: there is no public code.

    Sure, from its abstract: sound and sight of every segment go in together, global and local information is learned
    from sequence to sequence, and both supervisions work. Likely: an LSTM per modality encodes the clip, what both end
    with is the global information, and decoders that start from it read the local states. Guessed: that positions are
    averaged (its table lists attention for AVEL alone), the widths, the linear layer and tanh that join both ends, the
    sum of the decoders, and the head, which is AVEL's.

    Args:
        dims: ``{"visual": D_v, "audio": D_a}``.
        num_classes: C.
        hidden: width of the recurrent networks.
        training: see `LocaliserOptions`.

    Example:
        >>> localiser = AVSDN({"visual": 8, "audio": 4}, num_classes=3)
        >>> localiser({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        hidden: int = 256,
        **training: Unpack[LocaliserOptions],
    ) -> None:
        super().__init__(dims, num_classes, **training)
        self.encode = nn.ModuleDict({name: nn.LSTM(width, hidden, batch_first=True) for name, width in dims.items()})
        self.decode = nn.ModuleDict({name: nn.LSTM(hidden, hidden, batch_first=True) for name in dims})
        self.start = nn.Linear(2 * 2 * hidden, 2 * hidden)
        self.head = SegmentHead(hidden, num_classes, supervision=self.supervision)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        pooled = {AUDIO: features[AUDIO], VISUAL: features[VISUAL].mean(-2)}
        states, ends = {}, []
        for name in (AUDIO, VISUAL):
            states[name], end = self.encode[name](pooled[name])
            ends += [*end]
        hidden, cell = torch.tanh(self.start(torch.cat(ends, -1))).chunk(2, -1)
        start = (hidden.contiguous(), cell.contiguous())
        decoded = [self.decode[name](states[name], start)[0] for name in (AUDIO, VISUAL)]
        return self.head(decoded[0] + decoded[1])

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """The encoding recurrent networks."""
        return {name: self.encode[name] for name in self.modalities}
