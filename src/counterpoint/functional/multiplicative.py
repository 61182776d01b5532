"""Multiplicative combination of modalities (Liu et al. 2018): who is sure leaves the others less to say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from counterpoint.errors import ConfigError
from counterpoint.functional.precision import widened


def log_complement(log_p: Tensor) -> Tensor:
    """``log(1 - p)`` of every class, from log-probabilities ``(..., C)`` that sum to one; C >= 2.

    Only the most probable class can lie near one, where ``1 - p`` would cancel; it gets the log of the sum of the
    others instead, which stays exact however sure the prediction is.

    Example:
        >>> log_complement(torch.tensor([0.25, 0.75]).log()).exp()
        tensor([0.7500, 0.2500])
    """
    top = log_p.argmax(-1, keepdim=True)
    others = log_p.scatter(-1, top, float("-inf")).logsumexp(-1, keepdim=True)
    # The class that is replaced is hidden from log1p: at p = 1 its slope is infinite, and zero times that is NaN.
    rest = torch.log1p(-log_p.scatter(-1, top, float("-inf")).exp())
    return rest.scatter(-1, top, others)


def multiplicative_scores(logits: Sequence[Tensor], beta: float = 0.3, *, detach_weights: bool = False) -> Tensor:
    """``sum_m q_m^c log p_m^c`` for every class c, with ``q_m^c = exp(beta mean_{j != m} log(1 - p_j^c))``.

    q_m is near zero where the other modalities are already sure of the class, so that a modality need not answer what
    the others answer for it. The prediction is the class of the greatest score, and the loss of class y is minus its
    score, with q taken for a constant.

    Args:
        logits: M tensors ``(..., C)``, M >= 2 and C >= 2; half precisions are computed in float32.
        beta: how strongly a modality gives way, at least 0; at 0 the score is the sum of log-probabilities.
        detach_weights: whether q is a constant for the gradient.

    Returns:
        ``(..., C)``, at most 0.

    Raises:
        ConfigError: `beta` is negative, or fewer than two modalities or classes.

    Example:
        >>> multiplicative_scores([torch.zeros(2, 3), torch.zeros(2, 3)]).shape
        torch.Size([2, 3])
    """
    if not beta >= 0:  # nor NaN
        raise ConfigError(f"beta says how strongly a modality gives way to surer ones, and is 0 or more; got {beta}")
    if len(logits) < 2 or logits[0].shape[-1] < 2:
        raise ConfigError("the multiplicative combination needs two modalities and two classes or more")
    log_p = torch.stack([widened(one).log_softmax(-1) for one in logits])
    complement = log_complement(log_p)
    q = (beta / (len(logits) - 1) * (complement.sum(0) - complement)).exp()
    return ((q.detach() if detach_weights else q) * log_p).sum(0).to(logits[0].dtype)
