"""Tensors by modality, as they enter every part: checked against what was declared, and ablated."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from counterpoint._typecheck import fits
from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.registry import did_you_mean


def check_dims(owner: str, dims: Mapping[str, int], num_classes: int | None = None) -> None:
    """Raise a ConfigError for sizes other than 1, 2, ..., or a modality after which torch cannot name a module."""
    sizes = list(dims.values()) if isinstance(dims, Mapping) else []
    classes = [] if num_classes is None else [num_classes]
    if not sizes or not all(fits(size, int) and size >= 1 for size in sizes + classes):
        also = f" and {num_classes} classes" if classes else ""
        raise ConfigError(f"{owner} needs modalities with int sizes of 1 or more, got {dims}{also}")
    modules, parameters = nn.ModuleDict(), nn.ParameterDict()
    for name in dims:
        if not isinstance(name, str) or not name or "." in name or hasattr(modules, name) or hasattr(parameters, name):
            raise ConfigError(
                f"a modality cannot be called {name!r}: a name is a str, not empty, has no dot, and is no attribute of "
                "torch's modules"
            )


def check_known(owner: str, name: str, declared: Collection[str]) -> None:
    """Raise an UnknownNameError unless the modality was declared."""
    if name not in declared:
        raise UnknownNameError(f"{owner} has no modality {name!r}.{did_you_mean(name, declared)}")


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


def check_floating(owner: str, what: str, value: object, *, verb: str = "is") -> None:
    """Raise a ShapeError unless `value` is a tensor of floating point numbers."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        found = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise ShapeError(f"{what} {verb} of {found}, but {owner} needs a tensor of floating point numbers")


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
        check_floating(owner, f"the feature {name!r}", tensor)
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


def ablate(owner: str, features: Mapping[str, Tensor], keep: str | Collection[str]) -> dict[str, Tensor]:
    """Every modality at zero but those to keep, one name or several.

    Raises:
        UnknownNameError: `keep` names a modality that is not there.
    """
    names = {keep} if isinstance(keep, str) else set(keep)
    for name in sorted(names):
        check_known(owner, name, features)
    return {name: x if name in names else torch.zeros_like(x) for name, x in features.items()}
