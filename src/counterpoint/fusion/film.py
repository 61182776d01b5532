"""Feature-wise linear modulation: Eq. (9) of SimAM², Eq. (10) of SimAM², and MMCosine's symmetric form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint.fusion.base import FUSIONS, Joined
from counterpoint.fusion.major import MajorFusion
from counterpoint.fusion.superposition import Superposition, SuperpositionOptions
from counterpoint.heads import create_head


@FUSIONS.register("film")
class FiLM(MajorFusion):
    """One modality scaled and shifted, channel by channel, by what the others say: ``γ F + β``, Eq. (9) of SimAM².

    F are the features of the `major` modality; γ and β are a linear layer of the other's, for M > 2 of the others'
    concatenated. With `zeta` or `attention` it is Eq. (10), ``zeta γ F + (1 - zeta) β``, the two terms taken for the
    streams of Eq. (4) whatever M. `weights` then gives zeta to the major modality, and the others share 1 - zeta
    evenly.

    ``two_stream=True`` (MMCosine): every modality is major in a stream of its own; the head has a block for each, and
    the joint logits are their sum. `fused` and `weights` are concatenated over streams.

    Modalities do not come apart here: unimodal logits come from ablation.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        head: registered head.
        head_options: its keyword options.
        major: which modality is modulated; None for the last (OGM-GE lets audio modulate visual features). Without
            effect on ``two_stream``.
        two_stream: whether every modality is modulated.
        superposition: see `SuperpositionOptions`; the streams are γ F, whose weight zeta is, and β; None of them is
            Eq. (9).

    Raises:
        ConfigError: an option outside its range.
        UnknownNameError: `major` is no modality.

    Example:
        >>> fusion = FiLM({"audio": 4, "visual": 6}, num_classes=3, major="visual")
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).logits.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        head: str = "linear",
        head_options: Mapping[str, Any] | None = None,
        major: str | None = None,
        two_stream: bool = False,
        **superposition: Unpack[SuperpositionOptions],
    ) -> None:
        super().__init__(dims, num_classes, major=major, two_stream=two_stream)
        width = sum(dims.values())
        self.affine = nn.ModuleDict({m: nn.Linear(width - dims[m], 2 * dims[m]) for m in self.majors})
        self.superposition = nn.ModuleDict({m: Superposition(2, dims[m], width, **superposition) for m in self.majors})
        self.head = create_head(head, self._head_dims(dims), num_classes, **(head_options or {}))

    @override
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        context = list(features.values())
        streams = {}
        for major in self.majors:
            condition = torch.cat([features[other] for other in self._others(major)], -1)
            gamma, beta = self.affine[major](condition).chunk(2, -1)
            streams[major] = self.superposition[major]([gamma * features[major], beta], context, update=update)
        return self._classify_streams(streams)
