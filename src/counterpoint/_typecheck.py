"""Whether a value, as a configuration has it, is of the type that an annotation asks for."""

from __future__ import annotations

import math
import numbers
import os
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

_NAMES: dict[Any, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    type(None): "null",
    Mapping: "mapping",
    Sequence: "list",
}


def fits(value: object, annotation: Any) -> bool:
    """Whether `value` is of that type; true wherever an annotation says more than a configuration can.

    An int is a float too, but a bool is neither, nor is NaN a float. A list may stand for a tuple, and a path for its
    name.
    """
    origin = _plain(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in get_args(annotation))
    if origin is Literal:
        return any(_same(value, choice) for choice in get_args(annotation))
    if origin is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and not math.isnan(value)
    if origin is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if origin is Sequence:
        items = get_args(annotation) or (Any,)
        return (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and all(any(fits(item, one) for one in items) for item in value)
        )
    if origin is str:
        return isinstance(value, (str, os.PathLike))
    return isinstance(value, origin) if origin in _NAMES else True


def in_words(annotation: Any) -> str:
    """What a value must be, for a message: ``"int or null"``, ``"one of 'paper', 'released'"``."""
    origin = _plain(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(one) for one in get_args(annotation))
    if origin is Literal:
        return f"one of {', '.join(map(repr, get_args(annotation)))}"
    items = [one for one in get_args(annotation) if one not in (Any, Ellipsis)]
    if origin is Sequence and items:
        return f"list of {in_words(items[0])}"
    return _NAMES.get(origin, getattr(annotation, "__name__", str(annotation)))


def choices(annotation: Any) -> list[str]:
    """The words that an annotation leaves to choose from: those of a Literal, or of one in a union; else none."""
    origin = _plain(annotation)
    if origin in (Union, types.UnionType):
        return [word for one in get_args(annotation) for word in choices(one)]
    return [word for word in get_args(annotation) if isinstance(word, str)] if origin is Literal else []


def _same(value: object, choice: object) -> bool:
    return isinstance(value, type(choice)) and isinstance(value, bool) == isinstance(choice, bool) and value == choice


def _plain(annotation: Any) -> Any:
    origin = get_origin(annotation) or annotation
    return {list: Sequence, tuple: Sequence, dict: Mapping}.get(origin, origin)
