"""Which settings a search tries: as many for every method, drawn from a seed, the method as it stands among them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from counterpoint.errors import ConfigError
from counterpoint.registry import did_you_mean
from counterpoint.training.config_io import from_dict

T = TypeVar("T")
Setting = dict[str, Any]

_TRIES = 1000  # draws that may repeat an earlier setting before the space is taken to be used up


def draw_settings(
    defaults: Setting, common: Mapping[str, Any], own: Mapping[str, Any], *, trials: int, seed: int, name: str
) -> list[Setting]:
    """The settings that one method tries; all different.

    The first is `defaults`. The k-th draw from `common` is the same for every method, as far as no setting repeats;
    draws from `own` are the method's alone.

    Args:
        defaults: dotted name -> what the method has as it stands, for every name in `common` and `own`.
        common: dotted name -> a list of choices or ``{"low": , "high": , "log": false}``; searched for every method.
            Both spaces have been through `counterpoint.recipes.space.check_space`.
        own: the method's own space, of the same form.
        trials: how many settings.
        seed: of the draws.
        name: the method's; part of the seed of its own space.

    Raises:
        ConfigError: a space with fewer than `trials` settings.
    """
    shared, private = random.Random(f"{seed}"), random.Random(f"{seed}/{name}")
    settings, tries = [dict(defaults)], 0
    while len(settings) < trials:
        drawn = {key: _draw(shared, space) for key, space in common.items()}
        drawn |= {key: _draw(private, space) for key, space in own.items()}
        tries = tries + 1 if drawn in settings else 0
        if tries == 0:
            settings.append(drawn)
        elif tries == _TRIES:
            raise ConfigError(
                f"search: {name} has only {len(settings)} different settings and {trials} are to be tried, as "
                f"many as for every method; widen search_space, or lower search_trials to {len(settings)}"
            )
    return settings[:trials]


def get_setting(config: Any, name: str) -> Any:
    """The value of a dotted name such as ``"optim.lr"`` in nested dataclasses and dicts; None for an absent dict entry.

    Raises:
        ConfigError: no such name; the message proposes the nearest one.
    """
    for part in name.split("."):
        if is_dataclass(config):
            _check_field(config, part, name)
            config = getattr(config, part)
        elif isinstance(config, Mapping):
            config = config.get(part)
        elif config is not None:
            raise ConfigError(f"{name!r}: there is nothing below a {type(config).__name__}")
    return config


def with_setting(config: T, name: str, value: Any) -> T:
    """A copy of nested dataclasses and dicts with one dotted name set; the original is left alone.

    Raises:
        ConfigError: no such name (the message proposes the nearest one), or a value of another type than the field's.
    """
    return _with(config, name, value, name)


def _with(config: T, name: str, value: Any, whole: str) -> T:
    head, _, rest = name.partition(".")
    if is_dataclass(config) and not isinstance(config, type):
        _check_field(config, head, whole)
        if rest:
            changed: Any = replace(config, **{head: _with(getattr(config, head), rest, value, whole)})
        else:
            where = whole.rpartition(".")[0]
            changed = replace(config, **{head: getattr(from_dict(type(config), {head: value}, where), head)})
    elif config is None or isinstance(config, Mapping):
        below: Any = config or {}
        changed = {**below, head: _with(below.get(head), rest, value, whole) if rest else value}
    else:
        raise ConfigError(f"{whole!r}: there is nothing below a {type(config).__name__}")
    return cast(T, changed)


def _check_field(config: Any, part: str, name: str) -> None:
    known = [f.name for f in fields(config)]
    if part not in known:
        raise ConfigError(f"{type(config).__name__} has no {part!r} (in {name!r}).{did_you_mean(part, known)}")


def _draw(rng: random.Random, space: Any) -> Any:
    if not isinstance(space, Mapping):
        return rng.choice(list(space))
    low, high = space["low"], space["high"]
    log = space.get("log")
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
    return float(f"{value:.3g}")  # three digits are enough, and can be read and typed
