"""Transforms by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from counterpoint.media.spec import MediaSpec
from counterpoint.registry import Registry, check_options

TRANSFORMS: Registry[Callable[..., nn.Module]] = Registry("transform", classes_of=nn.Module)


def create_transform(name: str, *, spec: MediaSpec, augment: bool = False, **options: Any) -> nn.Module:
    """Make the transform that stands in front of an encoder.

    Args:
        name: ``log_spectrogram``, ``log_mel``, ``mfcc``, ``vggish_mel`` (sound) or ``frames`` (sight).
        spec: shape of the clips it will get.
        augment: change clips at random in ``train()``; in ``eval()`` nothing is random.
        options: further arguments of the transform.

    Raises:
        UnknownNameError: no transform of that name.
        ConfigError: an option it does not have, or a value that does not suit `spec`.
    """
    transform = TRANSFORMS.get(name)
    check_options(f"Transform {name!r}", transform, options, given=1)
    return transform(spec, augment=augment, **options)
