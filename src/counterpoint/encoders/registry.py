"""Encoders by name."""

from __future__ import annotations

from typing import Any

from counterpoint.encoders.base import Encoder
from counterpoint.registry import Registry, check_options

ENCODERS: Registry[type[Encoder]] = Registry("encoder", classes_of=Encoder)


def create_encoder(name: str, **options: Any) -> Encoder:
    """A registered encoder with fresh weights.

    Args:
        name: e.g. ``"resnet18"``; see `list_encoders`.
        options: the encoder's keyword arguments, e.g. ``in_channels=1``.

    Raises:
        UnknownNameError: no such encoder.
        ConfigError: an option that the encoder does not take, or a value outside its range.
    """
    encoder = ENCODERS.get(name)
    check_options(f"Encoder {name!r}", encoder, options)
    return encoder(**options)


def list_encoders(pattern: str = "*") -> list[str]:
    """Names of registered encoders that match a shell pattern such as ``"resnet*"``, sorted."""
    return ENCODERS.names(pattern)
