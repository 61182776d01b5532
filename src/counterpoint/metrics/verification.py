"""Verification: how well scores tell pairs that belong together from pairs that do not. EER, minDCF, ROC AUC, DET."""

from __future__ import annotations

from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError

# From so many trials on, a second thread is worth starting.
_MANY = 1_000_000


class OperatingPoint(NamedTuple):
    """Where a system may be run, and what is measured there.

    Attributes:
        value: the measure: the EER, or the normalised minDCF.
        fnr: share of target trials that are rejected (misses).
        fpr: share of other trials that are accepted (false alarms).
        threshold: trials that score as high or higher are accepted.

    Example:
        >>> error_curve(torch.tensor([0.9, 0.1]), torch.tensor([1, 0])).eer().value
        0.0
    """

    value: float
    fnr: float
    fpr: float
    threshold: float


@dataclass(frozen=True)
class ErrorCurve:
    """The errors at every threshold that makes a difference, from accepting all trials to rejecting all.

    Trials of equal score fall together, so that no measure depends on the order in which they were listed.

    Attributes:
        thresholds: the G different scores, ascending, then infinity; ``(G + 1,)``. Trials that score as high as the
            threshold or higher are accepted; at infinity none is.
        misses: target trials rejected at each, from 0 to `targets`; ``(G + 1,)`` int64.
        false_alarms: other trials accepted at each, from `nontargets` to 0; ``(G + 1,)`` int64.

    Example:
        >>> curve = error_curve(torch.tensor([0.9, 0.8, 0.3, 0.1]), torch.tensor([1, 0, 1, 0]))
        >>> curve.targets, curve.eer().value
        (2, 0.5)
    """

    thresholds: NDArray[np.floating]
    misses: NDArray[np.int64]
    false_alarms: NDArray[np.int64]

    @property
    def targets(self) -> int:
        """Number of trials that belong together."""
        return int(self.misses[-1])

    @property
    def nontargets(self) -> int:
        """Number of trials that do not."""
        return int(self.false_alarms[0])

    @property
    def fnr(self) -> NDArray[np.float64]:
        """False negative rate (misses) at each threshold, rising from 0 to 1."""
        return self.misses / self.targets

    @property
    def fpr(self) -> NDArray[np.float64]:
        """False positive rate (false alarms) at each threshold, falling from 1 to 0."""
        return self.false_alarms / self.nontargets

    def eer(self) -> OperatingPoint:
        """Equal error rate, 0 to 1: where the curve, drawn straight from point to point, has FNR = FPR.

        This is the interpolated EER of MMCosine's released code, free of the small constants it divides by. The
        threshold is that of whichever end of the crossing stretch lies nearer.
        """
        targets, nontargets = self.targets, self.nontargets

        def excess(k: int) -> int:  # FNR - FPR, in whole numbers; it rises along the curve
            return int(self.misses[k]) * nontargets - int(self.false_alarms[k]) * targets

        after = bisect_left(range(len(self.misses)), 0, key=excess)
        before = after - 1  # there is one: at the first point FNR is 0 and FPR is 1
        share = excess(before) / (excess(before) - excess(after))
        first, last = (int(self.misses[k]) / targets for k in (before, after))
        rate = first + share * (last - first)
        return OperatingPoint(rate, rate, rate, float(self.thresholds[before if share <= 0.5 else after]))

    def min_dcf(self, *, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0) -> OperatingPoint:
        """Lowest detection cost over all thresholds, 0 to 1; 1 is what accepting all trials or none costs, if cheaper.

        The cost ``c_miss p_target FNR + c_fa (1 - p_target) FPR`` is divided by the lower of ``c_miss p_target`` and
        ``c_fa (1 - p_target)``, as NIST does. At the defaults this is the figure of MMCosine's released code (100 times
        the plain cost); voxceleb_trainer's default is ``p_target=0.05``.

        Args:
            p_target: how probable a target trial is, between 0 and 1.
            c_miss: cost of a miss, above 0.
            c_fa: cost of a false alarm, above 0.

        Raises:
            ConfigError: a value outside its range.
        """
        if not 0 < p_target < 1 or not 0 < c_miss < np.inf or not 0 < c_fa < np.inf:
            raise ConfigError(
                f"p_target must lie between 0 and 1, c_miss and c_fa above 0; they are {p_target}, {c_miss} and {c_fa}"
            )
        miss, alarm = c_miss * p_target, c_fa * (1 - p_target)
        costs = self.misses * (miss / self.targets)
        costs += self.false_alarms * (alarm / self.nontargets)
        best = int(costs.argmin())
        return OperatingPoint(
            float(costs[best]) / min(miss, alarm),
            int(self.misses[best]) / self.targets,
            int(self.false_alarms[best]) / self.nontargets,
            float(self.thresholds[best]),
        )

    def roc_auc(self) -> float:
        """Probability, 0 to 1, that a target trial scores higher than another one; equal scores count half."""
        rejected = np.diff(self.misses)
        # Twice the other trials below, plus those of the same score: whole numbers, so that nothing is rounded.
        below = 2 * self.nontargets - self.false_alarms[:-1] - self.false_alarms[1:]
        return int(np.dot(rejected, below)) / (2 * self.targets * self.nontargets)


