"""From names in a configuration to the parts of a run."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.balance import BALANCERS, Balancer, create_balancer
from counterpoint.data.clips import ClipTable
from counterpoint.encoders import ENCODERS
from counterpoint.errors import ConfigError, RunError
from counterpoint.fusion import FUSIONS
from counterpoint.heads import HEADS
from counterpoint.intermediate import INTERMEDIATES
from counterpoint.localise import LOCALISER_LOSSES, LOCALISERS, LocaliserOutput
from counterpoint.losses import LOSSES, create_loss
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import TRANSFORMS, create_transform
from counterpoint.models import (
    MODELS,
    LocalisationModel,
    Model,
    create_feature_model,
    create_localisation_model,
    create_model,
    from_pretrained,
)
from counterpoint.registry import did_you_mean
from counterpoint.training.config import LossConfig, TrainConfig
from counterpoint.training.task import Classification, Localisation, Task
from counterpoint.training.tryout import try_out

Inputs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Parts:
    """A model with what stands in front of its encoders.

    Attributes:
        model: encoders, fusion, head; or encoders and localiser.
        transforms: per modality, from decoded clips to the encoder's input.
        inputs: per modality the name and options of its transform.
    """

    model: Model
    transforms: nn.ModuleDict
    inputs: Inputs

    @property
    def modalities(self) -> tuple[str, ...]:
        """In declared order."""
        return tuple(self.inputs)


def check_names(config: TrainConfig) -> None:
    """Refuse unknown names before any clip is rendered or decoded.

    Raises:
        UnknownNameError: the message proposes the nearest name.
    """
    MODELS.get(config.model.name)
    if config.intermediate.name is not None:
        INTERMEDIATES.get(config.intermediate.name)
    LOCALISERS.get(config.localise.name)
    if config.localise.loss is not None:
        LOCALISER_LOSSES.get(config.localise.loss)
    FUSIONS.get(config.fusion.name)
    HEADS.get(config.head.name)
    LOSSES.get(config.loss.name)
    if config.balance.name is not None:
        BALANCERS.get(config.balance.name)
    for options in config.model.inputs.values():
        if isinstance(options, Mapping) and "name" in options:
            TRANSFORMS.get(options["name"])


def build_for(config: TrainConfig, table: ClipTable, spec: MediaSpec) -> Parts:
    """The parts for the clips of a table, with fresh weights; see :func:`build_parts`.

    Raises:
        CounterpointError: names, options or values that do not fit, among them more segments than the clips can have.
    """
    segments, features = count_segments(config, table), None
    if segments is not None:
        if table.features is not None and table.features.segments is None:
            raise ConfigError(f"{table.name} has one feature vector for each whole clip; leave task at classify")
        if table.features is not None and segments != table.features.segments:
            raise ConfigError(
                f"{table.name} has features of {table.features.segments} segments a clip; leave localise.segments out"
            )
        if segments > spec.num_frames and table.features is None:
            raise ConfigError(
                f"localise.segments is {segments}, but a clip has {spec.num_frames} frames; take fewer segments, or "
                "more frames (data.media.fps)"
            )
    if table.features is not None:
        if config.task == "classify" and table.features.segments is not None:
            raise ConfigError(
                f"the clips of {table.name} are features of segments, which are only localised; set task to localise"
            )
        features = table.features.dims
    return build_parts(config, len(table.classes), spec, segments=segments, features=features)


def count_segments(config: TrainConfig, table: ClipTable) -> int | None:
    """T, as asked for or as the dataset recommends; None where nothing is localised."""
    return (config.localise.segments or table.segments or 1) if config.task == "localise" else None


def build_parts(
    config: TrainConfig,
    num_classes: int,
    spec: MediaSpec,
    *,
    segments: int | None = None,
    features: Mapping[str, int] | None = None,
) -> Parts:
    """Create the model with fresh weights, and its transforms.

    Args:
        config: what to create.
        num_classes: C.
        spec: the shape of the clips.
        segments: T, in localisation.
        features: widths of the clips' features, where the clips are features and need no encoders; None: they are
            media.

    Raises:
        CounterpointError: names, options or values that do not fit.
    """
    model = build_model(config, num_classes, spec, segments=segments, features=features)
    resolved = _resolve(config) if features is None else {name: {"name": "features"} for name in features}
    inputs = {name: _cut(resolved[name], segments) for name in model.modalities}
    return Parts(model, _transforms(inputs, spec, augment=config.augment), inputs)


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
        segments, features: see :func:`build_parts`.

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
    with _wrong_kinds_told("model, intermediate, fusion or head"):
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
    with _wrong_kinds_told("model or localise"):
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


def build_task(config: TrainConfig, num_classes: int) -> Task:
    """What the model is trained and judged for."""
    if config.task == "localise":
        return Localisation(config.localise.supervision, background=num_classes)
    return Classification()


def load_parts(folder: Path) -> tuple[Parts, tuple[str, ...], MediaSpec, str]:
    """A trained model from a folder with ``config.json`` and ``model.safetensors``.

    Returns:
        The parts, the classes' names, the shape of clips and the precision it was trained in.

    Raises:
        RunError: the folder does not say what the model is fed with.
    """
    model: Model = from_pretrained(folder)
    extra = model.config.get("extra") or {}
    missing = {"inputs", "classes", "media"} - set(extra)
    if missing:
        raise RunError(f"{folder / 'config.json'} lacks {', '.join(sorted(missing))} under 'extra': it is not of a run")
    media: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in extra["media"].items()
    }
    spec = MediaSpec(**media)
    parts = Parts(model, _transforms(extra["inputs"], spec, augment=False), extra["inputs"])
    return parts, tuple(extra["classes"]), spec, extra.get("precision", "32-true")


def build_balancer(config: TrainConfig, model: Model) -> Balancer | None:
    """The balancer asked for; its noise follows the run's seed unless its options name another.

    In localisation it acts on all parameters of a modality, unless its options say otherwise: over features made before
    there are no convolutions.
    """
    name = config.balance.name
    if name is None:
        return None
    if isinstance(model, LocalisationModel) and not model.localiser.decoupled:
        known = ", ".join(n for n in LOCALISERS if LOCALISERS.get(n).decoupled)
        raise ConfigError(
            f"balance {name!r} needs to know what each modality contributes, which {config.localise.name!r} does not "
            f"tell; {known} do"
        )
    part = BALANCERS.get(name)
    if isinstance(model, LocalisationModel) and part.loss is not Balancer.loss:
        raise ConfigError(f"balance {name!r} trains with a loss of its own, which localisers cannot")
    options = dict(config.balance.options)
    takes = inspect.signature(part).parameters
    if "seed" in takes:
        options.setdefault("seed", config.seed)
    if "fusion" in takes and not isinstance(model, LocalisationModel):
        options["fusion"] = model.fusion
    if "parameters" in takes and isinstance(model, LocalisationModel):
        options.setdefault("parameters", "all")
    with _wrong_kinds_told("balance"):
        return create_balancer(name, model.balanced, **options)


def build_loss(config: TrainConfig, balancer: Balancer | None, model: Model | None = None) -> Callable[..., Tensor]:
    """The localiser's loss; else the balancer's where it has one of its own, else the one asked for.

    Raises:
        UnknownNameError: no such loss.
        ConfigError: options that do not fit, a loss is asked for beside a balancer that brings its own, or it is one
            that the model's fusion cannot be trained with.
        ShapeError: options of the fusion that do not fit features ``(B, D)``.
    """
    if isinstance(model, LocalisationModel):
        return _LocaliserLoss(model)
    loss: Callable[..., Tensor]
    if balancer is not None and balancer.has_own_loss:
        if config.loss != LossConfig():
            raise ConfigError(
                f"balance {config.balance.name!r} trains with a loss of its own; leave loss.name at its default"
            )
        loss = balancer.loss
    else:
        with _wrong_kinds_told("loss"):
            loss = create_loss(config.loss.name, **config.loss.options)
    if model is not None:
        try_out(model.fusion, loss)
    return loss


class _LocaliserLoss:
    """A localiser's own loss, called as every loss is."""

    def __init__(self, model: LocalisationModel) -> None:
        self.localiser = model.localiser

    def __call__(self, output: LocaliserOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        del label_smoothing  # the configuration refuses any
        return self.localiser.loss(output, target)


def _encoder_options(config: TrainConfig, spec: MediaSpec | None, segments: int) -> dict[str, Any]:
    """Per modality the changes to its encoder, with what follows from clips that are cut into so many segments."""
    options = dict(config.model.options)
    inputs = _resolve(config)
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
        silence = torch.zeros(1, spec.num_samples)
        height, width = _transforms({modality: dict(transform)}, spec, augment=False)[modality](silence).shape[-2:]
    follows = {"n_mfcc": height, "n_mels": height, "num_frames": width // segments}
    return {option: value for option, value in follows.items() if option in takes}


def _resolve(config: TrainConfig) -> Inputs:
    """Per modality of the registered model the transform asked for, or the model's own."""
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


def _cut(transform: dict[str, Any], segments: int | None) -> dict[str, Any]:
    """The transform told of the segments, where it hears each by itself, as VGGish's does."""
    if segments is None or "name" not in transform:
        return transform
    takes = inspect.signature(TRANSFORMS.get(transform["name"])).parameters
    return {**({"segments": segments} if "segments" in takes else {}), **transform}


def _transforms(inputs: Inputs, spec: MediaSpec, *, augment: bool) -> nn.ModuleDict:
    made = {}
    for modality, chosen in inputs.items():
        options = dict(chosen)
        name = options.pop("name", None)
        if name is None:
            raise ConfigError(f"model.inputs.{modality} has no name; choose one of {', '.join(TRANSFORMS)}")
        # Some look at the numbers that they make, which are nowhere if the model is built on no device.
        with torch.device("cpu"), _wrong_kinds_told(f"model.inputs.{modality}"):
            made[modality] = create_transform(name, spec=spec, augment=augment, **options)
    return nn.ModuleDict(made)


@contextlib.contextmanager
def _wrong_kinds_told(where: str) -> Iterator[None]:
    """Parts check the range of their options and trust their types, which a configuration may have wrong."""
    try:
        yield
    except TypeError as error:
        raise ConfigError(f"An option of {where} has a value of the wrong kind: {error}") from error
