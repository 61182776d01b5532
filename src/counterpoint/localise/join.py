"""Late fusion of two streams over segments, where SimAM² takes its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from counterpoint._features import ablate
from counterpoint.fusion.superposition import (
    Superposed,
    Superposition,
    SuperpositionOptions,
    is_plain,
    side_by_side,
)
from counterpoint.localise.output import LocaliserOutput
from counterpoint.registry import Part


class LateJoin(Part, nn.Module):
    """Two streams ``(B, T, D)`` side by side, or their mean; plainly, weighted by zeta, or attended to by SimAM².

    The mean is Eq. (4) of SimAM² with zeta 0.5; a concatenation is Eq. (4) of the streams padded with zeros, ``[x_1;
    0]`` and ``[0; x_2]`` (the paper's Sec. 2.2), and plain only without zeta and attention.

    Args:
        modalities: of the streams, in order; zeta is the first one's weight.
        width: D of each stream.
        how: ``"concat"`` or ``"mean"``.
        superposition: see `SuperpositionOptions`; attention's population is each segment's channels.
    """

    def __init__(
        self,
        modalities: tuple[str, ...],
        width: int,
        *,
        how: Literal["concat", "mean"],
        **superposition: Unpack[SuperpositionOptions],
    ) -> None:
        super().__init__()
        self.modalities = modalities
        self.concat = how == "concat"
        self.plain = is_plain(superposition)
        if self.plain and not self.concat:
            superposition["zeta"] = 0.5
        inputs = len(modalities) * width
        self.superposition = Superposition(len(modalities), inputs if self.concat else width, inputs, **superposition)

    def forward(self, streams: Mapping[str, Tensor], *, update: bool) -> Superposed:
        """The joint features, the weights (None where joined plainly), and what SimAM² leaves to be recorded.

        Args:
            streams: per modality ``(B, T, D)``.
            update: whether the batch enters SimAM²'s record.
        """
        parts = [streams[name] for name in self.modalities]
        if self.concat and self.plain:
            return Superposed(torch.cat(parts, -1), None, {})
        joined = self.superposition(side_by_side(parts) if self.concat else parts, parts, update=update)
        return joined._replace(weights=None) if self.plain else joined

    @torch.no_grad()
    def alone(self, streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Per modality the joint features with the other streams at zero; nothing is recorded."""
        return {m: self(ablate("late fusion", streams, m), update=False).fused for m in self.modalities}

    def classified(
        self,
        streams: Mapping[str, Tensor],
        classify: Callable[[Tensor], LocaliserOutput],
        trained: Callable[[LocaliserOutput], Tensor],
        *,
        update: bool,
    ) -> LocaliserOutput:
        """The output of the joint features, with what each modality answers alone.

        Args:
            streams: per modality ``(B, T, D)``.
            classify: joint features to an output.
            trained: picks the logits that a modality alone answers with.
            update: whether the batch enters SimAM²'s record.
        """
        fused, zetas, recorded = self(streams, update=update)
        with torch.no_grad():
            unimodal = {name: trained(classify(x)) for name, x in self.alone(streams).items()}
        weights = None if zetas is None else dict(zip(self.modalities, zetas, strict=True))
        return replace(classify(fused), unimodal_logits=unimodal, weights=weights, extras=recorded)
