"""Models: encoders, fusion and head put together, by name."""

from counterpoint.models.multimodal import MultimodalModel
from counterpoint.models.pretrained import from_pretrained
from counterpoint.models.registry import MODELS, ModelEntry, create_model, list_models

__all__ = ["MODELS", "ModelEntry", "MultimodalModel", "create_model", "from_pretrained", "list_models"]
