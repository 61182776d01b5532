"""Models by name: which encoders, and what they are fed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from counterpoint.encoders import ENCODERS, Encoder, create_encoder
from counterpoint.errors import ConfigError
from counterpoint.fusion import create_fusion
from counterpoint.models.fusion_points import Layers, create_fusion_points
from counterpoint.models.multimodal import MultimodalModel
from counterpoint.models.pretrained import BUILDERS
from counterpoint.registry import Registry, did_you_mean
from counterpoint.wants import wants

Options = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class ModelEntry:
    """A named set of encoders.

    Attributes:
        summary: one line for lists.
        encoders: per modality, in order, the registered encoder's ``name`` and its options.
        default_inputs: per modality the ``name`` and options of the transform that its encoder expects.

    Example:
        >>> MODELS.get("small_av").default_inputs["audio"]
        {'name': 'log_mel'}
    """

    summary: str
    encoders: Mapping[str, Options]
    default_inputs: Mapping[str, Options]


MODELS: Registry[ModelEntry] = Registry("model", values_of=ModelEntry)


def create_model(
    name: str,
    *,
    num_classes: int,
    modalities: Sequence[str] | None = None,
    intermediate: str | None = None,
    intermediate_layers: Layers | None = None,
    intermediate_options: Options | None = None,
    fusion: str = "concat",
    fusion_options: Options | None = None,
    head: str = "linear",
    head_options: Options | None = None,
    modality_dropout: float = 0.0,
    **encoders: Options,
) -> MultimodalModel:
    """A registered model with fresh weights.

    Args:
        name: e.g. ``"small_av"``; see `list_models`.
        num_classes: C.
        modalities: these alone; one trains a unimodal baseline. None: all.
        intermediate: registered intermediate fusion; None: the encoders know nothing of each other.
        intermediate_layers: where it acts, one entry per place: ``"late"`` (the encoders' last maps), ``"mid"`` (those
            before), or per modality the name of a stage, ``{"audio": "conv2", "visual": "layer3"}``; None: where its
            paper has it.
        intermediate_options: its keyword options.
        fusion: registered fusion.
        fusion_options: its keyword options.
        head: registered head.
        head_options: its keyword options.
        modality_dropout: probability by which a modality of a clip is ablated in training, 0 to 1.
        encoders: per modality changes to its encoder, e.g. ``visual={"in_channels": 3}``, or
            ``visual={"name": "resnet34"}`` for another one.

    Raises:
        UnknownNameError: no such model, encoder, stage, intermediate fusion, fusion or head.
        ConfigError: modalities that the model does not have, or options that do not fit.

    Example:
        >>> model = create_model("small_av", num_classes=6, fusion="sum", fusion_options={"zeta": "learned"})
        >>> model.modalities
        ('audio', 'visual')
    """
    made = create_encoders(name, modalities, encoders)
    if intermediate is None and (intermediate_layers or intermediate_options):
        raise ConfigError("intermediate layers and options need an intermediate fusion; name one")
    points = (
        []
        if intermediate is None
        else create_fusion_points(intermediate, made, intermediate_layers, intermediate_options or {})
    )
    joined = create_fusion(
        fusion,
        {m: encoder.out_features for m, encoder in made.items()},
        num_classes,
        head=head,
        head_options=head_options,
        **(fusion_options or {}),
    )
    options = {
        "num_classes": num_classes,
        "modalities": None if modalities is None else list(modalities),
        "intermediate": intermediate,
        "intermediate_layers": [p if isinstance(p, str) else dict(p) for p in intermediate_layers or ()],
        "intermediate_options": dict(intermediate_options or {}),
        "fusion": fusion,
        "fusion_options": dict(fusion_options or {}),
        "head": head,
        "head_options": dict(head_options or {}),
        **dropping(modality_dropout),
        **{m: dict(changes) for m, changes in encoders.items()},
    }
    return MultimodalModel(
        made,
        joined,
        points=points,
        modality_dropout=modality_dropout,
        config={"name": name, "options": options},
    )


BUILDERS[None] = create_model


def dropping(modality_dropout: float) -> dict[str, float]:
    """The option as ``config.json`` has it: where nothing is dropped, folders are such as any version reads."""
    return {"modality_dropout": modality_dropout} if modality_dropout else {}


def create_encoders(name: str, modalities: Sequence[str] | None, changes: Mapping[str, Options]) -> dict[str, Encoder]:
    """The encoders of a registered model, with fresh weights; see `create_model`."""
    entry = MODELS.get(name)
    chosen = subset(f"model {name!r}", entry.encoders, modalities)
    for modality, change in changes.items():
        if modality not in entry.encoders:
            known = did_you_mean(modality, entry.encoders)
            raise ConfigError(f"model {name!r} has no modality or option {modality!r}.{known}")
        if not isinstance(change, Mapping):
            raise ConfigError(f"{modality}={change!r}: changes to an encoder are a mapping such as {{'width': 16}}")
    return {m: _create_encoder({**chosen[m]}, changes.get(m, {})) for m in chosen}


def list_models(pattern: str = "*") -> list[str]:
    """Names of registered models that match a shell pattern such as ``"*resnet*"``, sorted.

    Example:
        >>> list_models("*resnext*")
        ['resnext50_mfcc']
    """
    return MODELS.names(pattern)


def subset(owner: str, parts: Mapping[str, T], modalities: Sequence[str] | None) -> dict[str, T]:
    """The parts of these modalities alone, in the order of the parts; None: all.

    Args:
        owner: whose they are, for messages.
        parts: by modality.
        modalities: one or more, each once.

    Raises:
        ConfigError: modalities that it does not have, that come twice, or none.
    """
    if modalities is None:
        return dict(parts)
    for modality in modalities:
        if modality not in parts:
            raise ConfigError(f"{owner} has no modality {modality!r}.{did_you_mean(modality, parts)}")
    if not modalities or len(set(modalities)) < len(modalities):
        raise ConfigError(f"modalities must name one or more of {', '.join(parts)}, each once; got {modalities}")
    return {m: part for m, part in parts.items() if m in modalities}


def _create_encoder(options: dict[str, Any], changes: Options) -> Encoder:
    if changes.get("name", options["name"]) != options["name"]:
        wanted = wants(ENCODERS.get(changes["name"]))
        options = {name: value for name, value in options.items() if name == "in_channels" and name in wanted}
    options = {**options, **changes}
    return create_encoder(options.pop("name"), **options)


MODELS.register("small_av")(
    ModelEntry(
        "small CNNs for spoken words and lips, seconds of training on a CPU",
        {"audio": {"name": "audio_cnn", "in_channels": 1}, "visual": {"name": "visual_cnn", "in_channels": 1}},
        {"audio": {"name": "log_mel"}, "visual": {"name": "frames"}},
    )
)
MODELS.register("resnet18_av")(
    ModelEntry(
        "two ResNet-18, of spectrograms and of colour frames, as OGM-GE, SimAM² and MMCosine train",
        {"audio": {"name": "resnet18", "in_channels": 1}, "visual": {"name": "resnet18", "in_channels": 3}},
        {"audio": {"name": "log_spectrogram"}, "visual": {"name": "frames"}},
    )
)
MODELS.register("resnet_se34_av")(
    ModelEntry(
        "ResNetSE34 of speech and a ResNet-34 of a colour face, as MMCosine's released code trains on VoxCeleb",
        {"audio": {"name": "resnet_se34", "in_channels": 1}, "visual": {"name": "resnet34", "in_channels": 3}},
        {"audio": {"name": "speaker_mel"}, "visual": {"name": "frames"}},
    )
)
MODELS.register("resnext50_mfcc")(
    ModelEntry(
        "a 1-D CNN of MFCCs and a 3-D ResNeXt-50 of colour frames, as CFN-SR trains on RAVDESS",
        {"audio": {"name": "mfcc_cnn"}, "visual": {"name": "resnext50_3d", "in_channels": 3}},
        {"audio": {"name": "mfcc", "n_mfcc": 13}, "visual": {"name": "frames"}},
    )
)
