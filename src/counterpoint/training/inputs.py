"""What is fed to the encoders: the transform of each modality, by name and options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from counterpoint.errors import ConfigError
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import TRANSFORMS, create_transform
from counterpoint.models import MODELS
from counterpoint.registry import did_you_mean
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_errors import type_errors_as_config_errors

Inputs = dict[str, dict[str, Any]]
"""Modality -> name and options of its transform."""


def resolve_inputs(config: TrainConfig) -> Inputs:
    """Per modality of the registered model the transform asked for, or the model's own.

    Raises:
        ConfigError: inputs of what is no modality, or that do not map names to values.
    """
    inputs = {name: dict(own) for name, own in MODELS.get(config.model.name).default_inputs.items()}
    for name, options in config.model.inputs.items():
        if name not in inputs:
            raise ConfigError(f"model.inputs has {name!r}, which is no modality.{did_you_mean(name, inputs)}")
        if not isinstance(options, Mapping):
            raise ConfigError(
                f'model.inputs.{name} is {options!r}; it must be like {{"name": "log_mel", "n_mels": 80}}'
            )
        other = options.get("name", inputs[name].get("name")) != inputs[name].get("name")
        inputs[name] = {**({} if other else inputs[name]), **options}
    return inputs


def with_segments(transform: dict[str, Any], segments: int | None) -> dict[str, Any]:
    """The transform told of the segments, where it hears each by itself, as VGGish's does."""
    if segments is None or "name" not in transform:
        return transform
    takes = inspect.signature(TRANSFORMS.get(transform["name"])).parameters
    return {**({"segments": segments} if "segments" in takes else {}), **transform}


def create_transforms(inputs: Inputs, spec: MediaSpec, *, augment: bool) -> nn.ModuleDict:
    """Per modality its transform.

    Args:
        inputs: modality -> name and options.
        spec: the shape of the clips.
        augment: with random changes of training clips.

    Raises:
        CounterpointError: names or options that do not fit.
    """
    made = {}
    for modality, chosen in inputs.items():
        options = dict(chosen)
        name = options.pop("name", None)
        if name is None:
            raise ConfigError(f"model.inputs.{modality} has no name; choose one of {', '.join(TRANSFORMS)}")
        # Some look at the numbers that they make, which are nowhere if the model is built on no device.
        with torch.device("cpu"), type_errors_as_config_errors(f"model.inputs.{modality}"):
            made[modality] = create_transform(name, spec=spec, augment=augment, **options)
    return nn.ModuleDict(made)
