"""Encoders: one modality in, one vector per sample out."""

from counterpoint.encoders.base import Encoder, Stage
from counterpoint.encoders.erann import ERANN
from counterpoint.encoders.fold import fold_batch_norms
from counterpoint.encoders.mfcc import MFCCCNN
from counterpoint.encoders.registry import ENCODERS, create_encoder, list_encoders
from counterpoint.encoders.resnet import ResNet, ResNet18, ResNet18In3D, ResNet34, ResNet50, ResNeXt50In3D
from counterpoint.encoders.resnet_se import ResNetSE34
from counterpoint.encoders.simam import SimAM
from counterpoint.encoders.small import AudioCNN, VisualCNN
from counterpoint.encoders.vgg import VGG, VGG11, VGG16, VGG19
from counterpoint.encoders.vggish import VGGish

__all__ = [
    "ENCODERS",
    "ERANN",
    "MFCCCNN",
    "VGG",
    "VGG11",
    "VGG16",
    "VGG19",
    "AudioCNN",
    "Encoder",
    "ResNeXt50In3D",
    "ResNet",
    "ResNet18",
    "ResNet18In3D",
    "ResNet34",
    "ResNet50",
    "ResNetSE34",
    "SimAM",
    "Stage",
    "VGGish",
    "VisualCNN",
    "create_encoder",
    "fold_batch_norms",
    "list_encoders",
]
