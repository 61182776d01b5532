"""What is minimised: of the joint logits, of each modality's own, or of both together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.errors import ConfigError
from counterpoint.functional import multiplicative_scores
from counterpoint.fusion.output import FusionOutput
from counterpoint.registry import Registry, check_options


class Loss(ABC):
    """A fusion's output and the classes to one number; without state."""

    @abstractmethod
    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """The mean over samples, a scalar.

        Args:
            output: what the fusion returned.
            target: classes, ``(B,)``.
            label_smoothing: 0 to 1.

        Raises:
            ConfigError: the loss trains modalities by their own logits, but these carry no gradient.
        """


LOSSES: Registry[type[Loss]] = Registry("loss")


@LOSSES.register("cross_entropy")
class CrossEntropy(Loss):
    """Cross entropy of the joint logits, the vanilla loss of every paper here; see Eq. (10) of CFN-SR."""

    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """See :class:`Loss`."""
        return F.cross_entropy(output.logits, target, label_smoothing=label_smoothing)


@LOSSES.register("unimodal")
class Unimodal(Loss):
    """Sum over modalities of each one's own cross entropy: they are trained alone and fused only to predict.

    For late fusion, where it trains to the same encoders and heads as one run per modality would.
    """

    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """See :class:`Loss`."""
        each = [F.cross_entropy(one, target, label_smoothing=label_smoothing) for one in _own_logits(self, output)]
        return torch.stack(each).sum()


@LOSSES.register("multiplicative")
class Multiplicative(Loss):
    """Each modality's own cross entropy, less where others are sure of the class already.

    ``-sum_m q_m log p_m`` of the true class, where q_m is taken for a constant (Liu et al. 2018); see
    :func:`functional.multiplicative_scores`. Goes with the late fusion of the same name.

    Args:
        beta: how strongly a modality gives way to surer ones, at least 0; at 0 this is the loss ``"unimodal"``.

    Raises:
        ConfigError: `beta` is negative.
    """

    def __init__(self, beta: float = 0.3) -> None:
        if beta < 0:
            raise ConfigError(f"beta must be 0 or more, got {beta}")
        self.beta = beta

    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """See :class:`Loss`."""
        scores = multiplicative_scores(_own_logits(self, output), self.beta, detach_weights=True)
        # What smoothing makes of any log-probabilities; cross_entropy would normalise the scores, which are none.
        return (1 - label_smoothing) * F.nll_loss(scores, target) - label_smoothing * scores.mean()


def create_loss(name: str, **options: Any) -> Loss:
    """The registered loss of that name.

    Args:
        name: ``"cross_entropy"``, ``"unimodal"``, ``"multiplicative"``, or what else is registered.
        options: the loss's own keyword arguments.

    Raises:
        UnknownNameError: no such loss.
        ConfigError: an option that the loss does not take, or one outside its range.
    """
    loss = LOSSES.get(name)
    check_options(f"Loss {name!r}", loss, options)
    return loss(**options)


def _own_logits(loss: Loss, output: FusionOutput) -> list[Tensor]:
    """Each modality's logits, which must be such that it can learn from them where the joint logits are."""
    for modality, logits in output.unimodal_logits.items():
        if output.logits.requires_grad and not logits.requires_grad:
            raise ConfigError(
                f"the loss {type(loss).__name__} trains modalities by their own logits, but those of {modality!r} come "
                "from silencing the others and carry no gradient; choose a late fusion: average, product, "
                "multiplicative"
            )
    return list(output.unimodal_logits.values())
