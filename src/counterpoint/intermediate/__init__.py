"""Intermediate fusion: feature maps of several modalities act on each other inside the encoders."""

from counterpoint._moved import former_names
from counterpoint.intermediate.base import INTERMEDIATES, Intermediate, create_intermediate, list_intermediates
from counterpoint.intermediate.cross_modal import CrossModal
from counterpoint.intermediate.interleave import FusionPoint, Interleaved, Route, Staged
from counterpoint.intermediate.mmtm import MMTM
from counterpoint.intermediate.msaf import MSAF

__all__ = [
    "INTERMEDIATES",
    "MMTM",
    "MSAF",
    "CrossModal",
    "FusionPoint",
    "Interleaved",
    "Intermediate",
    "Route",
    "Staged",
    "create_intermediate",
    "list_intermediates",
]

__getattr__ = former_names(__name__, {"Place": "intermediate:FusionPoint"})
