"""Models: encoders, fusion and head put together, by name; and encoders with a localiser."""

from counterpoint.models.feature_model import create_feature_model
from counterpoint.models.localisation import LocalisationModel, create_localisation_model
from counterpoint.models.multimodal import MultimodalModel
from counterpoint.models.pretrained import Model, from_pretrained
from counterpoint.models.registry import MODELS, ModelEntry, create_model, list_models

__all__ = [
    "MODELS",
    "LocalisationModel",
    "Model",
    "ModelEntry",
    "MultimodalModel",
    "create_feature_model",
    "create_localisation_model",
    "create_model",
    "from_pretrained",
    "list_models",
]
