"""Features of M modalities to logits: linear, as everyone has it, and cosine, as MMCosine has it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint._typecheck import fits
from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.functional import cosine_logits, mmcosine_scale_bound
from counterpoint.registry import Registry, check_options, did_you_mean


def check_dims(owner: str, dims: Mapping[str, int], num_classes: int | None = None) -> None:
    """Raise a ConfigError for sizes other than 1, 2, ..., or a modality after which torch cannot name a module."""
    sizes = list(dims.values()) if isinstance(dims, Mapping) else []
    classes = [] if num_classes is None else [num_classes]
    if not sizes or not all(fits(size, int) and size >= 1 for size in sizes + classes):
        told = f" and {num_classes} classes" if classes else ""
        raise ConfigError(f"{owner} needs modalities with whole sizes of 1 or more, got {dims}{told}")
    modules, parameters = nn.ModuleDict(), nn.ParameterDict()
    for name in dims:
        if not isinstance(name, str) or not name or "." in name or hasattr(modules, name) or hasattr(parameters, name):
            raise ConfigError(
                f"a modality cannot be called {name!r}: a name is a word, has no dot, and is no attribute of torch's "
                "modules"
            )


def check_modalities(owner: str, given: Collection[str], declared: Collection[str]) -> None:
    """Raise an UnknownNameError unless exactly the declared modalities are given, in whatever order."""
    for name in given:
        if name not in declared:
            raise UnknownNameError(f"{owner} was not declared with a modality {name!r}.{did_you_mean(name, declared)}")
    missing = [name for name in declared if name not in given]
    if missing:
        raise UnknownNameError(
            f"{owner} needs the modality {missing[0]!r} too, but was given {', '.join(given) or 'none'}"
        )


def check_features(owner: str, features: Mapping[str, Tensor], dims: Mapping[str, int]) -> dict[str, Tensor]:
    """`features` in the order of `dims`, checked against it.

    Args:
        owner: who asks, for the message.
        features: per modality ``(B, ..., D_m)``; the axes before the last are the same for all.
        dims: per modality the D_m that is needed.

    Raises:
        UnknownNameError: a modality is missing, or one is there that was not declared.
        ShapeError: no tensor of floating point numbers, or one with another last axis than declared, or other leading
            axes than the first.
    """
    check_modalities(owner, features, dims)
    ordered = {name: features[name] for name in dims}
    first = next(iter(ordered))
    for name, tensor in ordered.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ShapeError(f"the feature {name!r} is of {kind}, but {owner} needs a tensor of floating point numbers")
        if tensor.ndim < 2 or tensor.shape[-1] != dims[name]:
            raise ShapeError(
                f"the feature {name!r} has shape {tuple(tensor.shape)}, but {owner} needs (B, ..., {dims[name]})"
            )
        if tensor.shape[:-1] != ordered[first].shape[:-1]:
            raise ShapeError(
                f"the feature {name!r} has shape {tuple(tensor.shape)}, but {first!r} has "
                f"{tuple(ordered[first].shape)}; {owner} needs the same axes before the last"
            )
    return ordered


class Head(nn.Module, ABC):
    """Features per modality in, logits per modality out; the joint logits are their sum.

    Args:
        dims: per modality the width D_m of its features; one modality or more.
        num_classes: C, at least 1.

    Raises:
        ConfigError: no modality, a size below 1, or an unusable name.
    """

    def __init__(self, dims: Mapping[str, int], num_classes: int) -> None:
        super().__init__()
        check_dims("a head", dims, num_classes)
        self.dims = dict(dims)
        self.num_classes = num_classes

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``(B, ..., D_m)`` per modality to ``(B, ..., C)`` per modality."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Per modality its ``(C, D_m)`` block of the weight: the parameters themselves."""

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"dims={self.dims}, num_classes={self.num_classes}"


class Blocks(Head):
    """A head with one weight over the concatenated features, kept in a block per modality.

    Args:
        dims: per modality the width D_m of its features.
        num_classes: C.
    """

    def __init__(self, dims: Mapping[str, int], num_classes: int) -> None:
        super().__init__(dims, num_classes)
        self.weight = nn.ParameterDict({name: nn.Parameter(torch.empty(num_classes, d)) for name, d in dims.items()})
        bound = 1 / math.sqrt(sum(dims.values()))  # as one linear layer over the concatenated features
        for weight in self.weight.values():
            nn.init.uniform_(weight, -bound, bound)

    def weights(self) -> dict[str, Tensor]:
        """Per modality its ``(C, D_m)`` block of the weight: the parameters themselves."""
        return {name: self.weight[name] for name in self.dims}


HEADS: Registry[type[Head]] = Registry("head", classes_of=Head)


