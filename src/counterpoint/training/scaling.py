"""What is learnt of features before the first step: mean and spread, of the clips that are trained on alone."""

from __future__ import annotations

from counterpoint.models import Model
from counterpoint.models.feature_scaler import Moments
from counterpoint.training.datamodule import ClipData


def fit_scalers(model: Model, data: ClipData) -> None:
    """Fit what brings given features to one scale on the training clips, without those that are held out.

    Args:
        model: one without scalers stays as it is.
        data: its clips, read through once.
    """
    moments = {modality: Moments(len(scaler.mean)) for modality, scaler in model.scalers.items()}
    if not moments:
        return
    for batch in data.loader("train", part="kept"):
        for modality, seen in moments.items():
            seen.add(batch[modality])
    for modality, scaler in model.scalers.items():
        scaler.fit(moments[modality])
