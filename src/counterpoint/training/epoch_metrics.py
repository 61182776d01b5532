"""Metrics of an epoch: outputs are collected as they come and evaluated once, so that no step waits for the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterpoint.distributed import all_gather
from counterpoint.training.task import Task


class EpochMetrics:
    """One pass over a split.

    Args:
        task: says what is kept of an output, and which metrics are computed.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.clear()

    def clear(self) -> None:
        """Forget everything, for the next pass."""
        self._columns: dict[str, list[Tensor]] = {}
        self._modalities: tuple[str, ...] = ()

    def add(self, output: Any, target: Tensor, index: Tensor) -> None:
        """Take in one batch.

        Args:
            output: what the model gave for B clips.
            target: the dataset's classes, ``(B,)``, or of T segments ``(B, T)``.
            index: ``(B,)`` which clips of the split these are; one that comes twice counts once.
        """
        self._modalities = tuple(output.unimodal_logits)
        for name, values in {"index": index, "target": target, **self.task.observe(output, target)}.items():
            self._columns.setdefault(name, []).append(values)

    def compute(self, prefix: str = "", *, scores: bool = False) -> dict[str, float]:
        """``loss``, the task's metrics, and from 0 to 1 ``accuracy_<modality>`` where modalities can be told apart.

        With `scores`, of classifiers the mean logit of the true class as well: ``logit`` joint, ``logit_<modality>`` of
        a modality's own logits (MMCosine Fig. 3, b).

        Under several processes every process gets the figures of all of them.
        """
        found = {name: all_gather(torch.cat(values)) for name, values in self._columns.items()}
        first = first_of_each(found["index"])
        found = {name: values[first] for name, values in found.items()}
        predictions = self.task.predictions(found)
        values = {
            "loss": self.task.mean_loss(found),
            **{name: metric.function(predictions) for name, metric in self.task.metrics.items()},
            **dict(zip((f"accuracy_{m}" for m in self._modalities), found["hits"].double().mean(0), strict=True)),
        }
        if scores and "scores" in found:
            names = ("logit", *(f"logit_{m}" for m in self._modalities))
            values |= dict(zip(names, found["scores"].double().mean(0), strict=True))
        device = found["target"].device
        numbers = torch.stack([value.detach().to(device, torch.float64) for value in values.values()]).tolist()
        return {prefix + name: number for name, number in zip(values, numbers, strict=True)}


def first_of_each(index: Tensor) -> Tensor:
    """Positions of the first occurrence of each value, by value: ``(N,) -> (number of values,)``."""
    order = index.argsort(stable=True)
    values = index[order]
    new = torch.ones_like(values, dtype=torch.bool)
    new[1:] = values[1:] != values[:-1]
    return order[new]
