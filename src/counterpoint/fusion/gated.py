"""Gated fusion: OGM-GE's gate, MMCosine's two-stream form, and the gated multimodal unit (GMU)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint.errors import ConfigError
from counterpoint.functional import superpose
from counterpoint.fusion.base import FUSIONS, Joined
from counterpoint.fusion.major import MajorFusion
from counterpoint.fusion.superposition import Superposed, Superposition, SuperpositionOptions
from counterpoint.heads import create_head


@FUSIONS.register("gated")
class Gated(MajorFusion):
    """Modalities are projected to one width, and one lets the other through.

    ``form="gate"`` (OGM-GE): U = sigmoid(P_other x_other) ⊙ P_major x_major. ``two_stream=True`` (MMCosine): every
    modality is major in a stream of its own, the head has a block for each, and the joint logits are their sum;
    `fused` and `weights` are concatenated over streams. For M > 2 the others' projections are added before the
    sigmoid. No paper superposes here; with `zeta` or `attention` the streams of Eq. (4) of SimAM² are taken in
    analogy to its Eq. (10), the gated term and the gate's projection: ``zeta sigmoid(P_o x_o) ⊙ P_m x_m + (1 - zeta)
    P_o x_o``.

    ``form="gmu"``: U = z ⊙ tanh(P_1 x_1) + (1 - z) ⊙ tanh(P_2 x_2), which is Eq. (4) with zeta = z. Without `zeta`, z
    is the unit's own gate, sigmoid(W [x_1; x_2]); for M > 2 a softmax over modalities instead, so that weights sum to
    one.

    Unimodal logits come from ablation, except for ``form="gmu"`` with a number for `zeta`, no attention and a linear
    head, where the terms of U come apart.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        head: registered head.
        head_options: its keyword options.
        form: ``"gate"`` or ``"gmu"``.
        major: which modality is let through; None for the last (OGM-GE lets audio gate visual features). Without
            effect on ``two_stream`` and on ``form="gmu"``.
        two_stream: whether every modality is gated in turn; only for ``form="gate"``.
        size: width of the projections; None for that of the widest modality.
        superposition: see `SuperpositionOptions`; without, the bare form. The streams are the gated term and the gate's
            projection, or for ``form="gmu"`` the modalities' projections.

    Raises:
        ConfigError: an option outside its range.
        UnknownNameError: `major` is no modality.

    Example:
        >>> fusion = Gated({"audio": 4, "visual": 6}, num_classes=3, form="gmu", size=8)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).weights.keys()
        dict_keys(['audio', 'visual'])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        head: str = "linear",
        head_options: Mapping[str, Any] | None = None,
        form: Literal["gate", "gmu"] = "gate",
        major: str | None = None,
        two_stream: bool = False,
        size: int | None = None,
        **superposition: Unpack[SuperpositionOptions],
    ) -> None:
        super().__init__(dims, num_classes, major=major, two_stream=two_stream)
        if form == "gmu" and two_stream:
            raise ConfigError("two_stream=True needs form='gate'; form='gmu' treats all modalities alike already")
        if size is not None and size < 1:
            raise ConfigError(f"size must be 1 or more, got {size}")
        self.form = form
        width = size or max(dims.values())
        self.project = nn.ModuleDict({m: nn.Linear(d, width) for m, d in dims.items()})
        if form == "gmu" and superposition.get("zeta") is None:
            superposition |= {"zeta": "learned", "gate_hidden": None}
        streams = len(dims) if form == "gmu" else 2
        self.superposition = nn.ModuleDict(
            {m: Superposition(streams, width, sum(dims.values()), **superposition) for m in self.majors}
        )
        self.head = create_head(head, self._head_dims(dict.fromkeys(dims, width)), num_classes, **(head_options or {}))

    @override
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        context = list(features.values())
        projected: dict[str, Tensor] = {m: self.project[m](x) for m, x in features.items()}
        if self.form == "gmu":
            streams = {m: torch.tanh(x) for m, x in projected.items()}
            return self._classify_sum(streams, self._of(self.major), context, update=update)
        joined = {}
        for major in self.majors:
            others = [projected[other] for other in self._others(major)]
            gate = superpose(others, [1.0] * len(others)) if len(others) > 1 else others[0]
            gated = torch.sigmoid(gate) * projected[major]
            superposition = self._of(major)
            bare = superposition.plain
            joined[major] = (
                Superposed(gated, None, {}) if bare else superposition([gated, gate], context, update=update)
            )
        return self._classify_streams(joined)

    def _of(self, major: str) -> Superposition:
        return cast(Superposition, self.superposition[major])

    def extra_repr(self) -> str:
        """Sizes and form, for ``print(model)``."""
        return f"{super().extra_repr()}, form={self.form!r}"
