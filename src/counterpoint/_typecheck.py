"""Values, as a configuration has them, held against the annotations that say what they may be."""

from __future__ import annotations

import math
import numbers
import os
import types
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from counterpoint.errors import ConfigError, nearest, quoted

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


def wrong_type(option: str, value: object, wanted: Any) -> ConfigError:
    """The error that says what an option must be, with the nearest of the words that it can be chosen from.

    Args:
        option: its name, for the message.
        value: what it is.
        wanted: the annotation that the value does not fit.
    """
    nan = ", not NaN" if str(value).lstrip(".").lower() == "nan" and fits(0.5, wanted) else ""
    must = f"{in_words(wanted)}{nan}{nearest(value, choices(wanted), end='.')}"
    return ConfigError(f"{option} is {quoted(value)}; it must be {must}")


def checked(hint: Any, value: Any, name: str) -> Any:
    """A value as a field of that annotation holds it: an int is a float too, a path its name, a tuple a list.

    Raises:
        ConfigError: it does not fit.
    """
    if not fits(value, hint):
        raise wrong_type(name, value, hint)
    if type(value) is int and not fits("", hint) and fits(0.5, hint):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def check_values(config: Any, where: str = "") -> None:
    """Hold every value of a config dataclass against its annotation and the range in its field's metadata.

    The range is ``{"min": 1}``, ``{"min": 0, "max": 1}`` or, where the bound itself is too low, ``{"above": 0}``.

    Raises:
        ConfigError: says which value, and what it must be.
    """
    hints = get_type_hints(type(config))
    for f in fields(config):
        name, value = f"{where}{f.name}", getattr(config, f.name)
        if is_dataclass(value):
            check_values(value, f"{name}.")
            continue
        checked(hints[f.name], value, name)
        several = isinstance(value, list)
        for each in value if several else () if value is None else (value,):
            if wrong := _out_of_range(f, each):
                end = ", or null" if fits(None, hints[f.name]) else ""
                raise ConfigError(f"{name} is {value}; {'each' if several else 'it'} must be {wrong}{end}")


def _out_of_range(f: Field[Any], value: float) -> str:
    low, high, above = (f.metadata.get(bound) for bound in ("min", "max", "above"))
    if above is not None and not value > above:
        return f"greater than {above}"
    if (low is not None and value < low) or (high is not None and value > high):
        return f"at least {low}" if high is None else f"from {low} to {high}"
    return ""


def _same(value: object, choice: object) -> bool:
    return isinstance(value, type(choice)) and isinstance(value, bool) == isinstance(choice, bool) and value == choice


def _plain(annotation: Any) -> Any:
    origin = get_origin(annotation) or annotation
    return {list: Sequence, tuple: Sequence, dict: Mapping}.get(origin, origin)
