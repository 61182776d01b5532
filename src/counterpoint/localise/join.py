"""Late fusion of two streams over segments, where SimAM² takes its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.fusion.superposition import Superposed, Superposition
from counterpoint.registry import check_choice


class LateJoin(nn.Module):
    """Two streams ``(B, T, D)`` side by side, or their mean; plainly, weighted by zeta, or attended to by SimAM².

    The mean is Eq. (4) of SimAM² with zeta 0.5; a concatenation is Eq. (4) of the streams padded with zeros, ``[x_1;
    0]`` and ``[0; x_2]`` (the paper's Sec. 2.2), and plain only without zeta and attention.

    Args:
        modalities: of the streams, in order; zeta is the first one's weight.
        width: D of each stream.
        how: ``"concat"`` or ``"mean"``.
        attention: None or ``"simam2"``, whose population is each segment's channels.
        attention_options: keyword options of `SimAM2`.
        zeta: None, a number in (0, 1), or ``"learned"``: a gate per segment and channel.
        gate_hidden: width of the hidden layer behind a learned zeta; None for a single linear layer.
    """

    def __init__(
        self,
        modalities: tuple[str, ...],
        width: int,
        *,
        how: str,
        attention: str | None = None,
        attention_options: Mapping[str, Any] | None = None,
        zeta: float | str | None = None,
        gate_hidden: int | None = 128,
    ) -> None:
        super().__init__()
        check_choice("how", how, ("concat", "mean"))
        self.modalities = modalities
        self.width = width
        self.concat = how == "concat"
        self.plain = attention is None and zeta is None
        self.out_features = len(modalities) * width if self.concat else width
        self.superposition = Superposition(
            len(modalities),
            self.out_features,
            len(modalities) * width,
            zeta=0.5 if self.plain and not self.concat else zeta,
            gate_hidden=gate_hidden,
            attention=attention,
            attention_options=attention_options,
        )

    def forward(self, streams: Mapping[str, Tensor], *, update: bool) -> Superposed:
        """The joint features, the weights (None where joined plainly), and what SimAM² leaves to be recorded.

        Args:
            streams: per modality ``(B, T, D)``.
            update: whether the batch enters SimAM²'s record.
        """
        parts = [streams[name] for name in self.modalities]
        if self.concat:
            if self.plain:
                return Superposed(torch.cat(parts, -1), None, {})
            rest = [(n * self.width, (len(parts) - 1 - n) * self.width) for n in range(len(parts))]
            joined = self.superposition([F.pad(x, r) for x, r in zip(parts, rest, strict=True)], parts, update=update)
        else:
            joined = self.superposition(parts, parts, update=update)
        result: Superposed = joined._replace(weights=None) if self.plain else joined
        return result

    @torch.no_grad()
    def alone(self, streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Per modality the joint features with the other streams at zero; nothing is recorded."""
        return {
            kept: self({m: x if m == kept else torch.zeros_like(x) for m, x in streams.items()}, update=False).fused
            for kept in self.modalities
        }
