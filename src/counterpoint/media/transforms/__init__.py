"""Transforms of batches in front of encoders: samples to spectrograms, bytes to pictures."""

from counterpoint.media.transforms.base import Transform
from counterpoint.media.transforms.features import Features
from counterpoint.media.transforms.frames import Frames
from counterpoint.media.transforms.mel import MFCC, LogMel
from counterpoint.media.transforms.registry import TRANSFORMS, create_transform
from counterpoint.media.transforms.speaker_mel import SpeakerMel
from counterpoint.media.transforms.spectrogram import LogSpectrogram
from counterpoint.media.transforms.vggish import VGGishMel

__all__ = [
    "MFCC",
    "TRANSFORMS",
    "Features",
    "Frames",
    "LogMel",
    "LogSpectrogram",
    "SpeakerMel",
    "Transform",
    "VGGishMel",
    "create_transform",
]
