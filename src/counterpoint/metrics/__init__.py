"""Metrics that torchmetrics lacks or is slow at."""

from counterpoint.metrics.accuracy import accuracy
from counterpoint.metrics.average_precision import mean_average_precision

__all__ = ["accuracy", "mean_average_precision"]
