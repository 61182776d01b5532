"""Metrics of what is kept of a pass over a split."""

from __future__ import annotations

from typing import Any

from counterpoint.analysis.results import Scores
from counterpoint.analysis.traces import Array
from counterpoint.training.metrics import Predictions, metrics_of


def score(logits: Array, target: Any, video: Any = None, *, named: tuple[str, ...] = ()) -> Scores:
    """Metrics of a pass over N clips.

    Args:
        logits: ``(N, C)``, or of segments ``(N, T, C + 1)``.
        target: classes, ``(N,)`` or ``(N, T)``.
        video: classes that a localiser finds in whole clips, ``(N,)``; None: those are not known, as of one modality.
        named: further metrics, beside the task's own.
    """
    import torch

    values, classes = torch.as_tensor(logits), torch.as_tensor(target)
    if classes.ndim == 1:
        predictions = Predictions(classes, values.argmax(-1), logits=values)
        rows = metrics_of("classify", *named)
    else:
        clips = None if video is None else torch.as_tensor(video)
        predictions = Predictions(classes, values.argmax(-1), video=clips, background=values.shape[-1] - 1)
        rows = {name: row for name, row in metrics_of("localise", *named).items() if row.unimodal or video is not None}
    return {name: float(row.function(predictions)) for name, row in rows.items()}
