"""What is asked of a model: which target trains it, what is kept of its outputs, and which metrics evaluate them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.fusion.output import FusionOutput
from counterpoint.localise import LocaliserOutput, clip_classes
from counterpoint.training.config import TrainConfig
from counterpoint.training.metrics import Metric, Predictions, metrics_of

Output = FusionOutput | LocaliserOutput


class Task(Protocol):
    """A task; see the module."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """What is computed at the end of a pass."""

    def trained_on(self, target: Tensor) -> Tensor:
        """What loss and balancer see of the dataset's target."""

    def observe(self, output: Any, target: Tensor) -> dict[str, Tensor]:
        """What is kept of a batch: tensors ``(B, ...)``, among them ``hits``, ``(B, M)``, of each modality alone."""

    def predictions(self, found: Mapping[str, Tensor]) -> Predictions:
        """What metrics see of all that was kept, and of ``target``."""

    def mean_loss(self, found: Mapping[str, Tensor]) -> Tensor:
        """Mean cross entropy of what is trained."""


@dataclass(frozen=True)
class Classification:
    """One class per clip.

    Attributes:
        metrics: by name, in order.
    """

    metrics: Mapping[str, Metric] = field(default_factory=lambda: metrics_of("classify"))

    def trained_on(self, target: Tensor) -> Tensor:
        """The target as it is, ``(B,)``."""
        return target

    def observe(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """Joint logits, each modality's hits, and the logits of the true class: joint, then each modality's."""
        logits = output.logits.detach().float()
        own = [one.detach().float() for one in output.unimodal_logits.values()]
        hits = [(one.argmax(1) == target).float() for one in own]
        true = target.clamp(min=0, max=logits.shape[1] - 1).unsqueeze(1)
        scores = torch.cat([one.gather(1, true) for one in (logits, *own)], dim=1)
        return {"logits": logits, "hits": _stack(hits, target), "scores": scores}

    def predictions(self, found: Mapping[str, Tensor]) -> Predictions:
        """Classes are those of the highest joint logits."""
        return Predictions(found["target"], found["logits"].argmax(1), logits=found["logits"])

    def mean_loss(self, found: Mapping[str, Tensor]) -> Tensor:
        """Cross entropy of the joint logits."""
        return F.cross_entropy(found["logits"], found["target"])


@dataclass(frozen=True)
class Localisation:
    """One class per segment, known in training or not.

    Attributes:
        supervision: ``"fully"`` or ``"weakly"``.
        background: C, the class of segments without an event.
        metrics: by name, in order.
    """

    supervision: str
    background: int
    metrics: Mapping[str, Metric] = field(default_factory=lambda: metrics_of("localise"))

    def trained_on(self, target: Tensor) -> Tensor:
        """``(B, T)`` as it is in full supervision; in weak the clips' classes, ``(B,)``, and nothing about when."""
        return target if self.supervision == "fully" else clip_classes(target, self.background)

    def observe(self, output: LocaliserOutput, target: Tensor) -> dict[str, Tensor]:
        """Classes of segments and of clips, the loss of each clip, and each modality's share of hits."""
        trained, clips = self.trained_on(target), len(target)
        logits = output.segment_logits if self.supervision == "fully" else output.video_logits
        loss = F.cross_entropy(logits.detach().float().flatten(0, -2), trained.flatten(), reduction="none")
        hits = [
            (one.detach().argmax(-1) == trained).float().view(clips, -1).mean(1)
            for one in output.unimodal_logits.values()
        ]
        return {
            "classes": output.segments().detach(),
            "video": output.video_logits.detach().argmax(-1),
            "loss": loss.view(clips, -1).mean(1),
            "hits": _stack(hits, target),
        }

    def predictions(self, found: Mapping[str, Tensor]) -> Predictions:
        """Classes as the localiser finds them."""
        return Predictions(found["target"], found["classes"], video=found["video"], background=self.background)

    def mean_loss(self, found: Mapping[str, Tensor]) -> Tensor:
        """Cross entropy of segments, or of clips under weak supervision."""
        return found["loss"].double().mean()


def build_task(config: TrainConfig, num_classes: int) -> Task:
    """What the model is trained and evaluated for."""
    metrics = metrics_of(config.task, config.metric)
    if config.task == "localise":
        return Localisation(config.localise.supervision, num_classes, metrics)
    return Classification(metrics)


def _stack(hits: list[Tensor], target: Tensor) -> Tensor:
    """``(B, M)``; M may be 0."""
    return torch.stack(hits, 1) if hits else torch.zeros(len(target), 0, device=target.device)
