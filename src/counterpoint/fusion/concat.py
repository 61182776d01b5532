"""Concatenation, of one modality or more; Eqs. (1) and (2) of MMCosine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.errors import ConfigError
from counterpoint.fusion.base import FUSIONS, Fusion, Joined, total
from counterpoint.fusion.superposition import Superposition
from counterpoint.heads import create_head


@FUSIONS.register("concat")
class Concat(Fusion):
    """Concatenates the features and classifies them; with one modality, the unimodal baseline.

    SimAM² sees a concatenation as Eq. (4) of streams that are padded with zeros, X_1 = [x_1; 0] and X_2 = [0; x_2];
    their population is the concatenated vector. The head's blocks always tell the modalities' logits apart, so these
    are never silenced; and `weights` is None always, as the paper keeps the decoupled ratio for concatenation (Sec. 4).

    Args:
        dims: per modality the width of its features; M >= 1.
        num_classes: C.
        head: registered head.
        head_options: its keyword options.
        attention: None, or ``"simam2"``; needs M >= 2.
        attention_options: keyword options of :class:`SimAM2`.
        zeta: None concatenates plainly (with attention: equal weights); else the weights of the padded streams, a
            number or ``"learned"`` as in :class:`Sum`; needs M >= 2.
        gate_hidden: width of the hidden layer behind a learned zeta; None for a single linear layer.

    Raises:
        ConfigError: an option outside its range, or zeta or attention for one modality.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        head: str = "linear",
        head_options: Mapping[str, Any] | None = None,
        attention: str | None = None,
        attention_options: Mapping[str, Any] | None = None,
        zeta: float | str | None = None,
        gate_hidden: int | None = 128,
    ) -> None:
        super().__init__(dims, num_classes, minimum=1)
        if len(dims) == 1 and (attention is not None or zeta is not None):
            raise ConfigError(
                f"attention and zeta weigh modalities against each other, but {next(iter(dims))!r} is alone"
            )
        self.head = create_head(head, dims, num_classes, **(head_options or {}))
        width = sum(dims.values())
        self.superposition = Superposition(
            len(dims),
            width,
            width,
            zeta=zeta,
            gate_hidden=gate_hidden,
            attention=attention,
            attention_options=attention_options,
        )

    def _join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        extras: dict[str, Tensor] = {}
        parts = list(features.values())
        fused = torch.cat(parts, -1)
        if not self.superposition.plain:
            fused, _, extras = self.superposition(self._padded(parts), parts, update=update)
            parts = list(fused.split(list(self.dims.values()), -1))
        logits: dict[str, Tensor] = self.head(dict(zip(self.modalities, parts, strict=True)))
        return Joined(total(logits), fused, None, extras, logits)

    def _padded(self, parts: list[Tensor]) -> list[Tensor]:
        width = sum(self.dims.values())
        padded, before = [], 0
        for part in parts:
            size = part.shape[-1]
            padded.append(F.pad(part, (before, width - before - size)))
            before += size
        return padded