def error_curve(scores: Tensor, target: Tensor) -> ErrorCurve:
    """Sort the trials once; every measure can be read off what this returns.

    Args:
        scores: ``(N,)``, higher means more likely to belong together; of any floating dtype, on any device.
        target: ``(N,)`` bool, or integers 0 and 1: whether each trial belongs together.

    Raises:
        ShapeError: shapes that do not fit, scores that are NaN (the message says which), labels other than 0 and 1, or
            trials all of one kind, of which no error rate can be had.

    Example:
        >>> error_curve(torch.tensor([0.9, 0.8, 0.3]), torch.tensor([1, 0, 1])).misses
        array([0, 1, 1, 2])
    """
    values, labels = _ascending(scores.detach(), check_trials(scores, target))
    if len(values) and np.isnan(values[-1]):
        where = scores.isnan().nonzero()[:, 0]
        raise ShapeError(f"{len(where)} of {len(values)} scores are NaN, the first at position {int(where[0])}")
    rejected = np.cumsum(labels)
    if not len(values) or not 0 < rejected[-1] < len(values):
        raise ShapeError(
            f"of {len(values)} trials {labels.sum()} belong together; error rates need at least one that does and one "
            "that does not"
        )
    ends = np.flatnonzero(np.append(values[1:] != values[:-1], True))  # where groups of equals end
    misses = np.zeros(len(ends) + 1, np.int64)
    np.take(rejected, ends, out=misses[1:])
    false_alarms = misses + (len(values) - misses[-1])
    false_alarms[1:] -= ends
    false_alarms[1:] -= 1
    return ErrorCurve(np.append(values[ends], values.dtype.type(np.inf)), misses, false_alarms)


def equal_error_rate(scores: Tensor, target: Tensor) -> float:
    """Equal error rate, 0 to 1; see `error_curve` for the arguments and `ErrorCurve.eer` for the value.

    Example:
        >>> equal_error_rate(torch.tensor([0.9, 0.8, 0.3, 0.1]), torch.tensor([1, 0, 1, 0]))
        0.5
    """
    return error_curve(scores, target).eer().value


def min_dcf(scores: Tensor, target: Tensor, *, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Normalised minimum detection cost, 0 to 1; see `error_curve` and `ErrorCurve.min_dcf`.

    Example:
        >>> min_dcf(torch.tensor([0.9, 0.1]), torch.tensor([1, 0]))
        0.0
    """
    return error_curve(scores, target).min_dcf(p_target=p_target, c_miss=c_miss, c_fa=c_fa).value


def roc_auc(scores: Tensor, target: Tensor) -> float:
    """Area under the ROC curve, 0 to 1; see `error_curve` and `ErrorCurve.roc_auc`.

    Example:
        >>> roc_auc(torch.tensor([0.9, 0.8, 0.3, 0.1]), torch.tensor([1, 0, 1, 0]))
        0.75
    """
    return error_curve(scores, target).roc_auc()


def check_trials(scores: Tensor, target: Tensor) -> NDArray[np.bool_]:
    """Which trials belong together, ``(N,)``.

    Raises:
        ShapeError: shapes that do not fit, scores that are no floating point numbers, or labels other than 0 and 1.
    """
    if scores.ndim != 1 or target.shape != scores.shape:
        raise ShapeError(
            f"scores and labels must both be (N,), but are {tuple(scores.shape)} and {tuple(target.shape)}"
        )
    if not scores.is_floating_point():
        raise ShapeError(f"scores must be floating point numbers, but are {scores.dtype}")
    if target.is_floating_point() or target.is_complex():
        raise ShapeError(f"labels must be bool, or integers 0 and 1, but are {target.dtype}")
    labels = target.detach().cpu().numpy()
    positive = labels.astype(np.bool_, copy=False)
    if labels is not positive and (strange := np.flatnonzero(labels != positive)).size:
        raise ShapeError(f"labels must be 0 or 1, but at position {strange[0]} stands {labels[strange[0]]}")
    return positive


def _ascending(scores: Tensor, positive: NDArray[np.bool_]) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Scores in ascending order, and which of them are of targets; trials of equal score come in any order.

    Numbers alone are sorted several times faster than numbers with their positions. So the two kinds of trials are
    sorted apart, then merged: a stable sort of two ascending runs is a single pass over them.
    """
    if scores.device.type != "cpu":
        values, positions = scores.sort()
        return _numpy(values), positive[_numpy(positions)]
    array = _numpy(scores)
    kinds = [array[positive], array[~positive]]
    if len(array) < _MANY:
        for kind in kinds:
            kind.sort()
    else:
        with ThreadPoolExecutor(len(kinds)) as pool:
            list(pool.map(np.ndarray.sort, kinds))
    runs = np.concatenate(kinds)
    order = np.argsort(runs, kind="stable")
    return runs[order], order < len(kinds[0])


def _numpy(values: Tensor) -> NDArray[Any]:
    if values.dtype in (torch.bfloat16, torch.float16):
        values = values.float()
    return values.cpu().numpy()
