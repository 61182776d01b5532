"""What is minimised: of the joint logits, of each modality's own, or of both together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from counterpoint.distributed import all_gather
from counterpoint.errors import ConfigError
from counterpoint.functional import (
    confidence_rank_loss,
    energy_confidence,
    multiplicative_scores,
    orthogonal_projection_loss,
)
from counterpoint.functional.ratios import IGNORED
from counterpoint.fusion.output import FusionOutput
from counterpoint.registry import Part, Registry, check_options


class Loss(Part, ABC):
    """A fusion's output and the classes to one number; without state.

    A loss of one's own takes its options by name and overrides `__call__`.

    Example:
        >>> class Margin(Loss):
        ...     def __init__(self, *, margin=1.0):
        ...         self.margin = margin
        ...
        ...     def __call__(self, output, target, *, label_smoothing=0.0):
        ...         return F.multi_margin_loss(output.logits, target, margin=self.margin)
        >>> output = FusionOutput(torch.zeros(2, 4), {}, torch.zeros(2, 4))
        >>> Margin()(output, torch.tensor([0, 3])).item()
        0.75
    """

    @abstractmethod
    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """The mean over samples, a scalar.

        Args:
            output: what the fusion returned.
            target: classes, ``(B,)``; samples of class -100 are left out.
            label_smoothing: 0 to 1.

        Raises:
            ConfigError: the loss trains modalities by their own logits, but these carry no gradient.
        """


LOSSES: Registry[type[Loss]] = Registry("loss", classes_of=Loss)


@LOSSES.register("cross_entropy")
class CrossEntropy(Loss):
    """Cross entropy of the joint logits, the vanilla loss of every paper here; see Eq. (10) of CFN-SR.

    Example:
        >>> from counterpoint.fusion import Average
        >>> features = {"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}
        >>> output = Average({"audio": 4, "visual": 6}, num_classes=3)(features)
        >>> CrossEntropy()(output, torch.tensor([0, 2])).shape
        torch.Size([])
    """

    @override
    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        return F.cross_entropy(output.logits, target, label_smoothing=label_smoothing)


@LOSSES.register("unimodal")
class Unimodal(Loss):
    """Sum over modalities of each one's own cross entropy: they are trained alone and fused only to predict.

    For late fusion, where it trains to the same encoders and heads as one run per modality would.

    Example:
        >>> from counterpoint.fusion import Average
        >>> features = {"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}
        >>> output = Average({"audio": 4, "visual": 6}, num_classes=3)(features)
        >>> Unimodal()(output, torch.tensor([0, 2])).shape
        torch.Size([])
    """

    @override
    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        each = [F.cross_entropy(one, target, label_smoothing=label_smoothing) for one in _own_logits(self, output)]
        return torch.stack(each).sum()


@LOSSES.register("multiplicative")
class Multiplicative(Loss):
    """Each modality's own cross entropy, less where others are sure of the class already.

    ``-sum_m q_m log p_m`` of the true class, where q_m is taken for a constant (Liu et al. 2018); see
    `functional.multiplicative_scores`. Goes with the late fusion of the same name.

    Args:
        beta: how strongly a modality gives way to surer ones, at least 0; at 0 this is the loss ``"unimodal"``.

    Raises:
        ConfigError: `beta` is negative.

    Example:
        >>> from counterpoint.fusion import Average
        >>> features = {"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}
        >>> output = Average({"audio": 4, "visual": 6}, num_classes=3)(features)
        >>> Multiplicative(beta=0.3)(output, torch.tensor([0, 2])).shape
        torch.Size([])
    """

    def __init__(self, beta: float = 0.3) -> None:
        if not beta >= 0:  # nor NaN
            raise ConfigError(f"beta must be 0 or more, got {beta}")
        self.beta = beta

    @override
    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        scores = multiplicative_scores(_own_logits(self, output), self.beta, detach_weights=True)
        # What smoothing makes of any log-probabilities; cross_entropy would normalise the scores, which are none.
        smooth = (1 - label_smoothing) * scores + label_smoothing * scores.mean(-1, keepdim=True)
        return F.nll_loss(smooth, target)


@LOSSES.register("qmf")
class QMF(Loss):
    """Cross entropy of the joint logits and of each modality's own, and a ranking of confidences (Zhang et al. 2023).

    Goes with the late fusion of the same name. The ranking asks of every modality that its confidence
    (`functional.energy_confidence`) be lower on clips where its loss is higher; see
    `functional.confidence_rank_loss`. It compares the losses of the clips of this batch, over all processes, as
    they are now. The released code compares sums of each clip's losses over all epochs so far: a record per clip, which
    a loss without state does not have, and which lags behind what it stands for.

    Args:
        rank: what the ranking counts beside the cross entropies, at least 0.
        scale: of the confidence, as the fusion's.
        margin: ``"paper"`` or ``"released"``, see `functional.confidence_rank_loss`.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> from counterpoint.fusion import Average
        >>> features = {"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}
        >>> output = Average({"audio": 4, "visual": 6}, num_classes=3)(features)
        >>> QMF()(output, torch.tensor([0, 2])).shape
        torch.Size([])
    """

    def __init__(
        self, rank: float = 1.0, *, scale: float = 0.1, margin: Literal["paper", "released"] = "paper"
    ) -> None:
        if rank < 0 or scale <= 0:
            raise ConfigError(f"rank must be 0 or more and scale above 0, got {rank} and {scale}")
        self.rank, self.scale, self.margin = rank, scale, margin

    @override
    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        own = _own_logits(self, output)
        each = [F.cross_entropy(one, target, label_smoothing=label_smoothing) for one in (output.logits, *own)]
        if self.rank:
            each += [self.rank * self._ranking(one, target) for one in own]
        return torch.stack(each).sum()

    def _ranking(self, logits: Tensor, target: Tensor) -> Tensor:
        confidence = all_gather(energy_confidence(logits, self.scale))
        loss = all_gather(F.cross_entropy(logits.detach(), target, reduction="none"))
        return confidence_rank_loss(confidence, loss, margin=self.margin, keep=all_gather(target) != IGNORED)


@LOSSES.register("orthogonal_projection")
class OrthogonalProjection(Loss):
    """Cross entropy, and alpha times the orthogonal projection loss of what the fusion made (FOP, Saeed et al. 2022).

    Classes are to lie at right angles in the fused representation, see `functional.orthogonal_projection_loss`.
    Pairs are those of the batch over all processes.

    Args:
        alpha: what the projection counts, at least 0; FOP tries 0 to 5.
        gamma: what pairs of two classes count in it, at least 0.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> from counterpoint.fusion import Average
        >>> features = {"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}
        >>> output = Average({"audio": 4, "visual": 6}, num_classes=3)(features)
        >>> OrthogonalProjection(alpha=1.0)(output, torch.tensor([0, 2])).shape
        torch.Size([])
    """

    def __init__(self, alpha: float = 1.0, *, gamma: float = 0.7) -> None:
        if alpha < 0 or gamma < 0:
            raise ConfigError(f"alpha and gamma must be 0 or more, got {alpha} and {gamma}")
        self.alpha, self.gamma = alpha, gamma

    @override
    def __call__(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        loss = F.cross_entropy(output.logits, target, label_smoothing=label_smoothing)
        if not self.alpha:
            return loss
        fused, target = all_gather(output.fused), all_gather(target)
        projection = orthogonal_projection_loss(fused, target, gamma=self.gamma, keep=target != IGNORED)
        return loss + self.alpha * projection


def create_loss(name: str, **options: Any) -> Loss:
    """The registered loss of that name.

    Args:
        name: e.g. ``"cross_entropy"``; see `LOSSES`.
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
                "from ablating the others and carry no gradient; choose a late fusion, such as average"
            )
    return list(output.unimodal_logits.values())
