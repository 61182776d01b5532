"""Where an intermediate fusion acts inside the encoders of a model, and on how many channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterpoint._moved import former_names
from counterpoint.encoders import Encoder
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.intermediate import INTERMEDIATES, FusionPoint, create_intermediate
from counterpoint.registry import did_you_mean

LEVELS = {"late": 1, "mid": 2}
"""Points that every encoder has, counted from its last stage: its last maps, and those before."""

__getattr__ = former_names(__name__, {"create_places": "models.fusion_points:create_fusion_points"})

Layers = Sequence[str | Mapping[str, str]]


def create_fusion_points(
    name: str, encoders: Mapping[str, Encoder], layers: Layers | None, options: Mapping[str, Any]
) -> list[FusionPoint]:
    """An intermediate fusion at each of some points, with fresh weights.

    Args:
        name: registered intermediate fusion.
        encoders: per modality, in order.
        layers: per point a level of `LEVELS`, or per modality the name of a stage; None or none: the part's own.
        options: its keyword options, the same at all points.

    Raises:
        UnknownNameError: no such part, level, modality or stage.
        ConfigError: options that do not fit, or a level that an encoder is too short for.
    """
    part = INTERMEDIATES.get(name)
    points: list[FusionPoint] = []
    for point in layers or part.default_layers:
        named = _level(point, encoders) if isinstance(point, str) else _stages(point, encoders)
        channels = {m: encoders[m].stage_channels[stage] for m, stage in named.items()}
        points.append((named, create_intermediate(name, channels, **options)))
    return points


def _level(level: str, encoders: Mapping[str, Encoder]) -> dict[str, str]:
    if level not in LEVELS:
        raise UnknownNameError(
            f"There is no level {level!r} at which modalities could meet.{did_you_mean(level, LEVELS)}"
        )
    stages = {m: list(encoder.stage_channels) for m, encoder in encoders.items()}
    for m, names in stages.items():
        if len(names) < LEVELS[level]:
            raise ConfigError(f"the {m} encoder has no level {level!r}: its only stage is {names[0]!r}")
    return {m: names[-LEVELS[level]] for m, names in stages.items()}


def _stages(point: Mapping[str, str], encoders: Mapping[str, Encoder]) -> dict[str, str]:
    if not isinstance(point, Mapping):
        raise ConfigError(f"a fusion point is {point!r}; it must be a level, or like {{'audio': 'conv2', ...}}")
    for m, stage in point.items():
        if m not in encoders:
            raise UnknownNameError(f"There is no encoder {m!r}.{did_you_mean(m, encoders)}")
        if stage not in encoders[m].stage_channels:
            known = did_you_mean(stage, encoders[m].stage_channels)
            raise UnknownNameError(f"the {m} encoder has no stage {stage!r}.{known}")
    return {m: point[m] for m in encoders if m in point}
