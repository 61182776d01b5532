"""Verification: are two clips of one speaker? Vectors per utterance in, scores of trials out.

A trial list comes from `counterpoint.data.trials.read_trials`, vectors from a model by `trial_vectors`,
averaged over crops by `CropMean`; `counterpoint.metrics` evaluates the scores.
"""

from counterpoint.verify.crops import CropMean, spread_crops
from counterpoint.verify.scoring import cohort_statistics, distance_scores, score_trials, trial_labels, trial_vectors

__all__ = [
    "CropMean",
    "cohort_statistics",
    "distance_scores",
    "score_trials",
    "spread_crops",
    "trial_labels",
    "trial_vectors",
]
