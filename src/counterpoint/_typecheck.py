"""Whether a value, as a configuration has it, is of the kind that an annotation asks for."""

from __future__ import annotations

import math
import numbers
import os
import types
from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin

_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    type(None): "null",
    Mapping: "a mapping",
    Sequence: "a list",
}


def fits(value: object, kind: Any) -> bool:
    """Whether `value` is of that kind; true wherever an annotation says more than a configuration can.

    Whole numbers are numbers, but truth values are none, nor is NaN. A list may stand for a tuple, and
    a path for its name.
    """
    origin = _plain(kind)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in get_args(kind))
    if origin is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and not math.isnan(value)
    if origin is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if origin is Sequence:
        items = get_args(kind) or (Any,)
        return (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and all(any(fits(item, one) for one in items) for item in value)
        )
    if origin is str:
        return isinstance(value, (str, os.PathLike))
    return isinstance(value, origin) if origin in _NAMES else True


def in_words(kind: Any) -> str:
    """What a value must be, for a message: ``"a whole number or null"``."""
    origin = _plain(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(one) for one in get_args(kind))
    items = [one for one in get_args(kind) if one in (int, float, str)]
    if origin is Sequence and items:
        return f"a list of {in_words(items[0]).removeprefix('a ')}s"
    return _NAMES.get(origin, getattr(kind, "__name__", str(kind)))


def _plain(kind: Any) -> Any:
    origin = get_origin(kind) or kind
    return {list: Sequence, tuple: Sequence, dict: Mapping}.get(origin, origin)
