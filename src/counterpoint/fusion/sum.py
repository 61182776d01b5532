"""Summation, of logits or of features; Sec. 2.2 of SimAM²."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor
from typing_extensions import Unpack, override

from counterpoint.errors import ConfigError
from counterpoint.fusion.base import FUSED, FUSIONS, Fusion, Joined
from counterpoint.fusion.superposition import Superposition, SuperpositionOptions
from counterpoint.heads import create_head


@FUSIONS.register("sum")
class Sum(Fusion):
    """Adds up the modalities: plainly as OGM-GE, or as Eq. (4) of SimAM².

    ``sum_at="logits"`` gives each modality its own block of the head and adds the logits (OGM-GE's summation, hence the
    one SimAM² starts from); ``sum_at="features"`` adds the features, which must be of one width, and classifies the
    sum.

    Unimodal logits are the terms of the joint logits where zeta does not depend on the sample and there is no attention
    (and, with ``sum_at="features"``, the head is linear); else they come from ablation.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        head: registered head.
        head_options: its keyword options; ``{"bias": "each"}`` gives each modality's logits a bias of their own, as
            OGM-GE's code has it, so that unimodal logits, and what follows from them, are as there.
        sum_at: ``"logits"`` or ``"features"``.
        superposition: see `SuperpositionOptions`; the streams are the modalities' logits or features, and the
            population of attention is their C logits or D channels.

    Raises:
        ConfigError: an option outside its range, or features of different widths that are to be added.

    Example:
        >>> fusion = Sum({"audio": 4, "visual": 6}, num_classes=3, attention="simam2", zeta="learned")
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).weights["audio"].shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        head: str = "linear",
        head_options: Mapping[str, Any] | None = None,
        sum_at: Literal["logits", "features"] = "logits",
        **superposition: Unpack[SuperpositionOptions],
    ) -> None:
        super().__init__(dims, num_classes)
        if sum_at == "features" and len(set(dims.values())) > 1:
            raise ConfigError(f"features of different widths cannot be added: {dict(dims)}; use sum_at='logits'")
        self.sum_at = sum_at
        width = next(iter(dims.values()))
        head_dims = dims if sum_at == "logits" else {FUSED: width}
        self.head = create_head(head, head_dims, num_classes, **(head_options or {}))
        self.superposition = Superposition(
            len(dims),
            num_classes if sum_at == "logits" else width,
            sum(dims.values()),
            **superposition,
        )

    @override
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        context = list(features.values())
        if self.sum_at == "features":
            return self._classify_sum(features, self.superposition, context, update=update)
        streams = list(self.head(features).values())
        fused, weights, extras = self.superposition(streams, context, update=update)
        named = None if weights is None else dict(zip(features, weights, strict=True))
        unimodal = None
        if self.superposition.separable:
            unimodal = dict(zip(features, self.superposition.terms(streams), strict=True))
        return Joined(fused, fused, named, extras, unimodal)

    def extra_repr(self) -> str:
        """Sizes and where it sums, for ``print(model)``."""
        return f"{super().extra_repr()}, sum_at={self.sum_at!r}"
