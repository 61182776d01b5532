"""Fusions: a mapping of modality features in, one `FusionOutput` out."""

from counterpoint.fusion.average import Average
from counterpoint.fusion.base import FUSIONS, Fusion, Joined, create_fusion
from counterpoint.fusion.concat import Concat
from counterpoint.fusion.film import FiLM
from counterpoint.fusion.fop import FOP
from counterpoint.fusion.gate import ZetaGate
from counterpoint.fusion.gated import Gated
from counterpoint.fusion.late import Late
from counterpoint.fusion.log_pool import LogPool
from counterpoint.fusion.mcb import MCB
from counterpoint.fusion.mmtm import MMTMFusion
from counterpoint.fusion.modality_dropout import ModalityDropout
from counterpoint.fusion.msaf import MSAFFusion
from counterpoint.fusion.multiplicative import Multiplicative
from counterpoint.fusion.output import FusionOutput
from counterpoint.fusion.product import Product
from counterpoint.fusion.qmf import QMF
from counterpoint.fusion.simam2 import SimAM2
from counterpoint.fusion.sum import Sum
from counterpoint.fusion.superposition import AttentionOptions, SuperpositionOptions

__all__ = [
    "FOP",
    "FUSIONS",
    "MCB",
    "QMF",
    "AttentionOptions",
    "Average",
    "Concat",
    "FiLM",
    "Fusion",
    "FusionOutput",
    "Gated",
    "Joined",
    "Late",
    "LogPool",
    "MMTMFusion",
    "MSAFFusion",
    "ModalityDropout",
    "Multiplicative",
    "Product",
    "SimAM2",
    "Sum",
    "SuperpositionOptions",
    "ZetaGate",
    "create_fusion",
]
