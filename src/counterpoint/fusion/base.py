"""What every fusion shares: features checked and named, unimodal logits, and one way out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from counterpoint._moved import former_method
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.fusion.output import FusionOutput
from counterpoint.fusion.superposition import Superposition
from counterpoint.heads import Head, Linear, check_dims, check_features
from counterpoint.registry import Registry, check_options, did_you_mean

FUSED = "fused"  # what the head calls a feature in which all modalities are one


class Joined(NamedTuple):
    """What a fusion makes of its features: a FusionOutput whose unimodal logits may still be missing."""

    logits: Tensor
    fused: Tensor
    weights: dict[str, Tensor] | None
    extras: dict[str, Tensor]
    unimodal: dict[str, Tensor] | None = None


class Fusion(nn.Module, ABC):
    """Features of M modalities in, one `FusionOutput` out.

    Subclasses set `head` and say in `_join` how features become joint logits. Where these do not come apart
    into one term per modality, the unimodal logits are those that the fusion gives with every other modality's
    features at zero: without gradient, and without touching any state.

    Args:
        dims: per modality the width D_m of its features, in the order in which modalities are declared.
        num_classes: C, at least 1.
        minimum: how many modalities it takes at least.

    Raises:
        ConfigError: too few modalities, a size below 1, or an unusable name.
    """

    head: Head

    def __init__(self, dims: Mapping[str, int], num_classes: int, *, minimum: int = 2) -> None:
        super().__init__()
        name = type(self).__name__
        if len(dims) < minimum:
            raise ConfigError(f"{name} joins {minimum} modalities or more, got {', '.join(dims) or 'none'}")
        check_dims(name, dims, num_classes)
        if FUSED in dims:
            raise ConfigError(f"a modality cannot be called {FUSED!r}: {name} calls so what it makes of all of them")
        self.dims = dict(dims)
        self.modalities = tuple(dims)
        self.num_classes = num_classes

    def forward(self, *features: Mapping[str, Tensor] | Tensor) -> FusionOutput:
        """Fuse.

        Args:
            features: one mapping, or one tensor per modality in declared order; each ``(B, ..., D_m)`` with the same
                axes before the last.

        Raises:
            UnknownNameError: a modality is missing or was never declared.
            ShapeError: a tensor has another shape than declared.
        """
        named = self._named(features)
        joined = self._join(named, update=self.training)
        unimodal = self._alone(named) if joined.unimodal is None else joined.unimodal
        return FusionOutput(joined.logits, unimodal, joined.fused, joined.weights, joined.extras, named)

    def ablated(self, features: Mapping[str, Tensor], keep: str | Collection[str]) -> Tensor:
        """Joint logits with the features of every modality but `keep` at zero; no state is updated.

        Args:
            features: per modality a tensor, as for a call.
            keep: one modality or several.

        Returns:
            ``(B, ..., C)``, with gradient where gradients are on.

        Raises:
            UnknownNameError: `keep` names a modality that was not declared.
        """
        kept = {keep} if isinstance(keep, str) else set(keep)
        for name in sorted(kept):
            self._check_modality(name)
        named = self._named((features,))
        quiet = {name: x if name in kept else torch.zeros_like(x) for name, x in named.items()}
        return self._join(quiet, update=False).logits

    silenced = former_method("Fusion", "silenced", "ablated")

    @abstractmethod
    def _join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        """Joint logits of checked features; changes state only where `update` is true."""

    def _alone(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Logits per modality with the others ablated: one pass over M copies of the batch."""
        with torch.no_grad():
            copies = {
                name: torch.cat([x if name == kept else torch.zeros_like(x) for kept in self.modalities])
                for name, x in features.items()
            }
            logits = self._join(copies, update=False).logits
            # Not chunk(): that rounds, which torch.export cannot follow for a batch of any size.
            each = logits.reshape(len(self.modalities), *next(iter(features.values())).shape[:-1], self.num_classes)
            return dict(zip(self.modalities, each.unbind(), strict=True))

    def _named(self, features: Sequence[Mapping[str, Tensor] | Tensor]) -> dict[str, Tensor]:
        if len(features) == 1 and isinstance(features[0], Mapping):
            return check_features(type(self).__name__, features[0], self.dims)
        tensors = [x for x in features if isinstance(x, Tensor)]
        if len(tensors) != len(features) or len(tensors) != len(self.modalities):
            raise ConfigError(
                f"{type(self).__name__} takes one mapping, or {len(self.modalities)} tensors in the order "
                f"{', '.join(self.modalities)}; got {len(features)} arguments"
            )
        return check_features(type(self).__name__, dict(zip(self.modalities, tensors, strict=True)), self.dims)

    def _check_modality(self, name: str) -> None:
        if name not in self.dims:
            known = did_you_mean(name, self.dims)
            raise UnknownNameError(f"{type(self).__name__} has no modality {name!r}.{known}")

    def _classify_sum(
        self, streams: Mapping[str, Tensor], superposition: Superposition, context: Sequence[Tensor], *, update: bool
    ) -> Joined:
        """Superpose one stream per modality and classify the sum."""
        parts = list(streams.values())
        fused, weights, extras = superposition(parts, context, update=update)
        named = None if weights is None else dict(zip(streams, weights, strict=True))
        if superposition.separable and isinstance(self.head, Linear):
            logits = dict(zip(streams, self.head.split(FUSED, superposition.terms(parts)), strict=True))
            return Joined(total(logits), fused, named, extras, logits)
        return Joined(self.head({FUSED: fused})[FUSED], fused, named, extras)

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"dims={self.dims}, num_classes={self.num_classes}"


def total(logits: Mapping[str, Tensor]) -> Tensor:
    """The joint logits: the sum of the modalities'."""
    first, *rest = logits.values()
    for one in rest:
        first = first + one
    return first


FUSIONS: Registry[type[Fusion]] = Registry("fusion", classes_of=Fusion)


def create_fusion(name: str, dims: Mapping[str, int], num_classes: int, **options: Any) -> Fusion:
    """The registered fusion of that name.

    Args:
        name: ``"sum"``, ``"concat"``, ``"film"``, ``"gated"``, or what else is registered.
        dims: per modality the width of its features.
        num_classes: C.
        options: the fusion's own keyword arguments.

    Raises:
        UnknownNameError: no such fusion.
        ConfigError: an option that the fusion does not take, or one outside its range.
    """
    fusion = FUSIONS.get(name)
    check_options(f"Fusion {name!r}", fusion, options, given=2)
    return fusion(dims, num_classes, **options)
