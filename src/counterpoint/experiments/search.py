"""Which settings a search tries: as many for every method, drawn from a seed, the method as it stands among them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

from counterpoint._moved import former_names
from counterpoint.errors import ConfigError

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


def _draw(rng: random.Random, space: Any) -> Any:
    if not isinstance(space, Mapping):
        return rng.choice(list(space))
    low, high = space["low"], space["high"]
    log = space.get("log")
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
    return float(f"{value:.3g}")  # three digits are enough, and can be read and typed


__getattr__ = former_names(__name__, dict.fromkeys(("get_setting", "with_setting"), "training.config_io"))
