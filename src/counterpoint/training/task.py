"""What is asked of a model: which target trains it, and how what it says is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from counterpoint.fusion.output import FusionOutput
from counterpoint.localise import LocaliserOutput, clip_classes
from counterpoint.training.epoch_metrics import Scores
from counterpoint.training.epoch_metrics_localise import EventScores

Output = FusionOutput | LocaliserOutput


class EpochScores(Protocol):
    """Gathers the outputs of one pass over a split, and counts once at its end."""

    def clear(self) -> None:
        """Forget everything, for the next pass."""

    def add(self, output: Any, target: Tensor, index: Tensor) -> None:
        """Take in what the model gave for one batch, the dataset's targets, and which clips of the split these are."""

    def compute(self, prefix: str = "") -> dict[str, float]:
        """Metrics by name."""


class Task(Protocol):
    """A task; see the module."""

    def trained_on(self, target: Tensor) -> Tensor:
        """What loss and balancer see of the dataset's target."""

    def scores(self) -> EpochScores:
        """A fresh count."""


@dataclass(frozen=True)
class Classification:
    """One class per clip."""

    def trained_on(self, target: Tensor) -> Tensor:
        """The target as it is, ``(B,)``."""
        return target

    def scores(self) -> EpochScores:
        """Loss, top-1, mean average precision."""
        return Scores()


@dataclass(frozen=True)
class Localisation:
    """One class per segment, known in training or not.

    Attributes:
        supervision: ``"fully"`` or ``"weakly"``.
        background: C, the class of segments without an event.
    """

    supervision: str
    background: int

    def trained_on(self, target: Tensor) -> Tensor:
        """``(B, T)`` as it is in full supervision; in weak the clips' classes, ``(B,)``, and nothing about when."""
        return target if self.supervision == "fully" else clip_classes(target, self.background)

    def scores(self) -> EpochScores:
        """Accuracy of segments and of clips, F1 of events."""
        return EventScores(self)
