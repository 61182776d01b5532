"""Fusion and orthogonal projection (FOP): one embedding per modality, joined by two numbers or by a gate."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint._eval_mode import evaluating
from counterpoint._features import check_features, check_known
from counterpoint.errors import ConfigError
from counterpoint.functional import unit_rows
from counterpoint.fusion.base import FUSED, FUSIONS, Fusion, Joined
from counterpoint.fusion.superposition import AttentionOptions, Superposition
from counterpoint.heads import create_head
from counterpoint.intermediate.norm import BatchNorm


class Branch(nn.Module):
    """Features of one modality to an embedding of length one: Linear, BatchNorm, ReLU, Dropout, and the norm.

    Args:
        inputs: width of the features.
        width: of the embedding.
        dropout: 0 to below 1.
    """

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)
        self.norm = BatchNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, ..., inputs)`` to ``(B, ..., width)``."""
        y = self.linear(x)
        out: Tensor = unit_rows(self.dropout(torch.relu(self.norm(y.flatten(0, -2)))))
        return out.reshape(y.shape)


@FUSIONS.register("fop")
class FOP(Fusion):
    """FOP (Saeed et al. 2022), for the association of faces and voices; Table 3 of SimAM².

    Features, from files or from encoders, become embeddings of length one; these are fused and classified. Trained with
    the loss ``"orthogonal_projection"``. Pairs of a face and a voice are judged by the distance of their
    `embed`-dings.

    Args:
        dims: per modality the width of its features (FOP: 4096 of faces, 512 of voices); M >= 2.
        num_classes: C; FOP trains on 901 identities.
        head: registered head.
        head_options: its keyword options.
        fusion: ``"gated"``: U = g ⊙ tanh(e_1) + (1 - g) ⊙ tanh(e_2), Eq. (4) of SimAM² with zeta = g, a gate of both
            embeddings, for M > 2 a softmax; the published gate has a batch norm inside, which `ZetaGate` leaves
            out. ``"linear"``: U = w_1 e_1 + w_2 e_2 with two learned numbers that start between 0 and 1.
        width: of the embeddings.
        dropout: of the embeddings, 0 to below 1.
        attention: see `AttentionOptions`. ``"simam2"`` is "FOP + SimAM²" in Table 3 of SimAM², whose footnote says that
            zeta was learned before already: that is the gate, of the width `gate_hidden`. With ``fusion="linear"`` the
            weighted embeddings are the streams.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> fusion = FOP({"audio": 4, "visual": 6}, num_classes=3, width=8)
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
        fusion: Literal["gated", "linear"] = "gated",
        width: int = 128,
        dropout: float = 0.5,
        **attention: Unpack[AttentionOptions],
    ) -> None:
        super().__init__(dims, num_classes)
        if width < 1 or not 0 <= dropout < 1:
            raise ConfigError(f"FOP needs a width of 1 or more and a dropout in [0, 1), got {width} and {dropout}")
        self.fusion = fusion
        self.branch = nn.ModuleDict({m: Branch(d, width, dropout) for m, d in dims.items()})
        self.factor = nn.ParameterDict()
        if fusion == "linear":
            self.factor.update({m: nn.Parameter(torch.rand(())) for m in dims})
        self.superposition = Superposition(
            len(dims),
            width,
            len(dims) * width,
            zeta="learned" if fusion == "gated" else None,
            **attention,
        )
        self.head = create_head(head, {FUSED: width}, num_classes, **(head_options or {}))

    def embed(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What matching compares: per modality ``(B, ..., width)``, before it is weighed against the others.

        Args:
            features: as for a call; those of one modality may be given alone.

        Raises:
            UnknownNameError: a modality that was not declared.
            ShapeError: a tensor has another shape than declared.
        """
        for name, x in features.items():
            check_known(type(self).__name__, name, self.dims)
            check_features(type(self).__name__, {name: x}, {name: self.dims[name]})
        return {m: self._bounded(self.branch[m](x)) for m, x in features.items()}

    def _bounded(self, embedding: Tensor) -> Tensor:
        return torch.tanh(embedding) if self.fusion == "gated" else embedding

    @override
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        with nullcontext() if update else evaluating(self.branch):
            embeddings = {m: self.branch[m](x) for m, x in features.items()}
        streams = {m: self._bounded(e) for m, e in embeddings.items()}
        if self.fusion == "linear":
            streams = {m: self.factor[m] * stream for m, stream in streams.items()}
        return self._classify_sum(streams, self.superposition, list(embeddings.values()), update=update)

    def extra_repr(self) -> str:
        """Sizes and form, for ``print(model)``."""
        return f"{super().extra_repr()}, fusion={self.fusion!r}"
