"""Two stages: encoders by their own losses, apart or the weak ones alone; then everything by the joint loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterpoint._features import check_known
from counterpoint.balance.base import BALANCERS
from counterpoint.balance.detached import Detached
from counterpoint.balance.features import features_of
from counterpoint.errors import ConfigError
from counterpoint.fusion.base import Fusion
from counterpoint.fusion.output import FusionOutput


@BALANCERS.register("staged")
class Staged(Detached):
    """First each encoder by the loss of its own, then everything by the joint loss.

    In the first stage the joint loss trains the fusion on detached features, as in `Detached`: its answer can be
    evaluated after every epoch. Whoever keeps the epoch that is best on validation data so keeps the joint training of
    the second stage only where it helps. Optimizer and learning rate run on from one stage to the next.

    Args:
        encoders: per modality the module that its own loss trains first.
        fusion: of the model.
        epochs: of the whole run, at least 1.
        share: of these epochs in the first stage, rounded, between 0 and 1; one epoch at least in each stage, as long
            as there are two.
        first: modalities that the first stage trains, such as the weak ones, which are ahead when the others begin:
            these get gradients of zero until then, and weight decay as ever. None: all, each apart.
        heads: what answers for a modality alone in the first stage, see `Detached`. Heads of their own go on reading
            the features in the second, and reach no encoder any more.

    Raises:
        ConfigError: an option outside its range; or as for `Detached`.

    Example:
        >>> from counterpoint.fusion import Concat
        >>> encoders = {"audio": nn.Linear(4, 4), "visual": nn.Linear(6, 4)}
        >>> balance = Staged(encoders, fusion=Concat({"audio": 4, "visual": 4}, num_classes=3), epochs=10)
        >>> balance.switch
        5
    """

    wants = ("fusion", "epochs")

    def __init__(
        self,
        encoders: Mapping[str, nn.Module] | nn.ModuleDict,
        *,
        fusion: Fusion,
        epochs: int,
        share: float = 0.5,
        first: Sequence[str] | None = None,
        heads: Literal["fusion", "own"] = "own",
    ) -> None:
        self.first = tuple(encoders)
        super().__init__(encoders, fusion=fusion, alpha=1.0, heads=heads)
        if epochs < 1 or not 0 < share < 1:
            raise ConfigError(f"epochs must be 1 or more and share between 0 and 1, got {epochs} and {share}")
        if first is not None and not first:
            raise ConfigError("first names no modality; leave it out to train each apart")
        for name in first or ():
            check_known("Staged(first=...)", name, self.modalities)
        if first is not None:
            self.first = tuple(m for m in self.modalities if m in first)
        self.switch = min(max(round(share * epochs), 1), max(epochs - 1, 1))
        """The epoch, counted from 0, in which the second stage begins."""

    def loss(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """That of the stage of the running epoch; see `Balancer.loss` and `set_epoch`.

        Raises:
            ConfigError: the output does not carry the features that were fused.
        """
        if self.epoch < self.switch:
            return super().loss(output, target, label_smoothing=label_smoothing)
        joint = F.cross_entropy(output.logits, target, label_smoothing=label_smoothing)
        if "heads" not in self.parts:
            return joint
        # Data-parallel training wants a gradient for every parameter in every step.
        features = {m: x.detach() for m, x in features_of("Staged", output, self.fusion).items()}
        each = [F.cross_entropy(one, target, label_smoothing=label_smoothing) for one in self._each_alone(features)]
        return joint + torch.stack(each).sum()

    def _each_alone(self, features: dict[str, Tensor]) -> list[Tensor]:
        waiting = {m: x if m in self.first else x.detach() + 0 * x for m, x in features.items()}
        return super()._each_alone(waiting)

    def state_dict(self) -> dict[str, Any]:
        """The epoch, the heads' parameters, and where the second stage begins, also in a run that was made longer."""
        return {**super().state_dict(), "switch": self.switch}
