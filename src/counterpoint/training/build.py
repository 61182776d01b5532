"""From names in a configuration to a model with what stands in front of it, for the clips of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from counterpoint import guests
from counterpoint.balance import BALANCERS
from counterpoint.data.clip_table import ClipTable
from counterpoint.errors import ConfigError, RunError
from counterpoint.fusion import FUSIONS
from counterpoint.heads import HEADS
from counterpoint.intermediate import INTERMEDIATES
from counterpoint.localise import LOCALISER_LOSSES, LOCALISERS
from counterpoint.losses import LOSSES
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import TRANSFORMS
from counterpoint.models import MODELS, Model, from_pretrained
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import to_dict
from counterpoint.training.inputs import Inputs, create_transforms, resolve_inputs, with_segments
from counterpoint.training.model import build_model
from counterpoint.training.optim import SCHEDULES, create_optimizer


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


def admit_guests(config: TrainConfig) -> None:
    """Take the code that a configuration names for named by the user, and import its ``imports``.

    Raises:
        CounterpointError: a module is not found, or cannot be imported.
    """
    guests.import_all(config.imports)
    guests.allow(to_dict(config))
    if guests.is_reference(config.model.name):  # may name further parts
        guests.allow(asdict(MODELS.get(config.model.name)))


def check_names(config: TrainConfig) -> None:
    """Refuse unknown names before any clip is rendered or decoded.

    Raises:
        UnknownNameError: the message proposes the nearest name.
        ConfigError: options that the optimizer does not take.
    """
    create_optimizer(config.optim, [nn.Parameter(torch.zeros(1))])  # its options are told too
    SCHEDULES.get(config.optim.schedule)
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
    """The parts for the clips of a table, with fresh weights; see `build_parts`.

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
    resolved = resolve_inputs(config) if features is None else {name: {"name": "features"} for name in features}
    inputs = {name: with_segments(resolved[name], segments) for name in model.modalities}
    return Parts(model, create_transforms(inputs, spec, augment=config.augment), inputs)


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
    parts = Parts(model, create_transforms(extra["inputs"], spec, augment=False), extra["inputs"])
    return parts, tuple(extra["classes"]), spec, extra.get("precision", "32-true")
