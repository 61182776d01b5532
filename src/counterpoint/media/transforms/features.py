"""Clips that are features already."""

from __future__ import annotations

from torch import Tensor

from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms.base import Transform
from counterpoint.media.transforms.registry import TRANSFORMS


@TRANSFORMS.register("features")
class Features(Transform):
    """Passes features on in float32, whatever precision they are stored in.

    Args:
        spec: shape of the clips; says nothing here.
        augment: features are never changed at random.
    """

    def __init__(self, spec: MediaSpec, *, augment: bool = False) -> None:
        super().__init__()
        del spec, augment

    def forward(self, features: Tensor) -> Tensor:
        """Any shape."""
        return features.float()
