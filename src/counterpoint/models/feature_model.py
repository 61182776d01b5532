"""Models of clips that are features already: a fusion and its head, with nothing in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from counterpoint.errors import ShapeError
from counterpoint.fusion import create_fusion
from counterpoint.models.feature_scaler import FeatureScaler, make_scalers
from counterpoint.models.multimodal import MultimodalModel
from counterpoint.models.pretrained import BUILDERS
from counterpoint.models.registry import dropping, subset

NAME = "features"  # in config.json, where others have the name of a registered model


class GivenFeatures(nn.Module):
    """Stands where an encoder stands, and passes on what was made before: ``(B, D)`` to the same. No parameters.

    Args:
        out_features: D.
        scaler: brings them to one scale; None: they stay as they are.
    """

    def __init__(self, out_features: int, scaler: nn.Module | None = None) -> None:
        super().__init__()
        self.out_features = out_features
        self.scaler = scaler

    def forward(self, x: Tensor) -> Tensor:
        """The features.

        Raises:
            ShapeError: they are not ``(B, D)``.
        """
        if x.ndim != 2 or x.shape[1] != self.out_features:
            raise ShapeError(f"the features must be (B, {self.out_features}), but have the shape {tuple(x.shape)}")
        scaled: Tensor = x if self.scaler is None else self.scaler(x)
        return scaled

    def extra_repr(self) -> str:
        """D, for ``print(model)``."""
        return str(self.out_features)


class FeatureModel(MultimodalModel):
    """A fusion and its head over features that were made before; see `create_feature_model`."""

    @property
    @override
    def scalers(self) -> dict[str, FeatureScaler]:
        made = {modality: getattr(given, "scaler", None) for modality, given in self.encoders.items()}
        return {modality: scaler for modality, scaler in made.items() if isinstance(scaler, FeatureScaler)}


def create_feature_model(
    dims: Mapping[str, int],
    *,
    num_classes: int,
    modalities: Sequence[str] | None = None,
    fusion: str = "concat",
    fusion_options: Mapping[str, Any] | None = None,
    head: str = "linear",
    head_options: Mapping[str, Any] | None = None,
    modality_dropout: float = 0.0,
    standardise: bool = False,
    impute: bool = False,
) -> FeatureModel:
    """A model of one feature vector per clip and modality, with fresh weights.

    Args:
        dims: modality -> width of its features.
        num_classes: C.
        modalities: these alone; None: all.
        fusion: registered fusion.
        fusion_options: its keyword options.
        head: registered head.
        head_options: its keyword options.
        modality_dropout: probability by which a modality of a clip is ablated in training, 0 to 1.
        standardise: bring each column to mean 0 and spread 1, as `FeatureScaler` does once it is fitted.
        impute: put a column's mean where a value is NaN.

    Raises:
        UnknownNameError: no such fusion or head.
        ConfigError: modalities without features, or options that do not fit.

    Example:
        >>> create_feature_model({"audio": 4, "visual": 6}, num_classes=3, fusion="sum").modalities
        ('audio', 'visual')
    """
    chosen = subset("features", dims, modalities)
    joined = create_fusion(fusion, chosen, num_classes, head=head, head_options=head_options, **(fusion_options or {}))
    options = {
        "dims": dict(dims),
        "num_classes": num_classes,
        "modalities": None if modalities is None else list(modalities),
        "fusion": fusion,
        "fusion_options": dict(fusion_options or {}),
        "head": head,
        "head_options": dict(head_options or {}),
        **dropping(modality_dropout),
        "standardise": standardise,
        "impute": impute,
    }
    scalers = dict(make_scalers(chosen, standardise, impute).items())
    encoders = {modality: GivenFeatures(width, scalers.get(modality)) for modality, width in chosen.items()}
    return FeatureModel(encoders, joined, modality_dropout=modality_dropout, config={"name": NAME, "options": options})


BUILDERS[NAME] = create_feature_model
