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
from counterpoint.metrics.verification import (
    ErrorCurve,
    OperatingPoint,
    equal_error_rate,
    error_curve,
    min_dcf,
    roc_auc,
)
from counterpoint.metrics.verification_metric import VerificationMetric

__all__ = [
    "ErrorCurve",
    "EventCounts",
    "OperatingPoint",
    "VerificationMetric",
    "accuracy",
    "equal_error_rate",
    "error_curve",
    "event_counts",
    "event_f1",
    "mean_average_precision",
    "min_dcf",
    "per_class_accuracy",
    "roc_auc",
    "segment_accuracy",
    "video_accuracy",
]
