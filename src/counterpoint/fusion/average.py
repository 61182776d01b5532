"""Late fusion by the mean of probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from counterpoint.fusion.base import FUSIONS
from counterpoint.fusion.late import Late


@FUSIONS.register("average")
class Average(Late):
    """Late fusion by averaging probabilities: ``p = mean_m softmax(z_m)``; "Averaging" of CFN-SR, Table 1.

    The joint logits are ``log p``, computed as the logarithm of a sum of exponentials, so that no probability
    underflows. Where modalities are to be trained alone and only judged together, train with the loss ``"unimodal"``.
    """

    def _combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        each = torch.stack([one.log_softmax(-1) for one in logits.values()])
        return each.logsumexp(0) - math.log(len(logits))
