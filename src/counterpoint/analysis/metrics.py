"""Metrics of what is kept of a pass over a split; and what each is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from counterpoint.analysis.results import Scores
from counterpoint.analysis.traces import Array


@dataclass(frozen=True)
class Metric:
    """A column of results: its heading, and one sentence on what it is, to which the interval is added."""

    heading: str
    meaning: str


NOUN = {"classify": "top-1", "localise": "of segments"}
"""Task -> what a percentage of the metric that methods are compared by is called in a sentence."""

METRICS: dict[str, dict[str, Metric]] = {
    "classify": {
        "accuracy": Metric("Top-1", "Share of test clips whose highest joint logit is the true class, in percent"),
        "mAP": Metric("mAP", "Average precision of each class against the rest, mean over classes, in percent"),
    },
    "localise": {
        "accuracy": Metric("Segments", "Share of test segments with the right class, background included, in percent"),
        "event_f1": Metric(
            "Event F1", "F1 of whole events at an intersection over union of one half, all classes together, in percent"
        ),
        "video_accuracy": Metric("Clips", "Share of test clips whose class is right, whatever is when, in percent"),
    },
}
"""Task -> metric -> column; the first is what methods are compared by."""


def score(logits: Array, target: Any, video: Any = None) -> Scores:
    """Metrics of a pass over N clips, 0 to 1.

    Args:
        logits: ``(N, C)``, or of segments ``(N, T, C + 1)``.
        target: classes, ``(N,)`` or ``(N, T)``.
        video: classes that a localiser finds in whole clips, ``(N,)``; None: they are not judged.
    """
    import torch

    from counterpoint import metrics
    from counterpoint.localise import clip_classes

    values, classes = torch.as_tensor(logits), torch.as_tensor(target)
    if classes.ndim == 1:
        mean = metrics.mean_average_precision(values.softmax(1), classes)
        return {"accuracy": float(metrics.accuracy(values, classes)), "mAP": float(mean)}
    found, background = values.argmax(-1), values.shape[-1] - 1
    scores = {
        "accuracy": float(metrics.segment_accuracy(found, classes)),
        "event_f1": float(metrics.event_f1(found, classes, background)),
    }
    if video is not None:
        right = metrics.video_accuracy(torch.as_tensor(video), clip_classes(classes, background))
        scores["video_accuracy"] = float(right)
    return scores