@HEADS.register("linear")
class Linear(Blocks):
    """One linear layer over the concatenated features, kept in blocks: Eq. (2) of MMCosine, ``W^a φ^a + W^v φ^v + b``.

    With cross entropy this is the vanilla loss, Eq. (1) of MMCosine. By Eq. (5) of MMCosine the gradient that reaches
    one encoder is the error of the *joint* logits times that encoder's own block W^m: a modality whose block has grown
    large both silences the other through the first factor and learns faster through the second.

    The bias is shared out evenly, ``b / M`` in each modality's logits, as OGM-GE and MMCosine judge modalities.

    Args:
        dims: per modality the width D_m of its features.
        num_classes: C.
    """

    def __init__(self, dims: Mapping[str, int], num_classes: int) -> None:
        super().__init__(dims, num_classes)
        bound = 1 / math.sqrt(sum(dims.values()))
        self.bias = nn.Parameter(torch.empty(num_classes).uniform_(-bound, bound))

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits per modality, ``(B, ..., C)``."""
        features = check_features("the head", features, self.dims)
        share = self.bias / len(self.dims)
        return {name: F.linear(feature, self.weight[name], share) for name, feature in features.items()}

    def split(self, name: str, parts: Sequence[Tensor]) -> list[Tensor]:
        """What each of `parts` adds to the logits of the feature `name` that is their sum; the bias is shared out.

        Args:
            name: a modality of `dims`.
            parts: tensors ``(B, ..., D)``.
        """
        share = self.bias / (len(self.dims) * len(parts))
        return [F.linear(part, self.weight[name], share) for part in parts]


@HEADS.register("cosine")
class Cosine(Blocks):
    """MMCosine: features and weights of each modality are brought to length one, Eq. (3) of MMCosine; no bias.

    Args:
        dims: per modality the width D_m of its features.
        num_classes: C, at least 2.
        scale: the paper's s, above 0; None for the lower bound of Eq. (4) of MMCosine. The released code uses 10 for
            CREMA-D, its authors advise 50 for FiLM and gated fusion.
        p: the probability of the true class that Eq. (4) is to allow, if `scale` is None.

    Raises:
        ConfigError: `scale` or `p` outside its range.
    """

    def __init__(
        self, dims: Mapping[str, int], num_classes: int, *, scale: float | None = None, p: float = 0.999
    ) -> None:
        super().__init__(dims, num_classes)
        if scale is None:
            scale = mmcosine_scale_bound(num_classes, p, num_modalities=len(dims))
        if not 0 < scale < math.inf:
            raise ConfigError(f"scale must be finite and above 0, got {scale}")
        self.scale = float(scale)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits per modality, ``(B, ..., C)``, in ``[-scale, scale]``."""
        features = check_features("the head", features, self.dims)
        return {name: cosine_logits(feature, self.weight[name], self.scale) for name, feature in features.items()}

    def extra_repr(self) -> str:
        """Sizes and scale, for ``print(model)``."""
        return f"{super().extra_repr()}, scale={self.scale:.4g}"


def create_head(name: str, dims: Mapping[str, int], num_classes: int, **options: Any) -> Head:
    """The registered head of that name.

    Args:
        name: ``"linear"``, ``"cosine"``, or what else is registered.
        dims: per modality the width of its features.
        num_classes: C.
        options: the head's own keyword arguments.

    Raises:
        UnknownNameError: no such head.
        ConfigError: an option that the head does not take.
    """
    head = HEADS.get(name)
    check_options(f"Head {name!r}", head, options, given=2)
    return head(dims, num_classes, **options)


class Separate(Head):
    """Heads that know nothing of each other, one per modality: what late fusion joins the answers of.

    Args:
        name: registered head; each modality gets one of its own, declared with that modality alone.
        dims: per modality the width D_m of its features.
        num_classes: C.
        options: the heads' keyword arguments.

    Raises:
        UnknownNameError: no such head.
        ConfigError: a size below 1, or an option that the head does not take.
    """

    def __init__(self, name: str, dims: Mapping[str, int], num_classes: int, **options: Any) -> None:
        super().__init__(dims, num_classes)
        self.each = nn.ModuleDict(
            {m: create_head(name, {m: width}, num_classes, **options) for m, width in dims.items()}
        )

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits per modality, ``(B, ..., C)``."""
        features = check_features("the head", features, self.dims)
        return {m: head({m: features[m]})[m] for m, head in self.each.items()}

    def weights(self) -> dict[str, Tensor]:
        """Per modality the ``(C, D_m)`` weight of its head: the parameters themselves."""
        return {m: cast(Head, head).weights()[m] for m, head in self.each.items()}
