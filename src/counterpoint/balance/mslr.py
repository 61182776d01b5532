"""A learning rate for each modality: steps of its encoder are so many times as long, under any optimizer."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from counterpoint._features import check_known
from counterpoint.balance.base import BALANCERS, Balancer
from counterpoint.balance.parameters import reach, select_parameters
from counterpoint.balance.update import LastStep
from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.fusion.output import FusionOutput


@BALANCERS.register("mslr")
class MSLR(Balancer):
    """Modality-specific learning rates (Yao and Mihalcea, Findings of ACL 2022), fixed: that of the run times a rate.

    The rate multiplies the step that the optimizer has made, weight decay included, of all parameters of the encoder;
    what is behind the encoders keeps the learning rate of the run. Of optimizers whose steps are proportional to the
    learning rate, it is the same as a learning rate of that size.

    Args:
        encoders: per modality the module whose steps are changed.
        rates: modality -> factor of its learning rate, at least 0; 1 for those that are not named.
        optimizer: what steps on the encoders; `attach` gives it afterwards.

    Raises:
        ConfigError: a rate that is negative or no number.
        UnknownNameError: a rate of a modality that has no encoder.

    Example:
        >>> encoders = {"audio": nn.Linear(4, 4), "visual": nn.Linear(6, 4)}
        >>> optimizer = torch.optim.AdamW([*encoders["audio"].parameters(), *encoders["visual"].parameters()])
        >>> MSLR(encoders, rates={"audio": 0.1}, optimizer=optimizer).rates
        {'audio': 0.1, 'visual': 1.0}
    """

    wants: ClassVar[tuple[str, ...]] = ("optimizer",)

    def __init__(
        self,
        encoders: Mapping[str, nn.Module] | nn.ModuleDict,
        *,
        rates: Mapping[str, float] | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:
        super().__init__(encoders)
        for name, rate in (rates or {}).items():
            check_known(type(self).__name__, name, self.modalities)
            if not 0 <= rate < math.inf:
                raise ConfigError(f"rates must be finite and 0 or more, but that of {name!r} is {rate}")
        self.parameters = select_parameters(self.encoders, "all")
        self.notes = (f"{type(self).__name__} acts on {reach(self.encoders, self.parameters)[0]}",)
        self.rates = {m: float((rates or {}).get(m, 1.0)) for m in self.modalities}
        self._last_steps: list[LastStep] = []
        if optimizer is not None:
            self.attach(optimizer)

    def attach(self, optimizer: Optimizer) -> None:
        """Take the optimizer whose steps are to be changed.

        Args:
            optimizer: of the encoders at least.
        """
        super().attach(optimizer)
        for former in self._last_steps:
            former.remove()
        self._last_steps = [
            LastStep(
                optimizer,
                parameters,
                functools.partial(self._changes, modality),
                functools.partial(self._scale, modality),
            )
            for modality, parameters in self.parameters.items()
        ]

    def observe(self, output: FusionOutput, target: Tensor) -> None:
        """Nothing: rates do not depend on the batch."""

    def step(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """Leave the gradients as they are; the next step of the optimizer is changed.

        Returns:
            ``"coefficient"``, the rates, ``(M,)``.

        Raises:
            CounterpointError: there is no optimizer yet.
        """
        if self.optimizer is None:
            name = type(self).__name__
            raise CounterpointError(f"{name} changes the optimizer's steps; give it one, {name}(..., optimizer=...)")
        return {"coefficient": torch.stack([output.logits.new_full((), rate) for rate in self.rates.values()])}

    def _changes(self, modality: str) -> bool:
        return self.rates[modality] != 1

    def _scale(self, modality: str, back: list[Tensor | None]) -> None:
        """Make of minus a step what takes it to `rate` times its length."""
        torch._foreach_mul_([one for one in back if one is not None], 1 - self.rates[modality])
