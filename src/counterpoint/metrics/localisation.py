"""How well events are placed in time: over segments, over events, and over whole clips."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError


def segment_accuracy(predicted: Tensor, target: Tensor) -> Tensor:
    """Share of segments with the right class, background counted like any other: the accuracy reported on AVE.

    Args:
        predicted: ``(N, T)`` classes of N clips' T segments.
        target: ``(N, T)``, the true ones.

    Returns:
        Scalar in 0 to 1, float64, on the device of the arguments.

    Raises:
        ShapeError: shapes that do not fit, no segments, or numbers that are no integers.

    Example:
        >>> float(segment_accuracy(torch.tensor([[0, 0, 2, 2]]), torch.tensor([[0, 2, 2, 2]])))
        0.75
    """
    _check_segments(predicted, target)
    return (predicted == target).double().mean()


def per_class_accuracy(predicted: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Of the segments that hold each class, the share that is predicted so (its recall).

    Args:
        predicted: ``(N, T)`` classes 0 to `num_classes`.
        target: ``(N, T)``, the true ones.
        num_classes: C, the classes of events; background is one more, the last.

    Returns:
        ``(C + 1,)``, float64; NaN for a class that no segment holds.

    Raises:
        ShapeError: shapes that do not fit, no segments, or targets that are no integers from 0 to C.

    Example:
        >>> per_class_accuracy(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 1, 0]]), num_classes=1)
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    _check_segments(predicted, target)
    if target.min() < 0 or target.max() > num_classes:
        raise ShapeError(
            f"targets run from {int(target.min())} to {int(target.max())}, but with {num_classes} classes of events "
            f"they must be 0 to {num_classes}"
        )
    labels = target.flatten().long()
    right = (predicted == target).flatten().double()
    empty = right.new_zeros(num_classes + 1)
    return empty.index_add(0, labels, right) / empty.index_add(0, labels, torch.ones_like(right))


class EventCounts(NamedTuple):
    """Events of all clips together, scalars int64: found, predicted but not there, there but not found.

    Example:
        >>> tp, fp, fn = event_counts(torch.tensor([[0, 2, 1]]), torch.tensor([[0, 2, 2]]), background=2)
        >>> int(tp), int(fp), int(fn)
        (1, 1, 0)
    """

    tp: Tensor
    fp: Tensor
    fn: Tensor


def event_counts(predicted: Tensor, target: Tensor, background: int, iou: float = 0.5) -> EventCounts:
    """Match the predicted events of each clip with the true ones, one to one.

    An event is a maximal run of segments of one class that is not background; it ends with its clip. Two events may be
    matched if they are of one class and share at least `iou` of the time that they cover together.

    The matching is a largest possible one. Events of one side do not overlap, so pairs that meet can be put in the
    order of time, and then one partner of the first pair meets nobody else: to match it costs nothing, and so on with
    the next. Any other choice (by IoU, the usual one) gives the same counts from `iou` 0.5 on, where an event that
    fits two others consists of just these two, half and half.

    Args:
        predicted: ``(N, T)`` classes of N clips' T segments.
        target: ``(N, T)``, the true ones.
        background: the class of segments that hold no event.
        iou: least intersection over union, above 0 and up to 1.

    Raises:
        ShapeError: shapes that do not fit, no segments, or numbers that are no integers.
        ConfigError: `iou` is outside its range.

    Example:
        >>> event_counts(torch.tensor([[0, 2, 1]]), torch.tensor([[0, 2, 2]]), background=2)
        EventCounts(tp=tensor(1), fp=tensor(1), fn=tensor(0))
    """
    _check_segments(predicted, target)
    if not 0 < iou <= 1:
        raise ConfigError(f"iou is {iou!r}; it must be a number above 0 and up to 1")
    first, last = _runs(predicted)
    true_first, true_last = _runs(target)
    shared = torch.minimum(last, true_last) - torch.maximum(first, true_first) + 1
    joined = torch.maximum(last, true_last) - torch.minimum(first, true_first) + 1
    # A quotient, not a product with `iou`: 11 of 20 segments then count as 0.55.
    fits = (predicted == target) & (target != background) & (shared.double() / joined >= iou)

    position = torch.arange(target.shape[1], device=target.device)
    begins, true_begins = first == position, true_first == position
    free = true_free = torch.ones_like(target[:, 0], dtype=torch.bool)
    found = torch.zeros_like(target[:, 0], dtype=torch.int64)
    for t in range(target.shape[1]):
        free, true_free = free | begins[:, t], true_free | true_begins[:, t]
        match = fits[:, t] & free & true_free
        free, true_free, found = free & ~match, true_free & ~match, found + match
    tp = found.sum()
    events = (begins & (predicted != background)).sum()
    true_events = (true_begins & (target != background)).sum()
    return EventCounts(tp, events - tp, true_events - tp)


def event_f1(predicted: Tensor, target: Tensor, background: int, iou: float = 0.5) -> Tensor:
    """F1 of events at an intersection over union, counted over all clips and classes together (micro-averaged).

    Args:
        predicted: ``(N, T)`` classes of N clips' T segments.
        target: ``(N, T)``, the true ones.
        background: the class of segments that hold no event.
        iou: from how much overlap on an event counts as found; see `event_counts`.

    Returns:
        Scalar in 0 to 1, float64; NaN where no event is and none is predicted.

    Raises:
        ShapeError: as `event_counts`.
        ConfigError: as `event_counts`.

    Example:
        >>> float(event_f1(torch.tensor([[0, 0, 2, 2]]), torch.tensor([[0, 2, 2, 2]]), background=2))
        1.0
    """
    tp, fp, fn = event_counts(predicted, target, background, iou)
    return 2 * tp.double() / (2 * tp + fp + fn)


def video_accuracy(predicted: Tensor, target: Tensor) -> Tensor:
    """Share of clips whose class is right, whatever happens when in them: what weak supervision trains.

    Args:
        predicted: ``(N,)`` classes, or ``(N, C + 1)`` scores, of which the highest counts (of equal ones the first).
        target: ``(N,)`` classes, background for clips where nothing happens.

    Returns:
        Scalar in 0 to 1, float64.

    Raises:
        ShapeError: shapes that do not fit, no clips, or classes that are no integers.

    Example:
        >>> float(video_accuracy(torch.tensor([0, 1]), torch.tensor([0, 0])))
        0.5
    """
    if predicted.ndim == 2 and predicted.shape[1] > 0:
        predicted = predicted.argmax(1)
    _check("(N,)", 1, predicted, target)
    return (predicted == target).double().mean()


def _runs(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Per segment the first and the last position of the run of equal classes that it belongs to, ``(N, T)`` each."""
    segments = classes.shape[1]
    position = torch.arange(segments, device=classes.device).expand_as(classes)
    change = classes[:, 1:] != classes[:, :-1]
    edge = torch.ones_like(change[:, :1]) if segments > 1 else torch.ones_like(classes, dtype=torch.bool)
    first = torch.where(torch.cat([edge, change], 1), position, 0).cummax(1).values
    ends = torch.where(torch.cat([change, edge], 1), position, segments - 1)
    return first, ends.flip(1).cummin(1).values.flip(1)


def _check_segments(predicted: Tensor, target: Tensor) -> None:
    _check("(N, T)", 2, predicted, target)


def _check(shape: str, dims: int, predicted: Tensor, target: Tensor) -> None:
    if predicted.shape != target.shape or target.ndim != dims:
        raise ShapeError(
            f"predicted and true classes must both be {shape}, but are {tuple(predicted.shape)} and "
            f"{tuple(target.shape)}"
        )
    if target.numel() == 0:
        raise ShapeError(f"there is nothing to average over: classes are {tuple(target.shape)}")
    for classes in (predicted, target):
        if classes.is_floating_point() or classes.is_complex():
            raise ShapeError(f"classes must be integers, but are {classes.dtype}")
