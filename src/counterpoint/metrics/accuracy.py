"""Share of right answers."""

from __future__ import annotations

from torch import Tensor

from counterpoint.metrics.checks import check_scores


def accuracy(scores: Tensor, target: Tensor) -> Tensor:
    """Share of samples whose highest score is at their class; of equal scores the first counts.

    Args:
        scores: ``(N, C)`` logits or probabilities.
        target: ``(N,)`` class indices.

    Returns:
        Scalar in 0 to 1, on the device of `scores`.

    Raises:
        ShapeError: shapes that do not fit, no samples, or targets that are no integers.

    Example:
        >>> float(accuracy(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0])))
        0.5
    """
    check_scores(scores, target)
    return (scores.argmax(1) == target).double().mean()
