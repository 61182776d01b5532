"""The one check of search spaces, of recipes and of comparisons alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_origin

from counterpoint._typecheck import checked, fits
from counterpoint.errors import ConfigError, did_you_mean
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import types_of


def check_space(space: Any, where: str) -> None:
    """Refuse a search space that names what is no option, or does not say what to choose from, or has choices of a type
    that the option cannot have; what is out of an option's range only a whole configuration tells.

    Args:
        space: dotted name in `TrainConfig` -> a list of choices, or ``{"low": , "high": , "log": false}``.
        where: what the space is called, for messages.

    Raises:
        ConfigError: names the entry; for an unknown name the nearest one is proposed.
    """
    if not isinstance(space, Mapping):
        raise ConfigError(f"{where} is {space!r}; it must map dotted names to choices")
    known = types_of(TrainConfig)
    for name, choices in space.items():
        inside = any(str(name).startswith(f"{leaf}.") for leaf, hint in known.items() if get_origin(hint) is dict)
        if name not in known and not inside:
            raise ConfigError(f"{where}: unknown option {name!r}.{did_you_mean(str(name), known)}")
        if not _is_range(choices) and not (isinstance(choices, (list, tuple)) and choices):
            raise ConfigError(
                f"{where}: {name} is {choices!r}; it must be a list of choices, or a range like "
                "{low: 0.0001, high: 0.01, log: true} with low < high, and low > 0 where log is true"
            )
        if isinstance(choices, Mapping):  # what is drawn from a range may lie anywhere in it
            if fits(1, hint := known.get(name, Any)) and not fits(0.5, hint):
                raise ConfigError(f"{where}: {name} is int; give a list of choices instead of a range")
            choices = [float(choices["low"])]
        for choice in choices:
            checked(known.get(name, Any), choice, f"{where}.{name}")


def _is_range(choices: Any) -> bool:
    return (
        isinstance(choices, Mapping)
        and {"low", "high"} <= set(choices) <= {"low", "high", "log"}
        and all(type(choices[end]) in (int, float) and math.isfinite(choices[end]) for end in ("low", "high"))
        and isinstance(choices.get("log", False), bool)
        and choices["low"] < choices["high"]
        and (choices["low"] > 0 or not choices.get("log"))
    )
