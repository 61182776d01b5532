"""By how much each modality leads: Eq. (11) of SimAM², and the ratio of OGM-GE that it replaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional.precision import widened

IGNORED = -100  # the target of a sample that counts for nothing, as for torch's losses


def modality_ratios(scores: Tensor) -> Tensor:
    """Discrepancy ratio per modality: its score over the mean of the others' scores.

    For two modalities these are a ratio and its reciprocal, as in OGM-GE. Under several processes, sum `scores` over
    them first: a ratio of sums is not a mean of ratios.

    Args:
        scores: ``(M,)``, not negative; M >= 2.

    Returns:
        ``(M,)``; finite also where the others score nothing.

    Example:
        >>> modality_ratios(torch.tensor([3.0, 2.0]))
        tensor([1.5000, 0.6667])
    """
    if scores.ndim != 1 or scores.shape[0] < 2:
        raise ShapeError(f"scores has shape {tuple(scores.shape)}, but needs (M,) with M >= 2 modalities")
    others = (scores.sum() - scores) / (scores.shape[0] - 1)
    return scores / others.clamp_min(torch.finfo(scores.dtype).eps)


def zeta_scores(weights: Sequence[Tensor]) -> Tensor:
    """``(M,)``: each modality's superposition weights, summed over samples and channels.

    Example:
        >>> zeta = torch.tensor([[0.8, 0.6]])
        >>> zeta_scores([zeta, 1 - zeta])
        tensor([1.4000, 0.6000])
    """
    if len(weights) < 2:
        raise ConfigError(f"a ratio needs the weights of two modalities or more, got {len(weights)}")
    return torch.stack([widened(weight).sum() for weight in weights])


def zeta_ratio(weights: Sequence[Tensor]) -> Tensor:
    """Discrepancy ratio per modality without decoupling, Eq. (11) of SimAM².

    For two modalities: the sum of zeta over the sum of 1 - zeta, and its reciprocal. For more: a modality's summed
    weight over the mean of the others'.

    Args:
        weights: M tensors of one shape that sum to one over modalities.

    Returns:
        ``(M,)`` in the modalities' order.

    Example:
        >>> zeta = torch.tensor([[0.8, 0.6]])
        >>> zeta_ratio([zeta, 1 - zeta])
        tensor([2.3333, 0.4286])
    """
    return modality_ratios(zeta_scores(weights))


def logit_scores(unimodal_logits: Mapping[str, Tensor] | Sequence[Tensor], target: Tensor) -> Tensor:
    """``(M,)``: the probability that each modality alone gives to the true class, summed over samples.

    Args:
        unimodal_logits: M tensors ``(..., C)``.
        target: class indices, shaped like the logits without their last axis; where it is -100, which torch's losses
            ignore by default, a sample adds nothing.

    Raises:
        ConfigError: fewer than two modalities.
        ShapeError: logits and target that do not fit each other.

    Example:
        >>> logit_scores([torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]])], torch.tensor([0]))
        tensor([0.5000, 0.5000])
    """
    logits = list(unimodal_logits.values() if isinstance(unimodal_logits, Mapping) else unimodal_logits)
    if len(logits) < 2:
        raise ConfigError(f"a ratio needs the logits of two modalities or more, got {len(logits)}")
    for index, one in enumerate(logits):
        if one.shape[:-1] != target.shape:
            raise ShapeError(
                f"the logits of modality {index} have shape {tuple(one.shape)}, but target has {tuple(target.shape)}; "
                "it needs the same without the last axis"
            )
        if one.shape != logits[0].shape:
            raise ShapeError(
                f"the logits of modality {index} have shape {tuple(one.shape)}, but those of modality 0 have "
                f"{tuple(logits[0].shape)}: all need the same classes"
            )
    if target.is_floating_point():
        raise ShapeError(f"target must hold class indices, integers, but is of {target.dtype}")
    probability = torch.stack([widened(one) for one in logits]).softmax(-1)
    ignored = target == IGNORED
    true_class = target.masked_fill(ignored, 0).expand(len(logits), *target.shape).unsqueeze(-1)
    return probability.gather(-1, true_class).squeeze(-1).masked_fill(ignored, 0).flatten(1).sum(1)


def score_ratio(unimodal_logits: Mapping[str, Tensor] | Sequence[Tensor], target: Tensor) -> Tensor:
    """OGM-GE's discrepancy ratio per modality, from the logits that each modality gives alone.

    Args:
        unimodal_logits: M tensors ``(..., C)``, in the modalities' order.
        target: as for `logit_scores`.

    Returns:
        ``(M,)``: summed probability of the true class over the mean of the other modalities'.

    Example:
        >>> sure, unsure = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> score_ratio([sure, unsure], torch.tensor([0]))
        tensor([1.9640, 0.5092])
    """
    return modality_ratios(logit_scores(unimodal_logits, target))
