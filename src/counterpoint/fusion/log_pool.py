"""Late fusion by a weighted product of probabilities, whose weights validation clips tell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack, override

from counterpoint._features import check_modalities
from counterpoint.errors import ConfigError
from counterpoint.functional.ratios import IGNORED
from counterpoint.fusion.base import FUSIONS
from counterpoint.fusion.product import Product
from counterpoint.heads import HeadOptions


@FUSIONS.register("log_pool")
class LogPool(Product):
    """A logarithmic opinion pool (Heskes, NeurIPS 1997): ``p ~ prod_m softmax(z_m)^w_m``.

    The product of probabilities is what modalities say together that are independent of each other given the class,
    as long as each is as sure as it is right, which networks are not. The weights mend that: a modality that is too
    sure of itself, or says nothing, counts less. They are one until `calibrate` is called, which a run does with its
    validation clips once it is trained. Train with the loss ``"unimodal"``: no encoder then hides behind another.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        head: see `HeadOptions`.

    Attributes:
        weight: w_m, ``(M,)``; kept with the model's weights.

    Example:
        >>> fusion = LogPool({"audio": 4, "visual": 6}, num_classes=2)
        >>> says_nothing, knows = torch.zeros(3, 2), torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
        >>> fusion.calibrate({"audio": says_nothing, "visual": knows}, torch.tensor([0, 0, 1]))
        >>> bool(fusion.weight[1] > 1)
        True
    """

    wants = ("validation",)
    weight: Tensor

    def __init__(self, dims: Mapping[str, int], num_classes: int, **head: Unpack[HeadOptions]) -> None:
        super().__init__(dims, num_classes, **head)
        self.register_buffer("weight", torch.ones(len(dims)))

    @override
    def combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        return super().combine({m: weight * logits[m] for m, weight in zip(logits, self.weight, strict=True)})

    @override
    def calibrate(self, logits: Mapping[str, Tensor], target: Tensor) -> None:
        """Weights under which the joint answer fits these clips best, by its cross entropy.

        All are above 0, and a prior keeps few clips from extremes: the logarithm of a weight is normal around 0, and a
        factor of ten is one standard deviation.

        Args:
            logits: per modality its own, ``(N, C)``, of clips that nothing was trained on.
            target: classes, ``(N,)``; clips of class -100 are left out.

        Raises:
            ConfigError: no clip has a class, or some logits are not finite.
            UnknownNameError: a modality is missing or was never declared.
        """
        check_modalities("LogPool", logits, self.modalities)
        with torch.inference_mode(False), torch.enable_grad():
            z = torch.stack([logits[m].detach().double().clone() for m in self.modalities])
            classes = target.clone()
            if not z.isfinite().all() or (classes == IGNORED).all():
                raise ConfigError("LogPool.calibrate needs finite logits, and clips that have a class")
            exponent = z.new_zeros(len(z), requires_grad=True)
            optimizer = torch.optim.LBFGS([exponent], max_iter=100, line_search_fn="strong_wolfe")

            def loss() -> Tensor:
                exponent.grad = None
                joint = torch.einsum("m,mnc->nc", exponent.exp(), z)
                prior = (exponent / math.log(10)).square().sum() / 2
                value = F.cross_entropy(joint, classes, reduction="sum") + prior
                value.backward()  # type: ignore[no-untyped-call]
                return value

            optimizer.step(loss)  # type: ignore[no-untyped-call]
            self.weight.copy_(exponent.detach().exp())
