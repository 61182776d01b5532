"""Several crops per utterance: where they lie, and how they become one vector."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import unit_rows


def spread_crops(signal: Tensor, length: int, count: int) -> Tensor:
    """Crops that lie evenly over a signal, the first at its beginning and the last at its end.

    What is too short is repeated from its beginning until it is long enough. With one crop, that is the beginning, as
    in MMCosine's released code; voxceleb_trainer takes ten crops of four seconds.

    Args:
        signal: ``(..., samples)``, 1 sample or more.
        length: samples per crop, at least 1.
        count: K, at least 1.

    Returns:
        ``(K, ..., length)``.

    Raises:
        ConfigError: `length` or `count` below 1.
        ShapeError: a signal without samples.
    """
    if length < 1 or count < 1:
        raise ConfigError(f"crops need a length and a count of 1 or more, got {length} and {count}")
    if signal.ndim < 1 or not signal.shape[-1]:
        raise ShapeError(f"cannot crop a signal of shape {tuple(signal.shape)}")
    samples = max(signal.shape[-1], length)
    starts = torch.linspace(0, samples - length, count, dtype=torch.float64).long()
    inside = (starts[:, None] + torch.arange(length)) % signal.shape[-1]
    return signal[..., inside.to(signal.device)].movedim(-2, 0)


class CropMean:
    """Turns vectors of crops, as they come in batches, into one vector per utterance.

    The vectors of an utterance are brought to length one and averaged, so that a trial's score is the cosine of two
    means. (voxceleb_trainer averages over all pairs of crops instead, of their distances.)

    Args:
        utterances: U, how many there are.
        dim: D, how wide a vector is.
        device: where they are kept.

    Example:
        >>> mean = CropMean(utterances=2, dim=2)
        >>> mean.update(torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 5.0]]), torch.tensor([0, 1, 1]))
        >>> mean.compute()
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(self, utterances: int, dim: int, device: torch.device | str = "cpu") -> None:
        self._sum = torch.zeros(utterances, dim, device=device)
        self._count = torch.zeros(utterances, dtype=torch.int64, device=device)

    def update(self, vectors: Tensor, index: Tensor) -> None:
        """Take in a batch of crops.

        Args:
            vectors: ``(B, D)``.
            index: ``(B,)`` int64: whose crop each is, 0 to U - 1; an utterance may come in several batches.

        Raises:
            ShapeError: shapes that do not fit.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self._sum.shape[1] or index.shape != vectors.shape[:1]:
            raise ShapeError(
                f"crops must be (B, {self._sum.shape[1]}) and their index (B,), but are {tuple(vectors.shape)} and "
                f"{tuple(index.shape)}"
            )
        where = index.to(self._sum.device)
        self._sum.index_add_(0, where, unit_rows(vectors.detach().float()).to(self._sum.device))
        self._count += torch.bincount(where, minlength=len(self._count))

    def compute(self) -> Tensor:
        """The means, ``(U, D)``; of length one or less.

        Raises:
            ShapeError: an utterance without crops.
        """
        empty = (self._count == 0).nonzero()[:, 0]
        if len(empty):
            raise ShapeError(
                f"{len(empty)} of {len(self._count)} utterances have no crops, the first at position {int(empty[0])}"
            )
        return self._sum / self._count[:, None]
