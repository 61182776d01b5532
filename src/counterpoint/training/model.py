"""From a configuration to a model: encoders that suit the clips, with a fusion and head or a localiser behind them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from counterpoint.encoders import ENCODERS
from counterpoint.errors import ConfigError
from counterpoint.media.spec import MediaSpec
from counterpoint.models import (
    MODELS,
    LocalisationModel,
    Model,
    create_feature_model,
    create_localisation_model,
    create_model,
)
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_errors import type_errors_as_config_errors
from counterpoint.training.inputs import create_transforms, resolve_inputs


def build_model(
    config: TrainConfig,
    num_classes: int,
    spec: MediaSpec | None = None,
    *,
    segments: int | None = None,
    features: Mapping[str, int] | None = None,
) -> Model:
    """Create the model alone, with fresh weights; under ``torch.device("meta")`` it takes no memory.

    Args:
        config: what to create.
        num_classes: C.
        spec: the shape of the clips; None: that for which the model's encoders are made if nobody tells them.
        segments, features: see `build_parts`.

    Raises:
        CounterpointError: names, options or values that do not fit.
    """
    if config.task == "localise":
        return _build_localiser(config, num_classes, spec, segments or 1, features)
    between, fusion = config.intermediate, config.fusion
    named = {"attention": fusion.attention, "zeta": fusion.zeta}
    joined: dict[str, Any] = {
        "num_classes": num_classes,
        "modalities": config.model.modalities,
        "fusion": fusion.name,
        "fusion_options": {**{k: v for k, v in named.items() if v is not None}, **fusion.options},
        "head": config.head.name,
        "head_options": config.head.options,
    }
    with type_errors_as_config_errors("model, intermediate, fusion or head"):
        if features is not None:
            if between.name is not None:
                raise ConfigError(f"intermediate {between.name!r} acts inside encoders, and features have none")
            return create_feature_model(features, **joined)
        return create_model(
            config.model.name,
            intermediate=between.name,
            intermediate_layers=between.layers,
            intermediate_options=between.options,
            **joined,
            **_encoder_options(config, spec, 1),
        )


def _build_localiser(
    config: TrainConfig, num_classes: int, spec: MediaSpec | None, segments: int, features: Mapping[str, int] | None
) -> LocalisationModel:
    chosen = config.localise
    with type_errors_as_config_errors("model or localise"):
        return create_localisation_model(
            chosen.name,
            num_classes=num_classes,
            segments=segments,
            model=config.model.name if features is None else None,
            dims=features,
            modalities=config.model.modalities,
            localiser_options={"supervision": chosen.supervision, "loss": chosen.loss, **chosen.options},
            **({} if features is not None else _encoder_options(config, spec, segments)),
        )


def _encoder_options(config: TrainConfig, spec: MediaSpec | None, segments: int) -> dict[str, Any]:
    """Per modality the changes to its encoder, with what follows from clips that are cut into so many segments."""
    options = dict(config.model.options)
    inputs = resolve_inputs(config)
    for modality in config.model.modalities or inputs:
        if spec is not None and modality in inputs and isinstance(options.get(modality, {}), Mapping):
            changes = options.get(modality, {})
            follows = _following(config.model.name, modality, changes, inputs[modality], spec, segments)
            if follows:
                options[modality] = {**follows, **changes}
    return options


def _following(
    model: str,
    modality: str,
    changes: Mapping[str, Any],
    transform: Mapping[str, Any],
    spec: MediaSpec,
    segments: int,
) -> dict[str, Any]:
    """Options of an encoder that follow from the clips and from its transform, unless they are told otherwise."""
    if transform.get("name") == "frames":  # as many channels as the pictures have
        return {"in_channels": spec.channels}
    name = changes.get("name", MODELS.get(model).encoders[modality]["name"])
    takes = inspect.signature(ENCODERS.get(name)).parameters.keys() & {"n_mfcc", "n_mels", "num_frames"}
    if not takes - changes.keys():
        return {}
    with torch.device("cpu"):
        transforms = create_transforms({modality: dict(transform)}, spec, augment=False)
        height, width = transforms[modality](torch.zeros(1, spec.num_samples)).shape[-2:]  # of silence
    follows = {"n_mfcc": height, "n_mels": height, "num_frames": width // segments}
    return {option: value for option, value in follows.items() if option in takes}
