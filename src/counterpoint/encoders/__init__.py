"""Encoders: one modality in, one vector per sample out."""

from counterpoint.encoders.base import Encoder, Stage
from counterpoint.encoders.registry import ENCODERS, create_encoder, list_encoders
from counterpoint.encoders.resnet import ResNet, ResNet18, ResNet18In3D, ResNet34, ResNet50, ResNeXt50In3D
from counterpoint.encoders.small import AudioCNN, VisualCNN

__all__ = [
    "ENCODERS",
    "AudioCNN",
    "Encoder",
    "ResNeXt50In3D",
    "ResNet",
    "ResNet18",
    "ResNet18In3D",
    "ResNet34",
    "ResNet50",
    "Stage",
    "VisualCNN",
    "create_encoder",
    "list_encoders",
]
