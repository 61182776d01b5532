"""What a part wants from its surroundings: declared by its class, handed in by whoever builds it.

Some arguments of a part nobody wants to write down, because they follow from the run that it is built for. A class
names them in ``wants``, and gets each as a keyword argument of that name, unless the configuration's options give it::

    class Mine(Encoder):
        wants = ("in_channels", "n_mels")

        def __init__(self, *, in_channels: int = 1, n_mels: int = 64, width: int = 32) -> None: ...

The base class of each type of part says in its own docstring which names it may want. Nothing is guessed from the names
of a constructor's parameters: what is not declared is not given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from counterpoint.errors import ConfigError

WANTS: Mapping[str, str] = {
    "seed": "int, at least 0: the seed of the run, for what the part draws itself",
    "segments": "int, at least 1: into how many equal parts (T) a clip is cut in localisation; 1 in classification",
    "clip_shape": "tuple[int, ...]: shape of what the transform gives for one clip, (C, F, T) or (C, N, H, W)",
    "in_channels": "int: C, channels of what the transform gives",
    "n_mels": "int: F, mel bands of what the transform gives",
    "n_mfcc": "int: F, coefficients of what the transform gives",
    "num_frames": "int: steps in time of what the transform gives, of one segment where clips are cut into segments",
    "spread": "bool: frames are spread over the clip (media.frames), too far apart to show how things move",
    "fusion": "Fusion: of the model that is trained; there is none in localisation",
    "parameters": 'str: "auto" in classification, "all" in localisation, where features may come without convolutions',
    "epochs": "int, at least 1: passes over the training split, of the whole run",
    "optimizer": "torch.optim.Optimizer: of the whole run, handed to `Balancer.attach` once it exists",
    "validation": "logits and classes of validation clips, handed to `Fusion.calibrate` once the run is trained",
    "progress": "Callable[[int, int], None] | None: to be called with (clips done, clips to do)",
    "events": "bool: whether the clips' events are needed as well",
    "fold": "int, at least 0: which fold of a cross-validation",
}
"""Every name that some part may want -> type and meaning."""

AFTERWARDS = frozenset({"optimizer", "validation"})
"""What exists only once all parts are built: no argument of the constructor, but of a method of the base class."""


def wants(part: Any) -> tuple[str, ...]:
    """What a class (or a registered function) declares; nothing where it declares nothing."""
    declared: tuple[str, ...] = tuple(getattr(part, "wants", ()))
    return declared


def hand_in(part: Any, options: Mapping[str, Any], **there: Any) -> dict[str, Any]:
    """The options of a part, with what it wants of its surroundings; options that are given win.

    Args:
        part: a class with ``wants``.
        options: as configured.
        there: name -> value, of what there is.

    Raises:
        ConfigError: the part wants what is not there, and no option gives it.
    """
    wanted = [name for name in wants(part) if name not in AFTERWARDS]
    _require(part, [name for name in wanted if name not in there and name not in options], there)
    return {**{name: there[name] for name in wanted if name in there}, **options}


def _require(part: Any, missing: Iterable[str], there: Iterable[str]) -> None:
    for name in missing:
        what = f" ({WANTS[name]})" if name in WANTS else ""
        raise ConfigError(
            f"{getattr(part, '__name__', part)} wants {name!r}{what}, which is not there; "
            f"here it may want {', '.join(there)}. Give it as an option, or take it out of `wants`"
        )
