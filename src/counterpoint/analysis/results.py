"""What a comparison found: plain records that go to JSON and CSV as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from counterpoint.analysis.dependence import Dependence
from counterpoint.analysis.statistics import Difference, Estimate
from counterpoint.training.metrics import Metric, metrics_of

Scores = dict[str, float]
"""Metrics of the task by name; ``accuracy`` is always among them."""


@dataclass(frozen=True)
class ModalityScores:
    """What one modality of one trained model can do alone, on test.

    Attributes:
        decoupled: by its own share of the joint logits; None where the model does not tell it.
        ablated: by the joint logits with the features of all other modalities set to zero.
        probe: by a linear classifier on the frozen encoder; None where none was fitted.
    """

    decoupled: Scores | None
    ablated: Scores
    probe: Scores | None


@dataclass(frozen=True)
class RunResult:
    """One trained model.

    Attributes:
        folder: of the run.
        seed: of the run.
        epoch: that validation data chose, counted from 0.
        fold: of the data; None where they have one split.
        val: scores on validation data at that epoch.
        test: scores on test data, looked at once.
        modalities: what each can do alone.
        skipped: unreadable clips: id -> reason.
        seconds: of training and analysis together.
        dependence: pair of modalities, by its `pair_name` -> how much their
            features say about each other; empty where no probes were fitted.
        trained_on: clips of the training split that the model was trained on.
        held_out: the others, which its balancer judges by.
    """

    folder: str
    seed: int
    epoch: int
    val: Scores
    test: Scores
    modalities: dict[str, ModalityScores]
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    fold: int | None = None
    dependence: dict[str, Dependence] = field(default_factory=dict)
    trained_on: int = 0
    held_out: int = 0


@dataclass(frozen=True)
class SeedResult:
    """One seed of a method: its run, or its runs on all folds evaluated as one.

    Attributes:
        seed: of the runs.
        test: scores on the test clips, of all folds together where there are folds.
        modalities: what each can do alone, on the same clips.
        fold_accuracy: mean over folds of each fold's top-1, as papers report it; None where there are no folds.
        dependence: pair of modalities -> how much their features say about each other; the mean over folds, whose
            models have nothing in common that could be pooled.
    """

    seed: int
    test: Scores
    modalities: dict[str, ModalityScores]
    fold_accuracy: float | None = None
    dependence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One setting of a search: what it changed, and its validation score (None: it failed, or diverged)."""

    setting: dict[str, Any]
    score: float | None
    diverged: bool = False


@dataclass(frozen=True)
class MethodResult:
    """One method, or one modality trained alone, over seeds.

    Attributes:
        name: as the tables call it.
        title: one line about it.
        scores: metric -> over seeds, on test; clips of all folds together.
        modalities: per modality ``"decoupled"``, ``"ablated"`` and ``"probe"``: accuracy over seeds.
        difference: to the baseline; None for the baseline itself and where either did not finish.
        seeds: one per finished seed; the figures above are over them.
        runs: of these seeds, one each, or one per fold each.
        setting: what the search chose; empty without a search.
        trials: all settings that the search tried.
        fold_accuracy: over seeds, the mean over folds of each fold's top-1; None where there are no folds.
        dependence: pair of modalities -> how much their features say about each other, over seeds; only what was
            measured of every one of them.
    """

    name: str
    title: str
    scores: dict[str, Estimate]
    modalities: dict[str, dict[str, Estimate]]
    difference: Difference | None
    seeds: tuple[SeedResult, ...]
    runs: tuple[RunResult, ...]
    setting: dict[str, Any] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    fold_accuracy: Estimate | None = None
    dependence: dict[str, Estimate] = field(default_factory=dict)

    @property
    def accuracy(self) -> Estimate:
        """Of `scores` the one that methods are compared by."""
        return self.scores["accuracy"]


@dataclass(frozen=True)
class Failure:
    """A run that ended with an error; the traceback stands in the run's ``error.txt``.

    Attributes:
        diverged: its loss, gradients or weights were no finite numbers any more.
    """

    name: str
    seed: int
    folder: str
    error: str
    fold: int | None = None
    diverged: bool = False

    @property
    def run(self) -> str:
        """Which run it was, e.g. ``"film seed 1 fold 2"``."""
        return f"{self.name} seed {self.seed}" + ("" if self.fold is None else f" fold {self.fold}")


FindingKind = Literal[
    "shared_groups",
    "few_steps",
    "diverged",
    "few_clips",
    "no_gain",
    "drowned",
    "perhaps_drowned",
    "unfinished",
    "overfitted",
    "learnt",
    "well",
]


@dataclass(frozen=True)
class Finding:
    """Something that a reader of the figures should know; see `report.doctor`.

    Attributes:
        kind: what it is.
        method: that it is about; empty: the whole comparison.
        sentence: it, in words.
        action: what to do, in words and options; empty where there is nothing to do.
    """

    kind: FindingKind
    method: str
    sentence: str
    action: str = ""


@dataclass(frozen=True)
class Comparison:
    """Everything that ``compare`` found; written to ``results.json``.

    Attributes:
        folder: of the comparison.
        dataset: name and task.
        classes: class names.
        modalities: names, in order.
        baseline: the method that the others are tested against.
        methods: name -> result, in the order asked for; a method none of whose runs finished is left out.
        alone: modality -> result of training on it alone.
        failures: runs that ended with an error.
        protocol: what a reader of the numbers must know: splits, notes, search, command, environment.
        folds: of the data, in order; empty where they have one split.
        findings: what a reader should know before the figures, gravest first.
    """

    folder: Path
    dataset: str
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    baseline: str
    methods: dict[str, MethodResult]
    alone: dict[str, MethodResult]
    failures: tuple[Failure, ...]
    protocol: dict[str, Any]
    folds: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def task(self) -> str:
        """``"classify"`` or ``"localise"``."""
        return str(self.protocol["config"]["base"]["task"])

    @property
    def metrics(self) -> dict[str, Metric]:
        """What the runs were evaluated by, in order; methods are compared by ``accuracy``."""
        return metrics_of(self.task, self.protocol["config"]["base"].get("metric", "accuracy"))

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, as JSON has them."""
        plain: dict[str, Any] = _plain(self)
        for method in plain["methods"].values():
            if method["difference"] is not None:
                method["difference"]["verdict"] = self.methods[method["name"]].difference.verdict  # type: ignore[union-attr]
        return plain


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
