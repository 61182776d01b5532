"""Metrics of an epoch: scores are gathered as they come and counted once, so that no step waits for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.distributed import all_gather
from counterpoint.fusion.output import FusionOutput
from counterpoint.metrics import accuracy, mean_average_precision


class Scores:
    """Joint scores and each modality's hits of one pass over a split."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything, for the next pass."""
        self._logits: list[Tensor] = []
        self._hits: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._index: list[Tensor] = []
        self._modalities: tuple[str, ...] = ()

    def add(self, output: FusionOutput, target: Tensor, index: Tensor) -> None:
        """Take in one batch.

        Args:
            output: of B clips.
            target: ``(B,)`` class indices.
            index: ``(B,)`` which clips of the split these are; one that comes twice counts once.
        """
        self._modalities = tuple(output.unimodal_logits)
        hits = [logits.detach().argmax(1) == target for logits in output.unimodal_logits.values()]
        self._logits.append(output.logits.detach().float())
        self._hits.append(torch.stack(hits, 1))
        self._targets.append(target)
        self._index.append(index)

    def compute(self, prefix: str = "") -> dict[str, float]:
        """``loss`` (mean cross entropy), and from 0 to 1 ``accuracy``, ``mAP`` and ``accuracy_<modality>``.

        Under several processes every process gets the figures of all of them.
        """
        index = all_gather(torch.cat(self._index))
        first = first_of_each(index)
        logits = all_gather(torch.cat(self._logits))[first]
        target = all_gather(torch.cat(self._targets))[first]
        hits = all_gather(torch.cat(self._hits).byte())[first].double()
        values = [
            F.cross_entropy(logits, target),
            accuracy(logits, target),
            mean_average_precision(logits.softmax(1), target),
            *hits.mean(0),
        ]
        names = ["loss", "accuracy", "mAP", *(f"accuracy_{m}" for m in self._modalities)]
        numbers = torch.stack([v.detach().to(logits.device, torch.float64) for v in values]).tolist()
        return {prefix + name: number for name, number in zip(names, numbers, strict=True)}


def first_of_each(index: Tensor) -> Tensor:
    """Positions of the first occurrence of each value, by value: ``(N,) -> (number of values,)``."""
    order = index.argsort(stable=True)
    values = index[order]
    new = torch.ones_like(values, dtype=torch.bool)
    new[1:] = values[1:] != values[:-1]
    return order[new]
