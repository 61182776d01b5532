"""Metrics that torchmetrics lacks or is slow at."""

from counterpoint.metrics.accuracy import accuracy
from counterpoint.metrics.average_precision import mean_average_precision
from counterpoint.metrics.localisation import (
    EventCounts,
    event_counts,
    event_f1,
    per_class_accuracy,
    segment_accuracy,
    video_accuracy,
)

__all__ = [
    "EventCounts",
    "accuracy",
    "event_counts",
    "event_f1",
    "mean_average_precision",
    "per_class_accuracy",
    "segment_accuracy",
    "video_accuracy",
]
