"""Quality-aware late fusion (QMF, Zhang et al. 2023): a modality counts by the energy of its own logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional.precision import widened
from counterpoint.registry import check_choices


def energy_confidence(logits: Tensor, scale: float = 0.1) -> Tensor:
    """``scale logsumexp(z)``, minus the energy of a prediction: ``(..., C)`` to ``(...)``.

    Args:
        logits: one modality's; half precisions are computed in float32.
        scale: 0.1 in the released code.

    Example:
        >>> bool(energy_confidence(torch.tensor([9.0, 0.0])) > energy_confidence(torch.tensor([1.0, 0.0])))
        True
    """
    return scale * widened(logits).logsumexp(-1)


def energy_fusion(logits: Sequence[Tensor], scale: float = 0.1, *, detach_weights: bool = False) -> Tensor:
    """``sum_m conf_m z_m`` with each modality's `energy_confidence`.

    A confidence below zero, that of logits far below zero throughout, turns a modality's vote round; the released code
    has it so.

    Args:
        logits: M tensors ``(..., C)``, M >= 2.
        scale: of the confidence.
        detach_weights: whether confidences are constants for the gradient, as in QMF's code for texts and pictures; in
            that for colour and depth, gradients pass through both factors.

    Returns:
        ``(..., C)``.

    Raises:
        ConfigError: fewer than two modalities.

    Example:
        >>> energy_fusion([torch.zeros(2, 3), torch.zeros(2, 3)]).shape
        torch.Size([2, 3])
    """
    if len(logits) < 2:
        raise ConfigError(f"the energy-weighted fusion needs the logits of two modalities or more, got {len(logits)}")
    each = torch.stack([widened(one) for one in logits])
    confidence = energy_confidence(each.detach() if detach_weights else each, scale)
    return (confidence.unsqueeze(-1) * each).sum(0).to(logits[0].dtype)


@check_choices
def confidence_rank_loss(
    confidence: Tensor, loss: Tensor, *, margin: Literal["paper", "released"] = "paper", keep: Tensor | None = None
) -> Tensor:
    """Of two samples, the one of the higher loss is to have the lower confidence: mean of a hinge over all pairs.

    ``max(0, sign(l_i - l_j) (conf_i - conf_j) + |l_i - l_j|)``, losses being mapped to 0 ... 1 first. All pairs of
    the batch are compared, of which the released code takes neighbours in a shuffled order: the expectation is the
    same, and does not depend on the order.

    Args:
        confidence: of one modality, ``(N,)``.
        loss: of the same modality, ``(N,)``; a constant for the gradient.
        margin: ``"paper"``: the hinge above, that of the confidence-aware learning (Moon et al. 2020) which QMF builds
            on; ``"released"``: with the margin taken off instead of added, to which the signs in QMF's code amount.
        keep: which samples are compared, truth values ``(N,)``; None: all.

    Returns:
        A scalar, 0 for a single sample, and for samples of one loss.

    Raises:
        ConfigError: another `margin`.
        ShapeError: tensors that are not both ``(N,)``.

    Example:
        >>> float(confidence_rank_loss(torch.tensor([1.0, 0.0]), torch.tensor([0.1, 2.0])))
        0.0
    """
    if confidence.ndim != 1 or confidence.shape != loss.shape:
        raise ShapeError(
            f"confidence has shape {tuple(confidence.shape)} and loss {tuple(loss.shape)}; both must be (N,)"
        )
    keep = torch.ones_like(loss, dtype=torch.bool) if keep is None else keep
    if keep.shape != loss.shape:
        raise ShapeError(f"keep has shape {tuple(keep.shape)}; it must be {tuple(loss.shape)} as the loss is")
    loss, count = loss.detach(), keep.sum()
    if loss.shape[0] < 2:
        return confidence.sum() * 0
    # Those left out take the mean of the others, which changes neither the lowest loss nor the highest.
    loss = torch.where(keep, loss, torch.where(keep, loss, 0).sum() / count.clamp_min(1))
    confidence = torch.where(keep, confidence, 0)
    spread = loss.amax() - loss.amin()
    level = (loss - loss.amin()) / spread.clamp_min(torch.finfo(loss.dtype).tiny)
    difference = level[:, None] - level
    hinge = difference.sign() * (confidence[:, None] - confidence)
    gap = difference.abs()
    hinge = (hinge + gap if margin == "paper" else hinge - gap).relu() * ((gap > 0) & keep & keep[:, None])
    return hinge.sum() / (count * (count - 1)).clamp_min(1)
