"""Features to one scale, column by column, by what the training clips were like; kept with the model's weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Moments:
    """Mean and spread of columns, gathered batch by batch in float64; NaN counts for nothing.

    The batches' means and squared deviations are joined as by Chan, Golub and LeVeque (1983), which loses no digits
    where the mean is large beside the spread.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        self.count = torch.zeros(width, dtype=torch.float64)
        self.mean = torch.zeros(width, dtype=torch.float64)
        self._squares = torch.zeros(width, dtype=torch.float64)

    def add(self, batch: Tensor) -> None:
        """Take ``(..., D)``."""
        rows = batch.detach().cpu().reshape(-1, batch.shape[-1]).double()
        known = ~rows.isnan()
        count = known.sum(0).double()
        mean = rows.nan_to_num(0.0).sum(0) / count.clamp(min=1)
        squares = torch.where(known, rows - mean, 0.0).square().sum(0)
        total = (self.count + count).clamp(min=1)
        apart = mean - self.mean
        self._squares += squares + apart.square() * self.count * count / total
        self.mean += apart * count / total
        self.count += count

    @property
    def spread(self) -> Tensor:
        """Standard deviation of the rows there are, ``(D,)``."""
        return (self._squares / self.count.clamp(min=1)).sqrt()


class FeatureScaler(nn.Module):
    """``(x - mean) / spread`` per column, ``(..., D)`` to the same, and NaN to the mean.

    Before `fit` it changes nothing. A column that is the same in all training clips, as far as float32 can tell, is
    moved to zero and left at its scale; one that they all lack has the mean 0.

    Args:
        width: D.
        standardise: subtract the mean and divide by the spread.
        impute: put the mean where a value is NaN.

    Example:
        >>> scaler, moments = FeatureScaler(2, impute=True), Moments(2)
        >>> moments.add(torch.tensor([[1.0, 5.0], [3.0, float("nan")]]))
        >>> scaler.fit(moments)
        >>> scaler(torch.tensor([[3.0, float("nan")]]))
        tensor([[1., 0.]])
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int, *, standardise: bool = True, impute: bool = False) -> None:
        super().__init__()
        self.standardise, self.impute = standardise, impute
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def fit(self, moments: Moments) -> None:
        """Take over what training clips are like."""
        spread = moments.spread
        constant = spread <= torch.finfo(torch.float32).eps * moments.mean.abs()
        self.mean.copy_(moments.mean)
        self.spread.copy_(torch.where(constant, 1.0, spread))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D)``."""
        if self.impute:
            x = torch.where(x.isnan(), self.mean, x)
        return (x - self.mean) / self.spread if self.standardise else x

    def extra_repr(self) -> str:
        """What it does, for ``print(model)``."""
        return f"{len(self.mean)}, standardise={self.standardise}, impute={self.impute}"


def make_scalers(dims: Mapping[str, int], standardise: bool, impute: bool) -> nn.ModuleDict:
    """One per modality; none where nothing is to be done, so that the names in a ``state_dict`` stay what they were."""
    if not (standardise or impute):
        return nn.ModuleDict()
    return nn.ModuleDict({m: FeatureScaler(d, standardise=standardise, impute=impute) for m, d in dims.items()})
