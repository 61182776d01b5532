"""On-the-fly gradient modulation: the coefficients of OGM-GE, which SimAM² keeps."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import ConfigError


def ogm_coefficients(ratios: Tensor, alpha: float) -> Tensor:
    """What each modality's gradients are multiplied with: ``1 - tanh(alpha ratio)`` where it leads, else 1.

    The coefficient jumps where a modality takes the lead (at ratio 1, from 1 to ``1 - tanh(alpha)``); OGM-GE has it so.

    Args:
        ratios: ``(M,)`` discrepancy ratios, of `score_ratio` or `zeta_ratio`.
        alpha: strength, not negative; OGM-GE uses 0.1 on VGGSound and 0.8 on CREMA-D.

    Returns:
        ``(M,)``, from 0 (for a leader far ahead: the tanh rounds to one) to 1.

    Raises:
        ConfigError: `alpha` is negative.

    Example:
        >>> ogm_coefficients(torch.tensor([2.0, 0.5]), alpha=0.8)
        tensor([0.0783, 1.0000])
    """
    if alpha < 0:
        raise ConfigError(f"alpha must not be negative, got {alpha}")
    return torch.where(ratios > 1, 1 - torch.tanh(alpha * ratios), torch.ones_like(ratios))
