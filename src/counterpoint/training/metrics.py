"""The table of metrics: what each task is evaluated by, in which order, under which heading, and which way is better.

Training, progress, console, reports, the choice of the epoch, search and comparison read this table; a new metric is
one function with its row in the decorator above it. Torch is imported when a metric is computed: names are needed long
before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterpoint.errors import ConfigError
from counterpoint.registry import ROW, Registry

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Predictions:
    """What a model says of N clips, and what is true of them.

    Attributes:
        target: true classes, ``(N,)``; in localisation of each segment, ``(N, T)``, background included.
        classes: predicted ones, of the shape of `target`.
        logits: joint logits, ``(N, C)``; None in localisation.
        video: in localisation the predicted class of each whole clip, ``(N,)``; None where that is not known.
        background: in localisation the class of segments without an event; None elsewhere.
    """

    target: Tensor
    classes: Tensor
    logits: Tensor | None = None
    video: Tensor | None = None
    background: int | None = None


@dataclass(frozen=True)
class Metric:
    """A row of the table.

    Attributes:
        function: predictions to a scalar tensor.
        heading: of its column.
        meaning: one sentence without a full stop, to which reports add how it is averaged.
        noun: what a figure of it is called in a sentence.
        higher_is_better: False where lower values are better.
        percent: shown as a percentage of a value from 0 to 1; False: as a plain number.
        unimodal: can be told of one modality's logits alone.
    """

    function: Callable[[Predictions], Tensor]
    heading: str
    meaning: str
    noun: str
    higher_is_better: bool = True
    percent: bool = True
    unimodal: bool = True

    @property
    def shown(self) -> dict[str, int]:
        """How a figure is written: how many ``digits`` behind the point, after it is multiplied by ``scale``."""
        return {"digits": 1, "scale": 100} if self.percent else {"digits": 3, "scale": 1}

    def text(self, value: float) -> str:
        """``"81.3 %"``, or ``"0.813"`` of what is no share."""
        return f"{100 * value:.1f} %" if self.percent else f"{value:.3f}"

    @property
    def sign(self) -> int:
        """1 or -1: what makes higher values better."""
        return 1 if self.higher_is_better else -1


METRICS: dict[str, Registry[Metric]] = {
    task: Registry("metric", values_of=Metric, key=f"{task}_metric") for task in ("classify", "localise")
}
"""Task -> metrics by name; the first is what methods are compared by, and what chooses the epoch by default."""


def metric(
    task: str,
    name: str,
    *,
    heading: str,
    meaning: str,
    noun: str = "",
    higher_is_better: bool = True,
    percent: bool = True,
    unimodal: bool = True,
) -> Callable[[Callable[[Predictions], Tensor]], Callable[[Predictions], Tensor]]:
    """Decorator: make a function of `Predictions` a metric of a task; see `Metric` for the arguments.

    Example:
        >>> @metric("classify", "error", heading="Error", meaning="Share of wrong clips", higher_is_better=False)
        ... def error(predictions):
        ...     return (predictions.classes != predictions.target).double().mean()
    """

    def add(function: Callable[[Predictions], Tensor]) -> Callable[[Predictions], Tensor]:
        row = Metric(function, heading, meaning, noun or heading, higher_is_better, percent, unimodal)
        METRICS[task].register(name)(row)
        setattr(function, ROW, row)  # by which package.module:function finds it
        return function

    return add


def metrics_of(task: str, *named: str) -> dict[str, Metric]:
    """The metrics of a task by name, in order; behind them those of `named` that are no rows of the table.

    A module that is imported for a name of `named` may add rows; the metric that is named is not measured twice.

    Raises:
        UnknownNameError: no metric has a name of `named`.
        ConfigError: no such task.
    """
    if task not in METRICS:
        raise ConfigError(f"task is {task!r}; it must be one of {', '.join(METRICS)}")
    found = {name: METRICS[task].get(name) for name in named}
    rows = METRICS[task].items()
    further = {name: row for name, row in found.items() if name not in rows}
    return {**{name: row for name, row in rows.items() if row not in further.values()}, **further}


@metric(
    "classify",
    "accuracy",
    heading="Top-1",
    meaning="Share of test clips whose highest joint logit is the true class, in percent",
    noun="top-1",
)
def _accuracy(predictions: Predictions) -> Tensor:
    return (predictions.classes == predictions.target).double().mean()


@metric(
    "classify",
    "mAP",
    heading="mAP",
    meaning="Average precision of each class against the rest, mean over classes, in percent",
)
def _mean_average_precision(predictions: Predictions) -> Tensor:
    from counterpoint.metrics import mean_average_precision

    assert predictions.logits is not None
    return mean_average_precision(predictions.logits.softmax(1), predictions.target)


@metric(
    "localise",
    "accuracy",
    heading="Segments",
    meaning="Share of test segments with the right class, background included, in percent",
    noun="of segments",
)
def _segment_accuracy(predictions: Predictions) -> Tensor:
    from counterpoint.metrics import segment_accuracy

    return segment_accuracy(predictions.classes, predictions.target)


@metric(
    "localise",
    "event_f1",
    heading="Event F1",
    meaning="F1 of whole events at an intersection over union of one half, all classes together, in percent",
)
def _event_f1(predictions: Predictions) -> Tensor:
    from counterpoint.metrics import event_f1

    assert predictions.background is not None
    return event_f1(predictions.classes, predictions.target, predictions.background)


@metric(
    "localise",
    "video_accuracy",
    heading="Clips",
    meaning="Share of test clips whose class is right, whatever is when, in percent",
    unimodal=False,
)
def _video_accuracy(predictions: Predictions) -> Tensor:
    from counterpoint.localise import clip_classes
    from counterpoint.metrics import video_accuracy

    assert predictions.video is not None and predictions.background is not None
    return video_accuracy(predictions.video, clip_classes(predictions.target, predictions.background))
