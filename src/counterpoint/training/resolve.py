"""A configuration resolved once: as asked for, with all that follows from it, from the clips and from the machine."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from counterpoint import guests
from counterpoint.balance import BALANCERS
from counterpoint.data.cache.shards import array_shapes
from counterpoint.data.clip_table import ClipTable
from counterpoint.encoders import ENCODERS
from counterpoint.errors import ConfigError
from counterpoint.fusion import FUSIONS
from counterpoint.heads import HEADS
from counterpoint.intermediate import INTERMEDIATES
from counterpoint.localise import LOCALISER_LOSSES, LOCALISERS
from counterpoint.losses import LOSSES
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import TRANSFORMS
from counterpoint.models import MODELS
from counterpoint.models.registry import subset
from counterpoint.registry import did_you_mean
from counterpoint.training.budget import expected_epochs, with_budget
from counterpoint.training.build import build_model, create_transforms, on_no_device
from counterpoint.training.config import DataConfig, TrainConfig
from counterpoint.training.config_io import to_dict
from counterpoint.training.datamodule import list_run_clips, media_spec
from counterpoint.training.optim import create_optimizer, create_schedule
from counterpoint.training.precision import has_fast_bfloat16, pick_device, require_device, resolve_precision
from counterpoint.training.resolved import Inputs, Resolved
from counterpoint.wants import hand_in, wants


def resolve(config: TrainConfig, progress: Callable[[int, int], None] | None = None) -> Resolved:
    """Check a configuration and find out what follows from it; its clips are listed, and none is decoded.

    Args:
        config: of a run.
        progress: of a dataset that renders its clips first: called with the clips done and to be done.

    Raises:
        CounterpointError: names, values or data that do not fit, among them a device that this machine lacks.
    """
    check(config)
    table = list_run_clips(config, progress)
    return replace(resolve_for(config, table), table=table)


def admit_guests(config: TrainConfig) -> None:
    """Take the code that a configuration names for named by the user, and import its ``imports``.

    Raises:
        CounterpointError: a module is not found, or cannot be imported.
    """
    guests.import_all(config.imports)
    guests.allow(to_dict(config))
    if guests.is_reference(config.model.name):  # may name further parts
        guests.allow(asdict(MODELS.get(config.model.name)))


def check(config: TrainConfig) -> None:
    """Refuse values outside their range, unknown names and a device that is not there, before any clip is looked at.

    Raises:
        ConfigError: says which value or option, and what it may be.
        UnknownNameError: the message proposes the nearest name.
    """
    config.check()
    optimizer = create_optimizer(config.optim, [torch.nn.Parameter(torch.zeros(1))])  # its options are told too
    create_schedule(config.optim, optimizer, expected_epochs(config), expected_epochs(config))
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
    require_device(config.accelerator, config.devices)


def resolve_for(config: TrainConfig, table: ClipTable | None) -> Resolved:
    """What follows from a checked configuration for the clips of a table.

    Args:
        config: see `check`.
        table: as listed. None, while it is not known: enough to try the parts on each other. Clips are of some shape
            and of two classes then; there are no transforms, encoders are told nothing of the clips, and epochs and
            batch size are as asked for, open or not.

    Raises:
        CounterpointError: what does not fit the clips, among it more segments than they can have.
    """
    if table is None:
        _chosen_inputs(config)
        modalities, device = modalities_of(config), torch.device("cpu")
        return Resolved(
            config,
            ("0", "1"),
            MediaSpec(),
            count_segments(config, None),
            None,
            modalities,
            {},
            config.model.options,
            device,
            config.precision,
        )
    config = with_budget(config, table)
    segments, spec = count_segments(config, table), media_spec(table, config.data.media)
    _check_segments(config, table, spec, segments)
    features = None if table.features is None else table.features.dims
    modalities = modalities_of(config, features)
    inputs: Inputs = {m: {"name": "features"} for m in modalities}
    encoders: dict[str, Any] = _scaling(config.data, table)
    if features is None:
        chosen = _chosen_inputs(config)
        inputs = {m: _transform(m, chosen[m], segments) for m in modalities}
        encoders = _encoders(config, inputs, spec, segments)
    device = pick_device(config.accelerator)
    precision: str = config.precision
    if precision == "auto":
        precision = "32-true"
        if has_fast_bfloat16(device):
            make = functools.partial(build_model, encoders=encoders, segments=segments, features=features)
            precision = resolve_precision("auto", on_no_device(lambda: make(config, len(table.classes))), device)
    return Resolved(config, table.classes, spec, segments, features, modalities, inputs, encoders, device, precision)


def _scaling(config: DataConfig, table: ClipTable) -> dict[str, Any]:
    """Of features, how they are brought to scale.

    Raises:
        ConfigError: the clips are no features, but are to be treated as such.
    """
    if table.features is None:
        for name, value in (("standardise", config.standardise), ("impute", config.impute != "none")):
            if value:
                raise ConfigError(
                    f"data.{name} is for clips that are features, and {table.name} has media; leave it out"
                )
        return {}
    standardise = table.features.standardise if config.standardise is None else config.standardise
    return {"standardise": standardise, "impute": config.impute == "mean"}


def count_segments(config: TrainConfig, table: ClipTable | None) -> int | None:
    """T, as asked for or as the dataset recommends; None where nothing is localised."""
    if config.task != "localise":
        return None
    return config.localise.segments or (table and table.segments) or 1


def modalities_of(config: TrainConfig, features: Mapping[str, int] | None = None) -> tuple[str, ...]:
    """The modalities that a run is trained on, in order.

    Args:
        config: of the run.
        features: widths by modality, where clips are features.

    Raises:
        ConfigError: it is to be trained on one that there is not.
    """
    name = config.model.name
    if features is not None:
        return tuple(subset("features", features, config.model.modalities))
    return tuple(subset(f"model {name!r}", MODELS.get(name).encoders, config.model.modalities))


def _check_segments(config: TrainConfig, table: ClipTable, spec: MediaSpec, segments: int | None) -> None:
    """Refuse segments that the clips cannot be cut into."""
    features = table.features
    if features is None:
        if segments is not None and segments > spec.num_frames:
            raise ConfigError(
                f"localise.segments is {segments}, but a clip has {spec.num_frames} frames; take fewer segments, or "
                "more frames (data.media.fps)"
            )
    elif segments is None and features.segments is not None:
        raise ConfigError(
            f"the clips of {table.name} are features of segments, which are only localised; set task to localise"
        )
    elif segments is not None and features.segments is None:
        raise ConfigError(f"{table.name} has one feature vector for each whole clip; leave task at classify")
    elif segments != features.segments:
        raise ConfigError(
            f"{table.name} has features of {features.segments} segments a clip; leave localise.segments out"
        )


def _chosen_inputs(config: TrainConfig) -> Inputs:
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


def _transform(modality: str, chosen: dict[str, Any], segments: int | None) -> dict[str, Any]:
    """A transform with what it wants to know."""
    if "name" not in chosen:
        raise ConfigError(f"model.inputs.{modality} has no name; choose one of {', '.join(TRANSFORMS)}")
    return hand_in(TRANSFORMS.get(chosen["name"]), chosen, segments=segments or 1)


def _encoders(config: TrainConfig, inputs: Inputs, spec: MediaSpec, segments: int | None) -> dict[str, Any]:
    """The model's options, with what each encoder wants to know of what its transform gives."""
    options = dict(config.model.options)
    for modality, transform in inputs.items():
        changes = options.get(modality, {})
        if isinstance(changes, Mapping):  # else the model says what it should be
            name = changes.get("name", MODELS.get(config.model.name).encoders[modality]["name"])
            options[modality] = with_wants(name, changes, modality, transform, spec, segments or 1, config.seed)
    return {modality: changes for modality, changes in options.items() if changes != {}}


