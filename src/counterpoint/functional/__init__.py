"""The papers' mathematics as pure functions of tensors: no state, no modules, one file per idea."""

from counterpoint.functional.count_sketch import compact_bilinear, count_sketch
from counterpoint.functional.energy_confidence import confidence_rank_loss, energy_confidence, energy_fusion
from counterpoint.functional.gradient_blending import blending_weights
from counterpoint.functional.mixup import Mix, draw_mix
from counterpoint.functional.mmcosine import (
    cosine_logits,
    mmcosine_logits,
    mmcosine_scale_bound,
    unit_rows,
)
from counterpoint.functional.multiplicative import log_complement, multiplicative_scores
from counterpoint.functional.ogm import ogm_coefficients
from counterpoint.functional.orthogonal_projection import orthogonal_projection_loss
from counterpoint.functional.ratios import (
    logit_scores,
    modality_ratios,
    score_ratio,
    zeta_ratio,
    zeta_scores,
)
from counterpoint.functional.simam import simam, simam_energy
from counterpoint.functional.simam2 import simam2, simam2_energy, simam2_with_energy
from counterpoint.functional.soft_hgr import soft_hgr
from counterpoint.functional.superposition import superpose
from counterpoint.functional.zeta import zeta_spread

__all__ = [
    "Mix",
    "blending_weights",
    "compact_bilinear",
    "confidence_rank_loss",
    "cosine_logits",
    "count_sketch",
    "draw_mix",
    "energy_confidence",
    "energy_fusion",
    "log_complement",
    "logit_scores",
    "mmcosine_logits",
    "mmcosine_scale_bound",
    "modality_ratios",
    "multiplicative_scores",
    "ogm_coefficients",
    "orthogonal_projection_loss",
    "score_ratio",
    "simam",
    "simam2",
    "simam2_energy",
    "simam2_with_energy",
    "simam_energy",
    "soft_hgr",
    "superpose",
    "unit_rows",
    "zeta_ratio",
    "zeta_scores",
    "zeta_spread",
]
