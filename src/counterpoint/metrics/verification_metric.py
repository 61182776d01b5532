"""Verification measures over trials that are scored batch by batch, on several processes."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.distributed import all_gather_ragged
from counterpoint.metrics.verification import ErrorCurve, check_trials, error_curve


class VerificationMetric:
    """Gathers scores as they come, and judges them once: ``update`` per batch, then ``compute``, then ``reset``.

    Each process gives its own share of the trials, of any size, also none; a trial that two of them give counts twice.
    Five bytes are kept per trial with float32.

    Args:
        p_target: prior of a target trial in the detection cost; see `ErrorCurve.min_dcf`.
        c_miss: cost of a miss.
        c_fa: cost of a false alarm.
        dtype: in which scores are kept; a narrower one than theirs can make equal what differed.
        device: where they are kept and gathered; under NCCL, the process's GPU.

    Example:
        >>> metric = VerificationMetric()
        >>> metric.update(torch.tensor([0.9, 0.2, 0.1]), torch.tensor([1, 1, 0]))
        >>> metric.compute()
        {'eer': 0.0, 'min_dcf': 0.0, 'roc_auc': 1.0}
    """

    def __init__(
        self,
        *,
        p_target: float = 0.01,
        c_miss: float = 1.0,
        c_fa: float = 1.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.p_target, self.c_miss, self.c_fa = p_target, c_miss, c_fa
        self.dtype, self.device = dtype, torch.device(device)
        self.reset()

    def reset(self) -> None:
        """Forget all trials."""
        self._scores = [torch.empty(0, dtype=self.dtype, device=self.device)]
        self._labels = [torch.empty(0, dtype=torch.uint8, device=self.device)]

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Take in a batch.

        Args:
            scores: ``(B,)``, higher means more likely to belong together.
            target: ``(B,)`` bool, or integers 0 and 1.

        Raises:
            ShapeError: shapes that do not fit, or labels other than 0 and 1.
        """
        positive = check_trials(scores, target)
        self._scores.append(scores.detach().to(self.device, self.dtype))
        self._labels.append(torch.from_numpy(positive).to(self.device, torch.uint8))  # gloo and NCCL carry no bool

    def curve(self) -> ErrorCurve:
        """The errors of the trials of all processes, the same on each.

        Raises:
            ShapeError: NaN among the scores, or trials all of one kind.
        """
        return error_curve(all_gather_ragged(torch.cat(self._scores)), all_gather_ragged(torch.cat(self._labels)))

    def compute(self) -> dict[str, float]:
        """``eer``, ``min_dcf`` and ``roc_auc`` of the trials of all processes, each 0 to 1.

        Raises:
            ShapeError: as `curve`.
            ConfigError: costs out of their range.
        """
        curve = self.curve()
        cost = curve.min_dcf(p_target=self.p_target, c_miss=self.c_miss, c_fa=self.c_fa)
        return {"eer": curve.eer().value, "min_dcf": cost.value, "roc_auc": curve.roc_auc()}
