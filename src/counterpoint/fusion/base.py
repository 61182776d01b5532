"""What every fusion shares: features checked and named, unimodal logits, and one way out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from counterpoint._features import ablate, check_dims, check_features
from counterpoint._moved import former_method
from counterpoint.errors import ConfigError
from counterpoint.fusion.output import FusionOutput
from counterpoint.fusion.superposition import Superposition
from counterpoint.heads import Head, Linear
from counterpoint.registry import Part, Registry, check_options

FUSED = "fused"  # what the head calls a feature in which all modalities are one


class Joined(NamedTuple):
    """What `Fusion.join` makes of its features.

    Attributes:
        logits: joint logits, ``(B, ..., C)``.
        fused: the fused representation before the head, ``(B, ..., D)``.
        weights: per modality its weight in `fused`; None where there are none.
        extras: what else is worth recording.
        unimodal: logits per modality, where the joint ones come apart into them; None: `Fusion` ablates the others.

    Example:
        >>> Joined(logits=torch.zeros(2, 3), fused=torch.zeros(2, 8)).weights is None
        True
    """

    logits: Tensor
    fused: Tensor
    weights: dict[str, Tensor] | None = None
    extras: dict[str, Tensor] = {}  # noqa: RUF012
    unimodal: dict[str, Tensor] | None = None


class Fusion(Part, nn.Module, ABC):
    """Features of M modalities in, one `FusionOutput` out.

    A fusion of one's own takes `dims` and `num_classes` first and its options by name, sets `head`, and overrides
    `join`, which gets checked features in declared order. Unless `join` says what each modality contributes, the
    unimodal logits are those that the fusion gives with every other modality's features at zero: without gradient, and
    without touching any state.

    Args:
        dims: per modality the width D_m of its features, in the order in which modalities are declared.
        num_classes: C, at least 1.
        minimum: how many modalities it takes at least.

    Attributes:
        wants: what the run is to hand in, as arguments of the constructor: ``seed``; and ``validation``, which goes to
            `calibrate` once the run is trained; see `counterpoint.wants`.

    Raises:
        ConfigError: too few modalities, a size below 1, or an unusable name.

    Example:
        >>> class Maximum(Fusion):
        ...     def __init__(self, dims, num_classes):
        ...         super().__init__(dims, num_classes)
        ...         self.head = Linear({"fused": max(dims.values())}, num_classes)
        ...
        ...     def join(self, features, *, update):
        ...         fused = torch.stack(list(features.values())).amax(0)
        ...         return Joined(self.head({"fused": fused})["fused"], fused)
        >>> output = Maximum({"audio": 8, "visual": 8}, 5)({"audio": torch.ones(2, 8), "visual": torch.zeros(2, 8)})
        >>> output.logits.shape, sorted(output.unimodal_logits)
        (torch.Size([2, 5]), ['audio', 'visual'])
    """

    wants: ClassVar[tuple[str, ...]] = ()
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

    if TYPE_CHECKING:

        @override
        def __call__(self, *features: Mapping[str, Tensor] | Tensor) -> FusionOutput: ...

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
        joined = self.join(named, update=self.training)
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
        return self.join(ablate(type(self).__name__, self._named((features,)), keep), update=False).logits

    silenced = former_method("Fusion", "silenced", "ablated")

    @abstractmethod
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        """Join checked features; overridden by every fusion.

        Args:
            features: per modality ``(B, ..., D_m)``, in declared order.
            update: whether the batch may change state, such as a running statistic: true for a training batch, false
                in evaluation and where modalities are ablated.
        """

    def calibrate(self, logits: Mapping[str, Tensor], target: Tensor) -> None:
        """Fit what is fitted on validation clips after training; for fusions that want ``"validation"``.

        Args:
            logits: per modality its unimodal ones, ``(N, C)``.
            target: classes, ``(N,)``.
        """

    def _alone(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Logits per modality with the others ablated: one pass over M copies of the batch."""
        with torch.no_grad():
            each_alone = [ablate(type(self).__name__, features, kept) for kept in self.modalities]
            copies = {name: torch.cat([alone[name] for alone in each_alone]) for name in features}
            logits = self.join(copies, update=False).logits
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
        name: e.g. ``"concat"``; see `FUSIONS`.
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
