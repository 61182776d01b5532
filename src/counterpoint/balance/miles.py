"""MILES: learning rates that follow, once an epoch, how much the model gains by each modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from counterpoint._features import ablate, check_modalities
from counterpoint.balance.base import BALANCERS
from counterpoint.balance.features import features_of
from counterpoint.balance.mslr import MSLR
from counterpoint.distributed import all_reduce_sum
from counterpoint.errors import ConfigError
from counterpoint.fusion.base import Fusion
from counterpoint.fusion.output import FusionOutput


@BALANCERS.register("miles")
class MILES(MSLR):
    """A learning rate per modality by conditional utilisation, as MILES (Guerra-Manzanares and Shamout, IJCNN 2025).

    The conditional utilisation rate of a modality (Wu, Jastrzebski, Cho and Geras, ICML 2022) is what the model gains
    by it, given the others: ``u_m = (A - A_without_m) / A``, A an accuracy. Where a modality is used more than the
    others, ``u_m - mean_{n != m} u_n > threshold``, its encoder learns at `rate` times the learning rate of the run in
    the next epoch, and else at all of it; the first epoch is as without.

    The paper was not at hand: that learning rates follow differences of conditional utilisation once an epoch is its
    abstract's, the rule and its numbers are ours. Here accuracies are of the training batches, as they went by, with a
    modality's features at zero where it is left out, and rates multiply steps, see `MSLR`.

    Args:
        encoders: per modality the module whose steps are changed.
        fusion: of the model.
        threshold: by how much of the accuracy a modality may be ahead, 0 to 1.
        rate: of what is ahead, 0 to 1.
        optimizer: as for `MSLR`.

    Raises:
        ConfigError: an option outside its range, or a fusion of other modalities.

    Example:
        >>> from counterpoint.fusion import Concat
        >>> encoders = {"audio": nn.Linear(4, 4), "visual": nn.Linear(6, 4)}
        >>> MILES(encoders, fusion=Concat({"audio": 4, "visual": 4}, num_classes=3)).rates
        {'audio': 1.0, 'visual': 1.0}
    """

    wants = ("fusion", "optimizer")

    def __init__(
        self,
        encoders: Mapping[str, nn.Module] | nn.ModuleDict,
        *,
        fusion: Fusion,
        threshold: float = 0.2,
        rate: float = 0.5,
        optimizer: Optimizer | None = None,
    ) -> None:
        super().__init__(encoders, optimizer=optimizer)
        if not (0 <= threshold <= 1 and 0 <= rate <= 1):
            raise ConfigError(f"threshold and rate must be between 0 and 1, got {threshold} and {rate}")
        check_modalities("MILES", fusion.modalities, self.modalities)
        self.fusion = fusion
        self.threshold = threshold
        self.rate = rate
        self._hits: Tensor | None = None

    def set_epoch(self, epoch: int) -> None:
        """Take the rates that the epoch before tells.

        Args:
            epoch: that begins, counted from 0.
        """
        if epoch != self.epoch and self.hits is not None:
            self.rates, self.hits = self._rates(self.hits), None
        super().set_epoch(epoch)

    def _rates(self, hits: list[int]) -> dict[str, float]:
        """Of how many clips were right: with all modalities, and without each."""
        joint, *without = hits
        used = [(joint - one) / joint if joint else 0.0 for one in without]
        ahead = [u - (sum(used) - u) / (len(used) - 1) for u in used]
        return {m: self.rate if d > self.threshold else 1.0 for m, d in zip(self.modalities, ahead, strict=True)}

    @torch.no_grad()
    def observe(self, output: FusionOutput, target: Tensor) -> None:
        """Count what a part of the batch gets right, with all modalities and without each.

        Raises:
            ConfigError: the output does not carry the features that were fused.
        """
        features = features_of("MILES", output, self.fusion)
        kept = [[n for n in self.modalities if n != m] for m in self.modalities]
        without = [self.fusion.join(ablate("MILES", features, names), update=False).logits for names in kept]
        hits = torch.stack([(logits.argmax(-1) == target).sum() for logits in (output.logits, *without)])
        hits = all_reduce_sum(hits)
        self._hits = hits if self._hits is None else self._hits.to(hits.device) + hits

    def step(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """Count, and leave the gradients as they are; see `MSLR.step`."""
        self.observe(output, target)
        return super().step(output, target)

    @property
    def hits(self) -> list[int] | None:
        """How many clips of the running epoch were right: with all modalities, and without each; None before any."""
        return None if self._hits is None else self._hits.tolist()

    @hits.setter
    def hits(self, value: list[int] | None) -> None:
        self._hits = None if value is None else torch.tensor(value)

    def state_dict(self) -> dict[str, Any]:
        """The epoch, its rates, and what was counted in it."""
        return {**super().state_dict(), "rates": dict(self.rates), "hits": self.hits}