def with_wants(
    encoder: str,
    options: Mapping[str, Any],
    modality: str,
    transform: Mapping[str, Any],
    spec: MediaSpec,
    segments: int,
    seed: int,
) -> dict[str, Any]:
    """The options of an encoder, with what it wants of what its transform gives.

    Args:
        encoder: registered name.
        options: as asked for; they win.
        modality: ``"audio"`` or ``"visual"``.
        transform: name and options.
        spec: the shape of the clips.
        segments: T; 1: clips are encoded whole.
        seed: of the run.
    """
    part = ENCODERS.get(encoder)
    if not set(wants(part)) - options.keys():
        return dict(options)
    shape = _shape(modality, json.dumps(transform), spec)
    there: dict[str, Any] = {"in_channels": shape[0], "clip_shape": shape, "segments": segments, "seed": seed}
    if modality == "visual":
        there |= {"num_frames": shape[1] // segments, "spread": spec.frames is not None}
    else:
        there |= {"n_mels": shape[-2], "n_mfcc": shape[-2], "num_frames": shape[-1] // segments}
    return hand_in(part, options, **there)


@functools.lru_cache(maxsize=256)
def _shape(modality: str, transform: str, spec: MediaSpec) -> tuple[int, ...]:
    """Shape of what a transform gives for one clip, tried with an empty one."""
    with torch.device("cpu"), torch.inference_mode():
        made = create_transforms({modality: json.loads(transform)}, spec, augment=False)[modality].eval()
        shape, kind = array_shapes(spec)[modality]
        return tuple(made(torch.zeros(1, *shape, dtype=getattr(torch, kind.name))).shape[1:])
