"""Batch normalisation that also takes the last, small batch of an epoch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm1d):
    """torch's, over vectors ``(N, C)``, but for a training batch of a single vector, which has no variance, or of none.

    That one is normalised by the running statistics, and leaves them as they are; torch refuses the one, and takes the
    mean of nothing into its statistics with the other.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C)`` to the same."""
        if self.training and x.shape[0] < 2:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        out: Tensor = super().forward(x)
        return out
