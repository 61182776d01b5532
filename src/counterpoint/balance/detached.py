"""Disentangled gradients: no encoder learns through the fusion, and the fusion learns from the joint loss alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from counterpoint._eval_mode import evaluating
from counterpoint._features import check_modalities
from counterpoint.balance.base import BALANCERS, Balancer
from counterpoint.balance.features import features_of
from counterpoint.errors import ConfigError
from counterpoint.fusion.base import Fusion
from counterpoint.fusion.output import FusionOutput
from counterpoint.heads import Separate


class _Alone(nn.Module):
    """A fusion's answer to one modality, as a module's call, which `functional_call` can give other parameters."""

    def __init__(self, fusion: Fusion) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(self, features: Mapping[str, Tensor], kept: str) -> Tensor:
        return self.fusion.ablated(features, kept)


@BALANCERS.register("detached")
class Detached(Balancer):
    """Disentangled Gradient Learning (Wei et al., ICCV 2025): ``L = CE(joint) + alpha * sum_m CE(m alone)``.

    In a joint model the loss of the fusion reaches every encoder through the others' answers, and whoever learns first
    leaves little of it to the rest. Here three gradients are stopped: the joint loss does not reach the encoders, for
    the fusion is given their features detached; a modality's own loss trains its encoder; and that loss leaves the
    fusion alone. Any fusion can be trained so, and predicts as ever.

    Args:
        encoders: per modality the module that its own loss trains.
        fusion: of the model.
        alpha: what the modalities' own losses count, above 0; the release has 4. It is a factor of the encoders'
            gradients, and so without effect under optimizers that normalise them.
        heads: what answers for a modality alone. ``"fusion"``, as published: the fusion itself, with the others'
            features at zero and its parameters held fixed. ``"own"``: a linear head for each, in `parts`, which trains
            with its encoder and is thrown away; the encoders are then those of networks trained apart.

    Raises:
        ConfigError: `alpha` is not above 0; or the fusion is of other modalities than the encoders, or multiplies them,
            so that it has no answer to one alone.

    Example:
        >>> from counterpoint.fusion import Concat
        >>> encoders = {"audio": nn.Linear(4, 4), "visual": nn.Linear(6, 4)}
        >>> fusion = Concat({"audio": 4, "visual": 4}, num_classes=3)
        >>> balance = Detached(encoders, fusion=fusion)
        >>> inputs = {"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}
        >>> output = fusion({m: encoders[m](x) for m, x in inputs.items()})
        >>> balance.loss(output, torch.tensor([0, 2])).shape
        torch.Size([])
    """

    wants: ClassVar[tuple[str, ...]] = ("fusion",)

    def __init__(
        self,
        encoders: Mapping[str, nn.Module] | nn.ModuleDict,
        *,
        fusion: Fusion,
        alpha: float = 4.0,
        heads: Literal["fusion", "own"] = "fusion",
    ) -> None:
        super().__init__(encoders)
        if not 0 < alpha < math.inf:
            raise ConfigError(f"alpha must be above 0, got {alpha}")
        check_modalities("Detached", fusion.modalities, self.modalities)
        self.alpha = alpha
        self.fusion = fusion
        self._alone = _Alone(fusion)
        if heads == "own":
            self.parts["heads"] = Separate("linear", fusion.dims, fusion.num_classes)
        else:
            self._check_answers_alone()

    def _check_answers_alone(self) -> None:
        like = next(self.fusion.parameters())
        features = {m: like.new_ones(2, width).requires_grad_() for m, width in self.fusion.dims.items()}
        with evaluating(self.fusion), torch.enable_grad():
            each = self._each_alone(features)
        for m, logits in zip(self.modalities, each, strict=True):
            (reached,) = torch.autograd.grad(logits.square().sum(), features[m])
            if not reached.any():
                raise ConfigError(
                    f"{type(self.fusion).__name__} makes nothing of {m!r} where the others' features are zero, so that "
                    "its own loss would not train its encoder; give each modality a head with heads='own'"
                )

    def loss(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """The joint loss on detached features, and each modality's own; see `Balancer.loss`.

        Raises:
            ConfigError: the output does not carry the features that were fused.
        """
        features = features_of("Detached", output, self.fusion)
        joint = self.fusion.join({m: x.detach() for m, x in features.items()}, update=False).logits
        each = torch.stack(
            [F.cross_entropy(one, target, label_smoothing=label_smoothing) for one in self._each_alone(features)]
        )
        return F.cross_entropy(joint, target, label_smoothing=label_smoothing) + self.alpha * each.sum()

    def _each_alone(self, features: dict[str, Tensor]) -> list[Tensor]:
        if "heads" in self.parts:
            return list(self.parts["heads"](features).values())
        fixed = {name: p.detach() for name, p in self._alone.named_parameters()}
        return [functional_call(self._alone, fixed, (features, m)) for m in self.modalities]

    def observe(self, output: FusionOutput, target: Tensor) -> None:
        """Nothing: gradients are stopped in the loss."""

    def step(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """Leave the gradients as they are.

        Returns:
            Nothing to record.
        """
        return {}
