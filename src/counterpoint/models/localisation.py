"""Clips in, what happens when out: an encoder per modality over each segment, and a localiser over all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from counterpoint._eval_mode import evaluating
from counterpoint._moved import former_method
from counterpoint.encoders import Encoder
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.localise import Localiser, LocaliserOutput, create_localiser
from counterpoint.localise.base import VISUAL
from counterpoint.models.feature_scaler import FeatureScaler, make_scalers
from counterpoint.models.pretrained import BUILDERS, Model
from counterpoint.models.registry import Options, create_encoders

NAME = "localisation"  # in config.json, where others have the name of a registered model


class LocalisationModel(Model):
    """Cuts clips into segments, encodes each, and localises; or localises features that were made before.

    Args:
        encoders: per modality; none: the inputs are features already.
        localiser: takes what the encoders give: maps of the visual one, features of the other.
        segments: T, into how many equal parts clips are cut along time.
        scalers: per modality what brings given features to one scale; none: they stay as they are.
        config: how `create_localisation_model` makes this model again; None for one that was put together by
            hand, which cannot be saved by `save_pretrained`.

    Raises:
        ConfigError: encoders and localiser are of different modalities, or fewer than one segment.

    Example:
        >>> from counterpoint.localise import AVEL
        >>> model = LocalisationModel({}, AVEL({"visual": 8, "audio": 4}, num_classes=3), segments=10)
        >>> model({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        localiser: Localiser,
        segments: int,
        *,
        scalers: Mapping[str, FeatureScaler] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if encoders and tuple(encoders) != localiser.modalities:
            raise ConfigError(
                f"the encoders are of {', '.join(encoders)}, but the localiser takes "
                f"{', '.join(localiser.modalities)}; both need the same names in the same order"
            )
        if segments < 1:
            raise ConfigError(f"segments is {segments}; a clip has at least 1")
        self.encoders = nn.ModuleDict(encoders)
        self.localiser = localiser
        self.segments = segments
        self.scaling = nn.ModuleDict(scalers or {})
        self.config: dict[str, Any] = dict(config or {})

    if TYPE_CHECKING:

        @override
        def __call__(self, inputs: Mapping[str, Tensor]) -> LocaliserOutput: ...

    @property
    def modalities(self) -> tuple[str, ...]:
        """In declared order."""
        return self.localiser.modalities

    @property
    @override
    def scalers(self) -> dict[str, FeatureScaler]:
        return {modality: part for modality, part in self.scaling.items() if isinstance(part, FeatureScaler)}

    @property
    def balanced(self) -> dict[str, nn.Module]:
        """Per modality what it alone passes through: its encoder, and the localiser's part before modalities meet."""
        parts = self.localiser.encoders()
        return {m: nn.ModuleList([self.encoders[m], part] if self.encoders else [part]) for m, part in parts.items()}

    def encode(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features of segments: ``(B, T, D)``, of the visual modality ``(B, T, L, D)``.

        Args:
            inputs: per modality what its encoder takes, for whole clips: time is the last axis of sound, ``(B, C, F,
                W)`` or ``(B, C, W)``, and the third of sight, ``(B, C, N, H, W)``. Without encoders, features.

        Raises:
            UnknownNameError: a modality is missing, or was never declared (told by the localiser).
            ShapeError: a clip is shorter than T segments, or has a shape that its encoder does not take.
        """
        if not self.encoders:
            return {m: self.scaling[m](x) if m in self.scaling else x for m, x in inputs.items()}
        features = {}
        for modality, x in inputs.items():
            if modality not in self.encoders:  # the localiser says what it knows
                features[modality] = x
                continue
            encoder = self.encoders[modality]
            assert isinstance(encoder, Encoder)
            if modality != VISUAL:
                features[modality] = self._of_clips(encoder(cut(x, self.segments, -1)))
                continue
            maps = cut(x, self.segments, 2)
            encoder.check_input(maps)
            for stage in encoder.stages().values():
                maps = stage(maps)
            if maps.ndim == 5:  # a few frames: what they show on average
                maps = maps.mean(2)
            features[modality] = self._of_clips(maps.flatten(2).transpose(1, 2))
        return features

    def _of_clips(self, x: Tensor) -> Tensor:
        """``(B * T, ...)`` to ``(B, T, ...)``."""
        return x.reshape(-1, self.segments, *x.shape[1:])

    def forward(self, inputs: Mapping[str, Tensor]) -> LocaliserOutput:
        """Encode and localise; see `encode`."""
        return self.localiser(self.encode(inputs))

    def ablated(self, inputs: Mapping[str, Tensor], keep: str | Collection[str]) -> LocaliserOutput:
        """What the model says with the features of every modality but `keep` at zero, in evaluation mode."""
        with evaluating(self), torch.no_grad():
            return self.localiser.ablated(self.encode(inputs), keep)

    silenced = former_method("LocalisationModel", "silenced", "ablated")


def cut(x: Tensor, segments: int, dim: int) -> Tensor:
    """Equal segments of an axis as clips of their own: ``(B, ..., N, ...)`` to ``(B * T, ..., N // T, ...)``.

    Where T does not divide N, segments of the same length begin at the nearest steps before their exact beginnings.

    Raises:
        ShapeError: N is below T.
    """
    steps = x.shape[dim]
    if steps < segments:
        raise ShapeError(
            f"a clip of shape {tuple(x.shape[1:])} has {steps} steps of time, too few for {segments} segments; "
            "take fewer segments, or more frames"
        )
    length, dim = steps // segments, dim % x.ndim
    if steps > length * segments:
        begin = torch.arange(segments, device=x.device) * steps // segments
        x = x.index_select(dim, (begin[:, None] + torch.arange(length, device=x.device)).flatten())
    parts = x.reshape(*x.shape[:dim], segments, length, *x.shape[dim + 1 :])
    return parts.movedim(dim, 1).flatten(0, 1)


def create_localisation_model(
    localiser: str,
    *,
    num_classes: int,
    segments: int,
    model: str | None = None,
    dims: Mapping[str, int] | None = None,
    modalities: Sequence[str] | None = None,
    localiser_options: Options | None = None,
    standardise: bool = False,
    impute: bool = False,
    **encoders: Options,
) -> LocalisationModel:
    """A localiser with fresh weights, behind the encoders of a registered model or behind features.

    Args:
        localiser: registered, e.g. ``"bmfn"``.
        num_classes: C, the classes of events; background is not counted.
        segments: T.
        model: whose encoders; None: none, for features of the widths `dims`.
        dims: widths of features, e.g. ``{"audio": 128, "visual": 512}``; with `model` they follow from it.
        modalities: these alone; None: all.
        localiser_options: its keyword options, e.g. ``{"supervision": "weakly"}``.
        standardise: of features, bring each column to mean 0 and spread 1, as `FeatureScaler` does once it is fitted.
        impute: of features, put a column's mean where a value is NaN.
        encoders: per modality changes to its encoder, as for `create_model`.

    Raises:
        UnknownNameError: no such localiser, model or encoder.
        ConfigError: modalities that the model or the localiser does not have, options that do not fit, or not exactly
            one of `model` and `dims`.

    Example:
        >>> model = create_localisation_model("avel", num_classes=3, segments=10, model="small_av")
        >>> model.modalities
        ('audio', 'visual')
    """
    if (model is None) == (dims is None):
        raise ConfigError("a localisation model needs either the encoders of a model or the widths (dims) of features")
    made: dict[str, Encoder] = {}
    if model is not None:
        made = create_encoders(model, modalities, encoders)
        widths = {m: _width(m, encoder) for m, encoder in made.items()}
    else:
        widths = {m: width for m, width in (dims or {}).items() if modalities is None or m in modalities}
    options = {
        "localiser": localiser,
        "num_classes": num_classes,
        "segments": segments,
        "model": model,
        "dims": None if dims is None else dict(dims),
        "modalities": None if modalities is None else list(modalities),
        "localiser_options": dict(localiser_options or {}),
        **({} if model is not None else {"standardise": standardise, "impute": impute}),
        **{m: dict(changes) for m, changes in encoders.items()},
    }
    part = create_localiser(localiser, widths, num_classes, **(localiser_options or {}))
    scalers: Any = make_scalers(widths if model is None else {}, standardise, impute)
    return LocalisationModel(made, part, segments, scalers=scalers, config={"name": NAME, "options": options})


def _width(modality: str, encoder: Encoder) -> int:
    return list(encoder.stage_channels.values())[-1] if modality == VISUAL else encoder.out_features


BUILDERS[NAME] = create_localisation_model
