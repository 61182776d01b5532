"""Metrics of an epoch of localisation: gathered as they come and counted once, so that no step waits for the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.distributed import all_gather
from counterpoint.localise import LocaliserOutput, clip_classes
from counterpoint.metrics import event_f1, segment_accuracy, video_accuracy
from counterpoint.training.epoch_metrics import first_of_each

if TYPE_CHECKING:
    from counterpoint.training.task import Localisation


class EventScores:
    """What one pass over a split found, segment by segment.

    Args:
        task: supervision and background.
    """

    def __init__(self, task: Localisation) -> None:
        self.task = task
        self.clear()

    def clear(self) -> None:
        """Forget everything, for the next pass."""
        self._parts: dict[str, list[Tensor]] = {}
        self._modalities: tuple[str, ...] = ()

    def add(self, output: LocaliserOutput, target: Tensor, index: Tensor) -> None:
        """Take in one batch.

        Args:
            output: of B clips of T segments.
            target: ``(B, T)`` classes, background included.
            index: ``(B,)`` which clips of the split these are; one that comes twice counts once.
        """
        trained = self.task.trained_on(target)
        self._modalities = tuple(output.unimodal_logits)
        logits = output.segment_logits if self.task.supervision == "fully" else output.video_logits
        each = F.cross_entropy(logits.detach().float().flatten(0, -2), trained.flatten(), reduction="none")
        hits = [
            (x.detach().argmax(-1) == trained).float().view(len(index), -1).mean(1)
            for x in output.unimodal_logits.values()
        ]
        for name, values in (
            ("index", index),
            ("target", target),
            ("predicted", output.segments().detach()),
            ("video", output.video_logits.detach().argmax(-1)),
            ("loss", each.view(len(index), -1).mean(1)),
            ("hits", torch.stack(hits, 1) if hits else each.new_zeros(len(index), 0)),
        ):
            self._parts.setdefault(name, []).append(values)

    def compute(self, prefix: str = "") -> dict[str, float]:
        """Cross entropy of what is trained (segments or clips) as ``loss``, and from 0 to 1 ``accuracy`` (of segments,
        background included), ``event_f1`` (at an overlap of half), ``video_accuracy``, and ``accuracy_<modality>``
        where the localiser tells modalities apart.

        Under several processes every process gets the figures of all of them.
        """
        found = {name: all_gather(torch.cat(values)) for name, values in self._parts.items()}
        first = first_of_each(found["index"])
        found = {name: values[first] for name, values in found.items()}
        target, predicted, background = found["target"], found["predicted"], self.task.background
        values = [
            found["loss"].double().mean(),
            segment_accuracy(predicted, target),
            event_f1(predicted, target, background),
            video_accuracy(found["video"], clip_classes(target, background)),
            *found["hits"].double().mean(0),
        ]
        names = ["loss", "accuracy", "event_f1", "video_accuracy", *(f"accuracy_{m}" for m in self._modalities)]
        numbers = torch.stack([v.detach().to(target.device, torch.float64) for v in values]).tolist()
        return {prefix + name: number for name, number in zip(names, numbers, strict=True)}
