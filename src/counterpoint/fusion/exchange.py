"""Features that act on each other before every modality is classified by itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

from torch import Tensor
from typing_extensions import Unpack, override

from counterpoint._eval_mode import evaluating
from counterpoint.fusion.base import Joined
from counterpoint.fusion.late import Late
from counterpoint.heads import HeadOptions
from counterpoint.intermediate import Intermediate


class Exchange(Late):
    """An intermediate fusion of feature vectors with a head per modality behind it; subclasses say how logits join.

    Unimodal logits are those of the heads, as in every late fusion; here a head sees features that others have gated.
    Features of segments, ``(B, T, D_m)``, act on each other within a segment.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        part: acts between vectors ``(N, D_m)``.
        head: see `HeadOptions`.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        part: Intermediate,
        **head: Unpack[HeadOptions],
    ) -> None:
        super().__init__(dims, num_classes, **head)
        self.part = part

    @override
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        vectors = {name: x.flatten(0, -2) for name, x in features.items()}
        with nullcontext() if update else evaluating(self.part):
            acted = self.part(vectors)
        return super().join({name: acted[name].reshape(x.shape) for name, x in features.items()}, update=update)
