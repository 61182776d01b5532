"""Optimizer and learning-rate schedule by name."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from counterpoint._moved import former_names
from counterpoint.errors import ConfigError
from counterpoint.registry import Registry, check_options
from counterpoint.training.config import OptimConfig
from counterpoint.training.config_errors import type_errors_as_config_errors
from counterpoint.wants import hand_in

OPTIMIZERS: Registry[Callable[..., Optimizer]] = Registry("optimizer", classes_of=Optimizer)
"""Each is called with the trained parameters, `lr`, `weight_decay` and ``optim.options``."""


@OPTIMIZERS.register("sgd")
def _sgd(parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float, momentum: float = 0.9) -> Optimizer:
    """Stochastic gradient descent with momentum, as one fused kernel per step."""
    return SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)


@OPTIMIZERS.register("adamw")
def _adamw(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Optimizer:
    """AdamW (Loshchilov and Hutter 2019), as one fused kernel per step."""
    return AdamW(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)


class Schedule(ABC):
    """The learning rate as a factor of its peak, step by step; without state.

    Args:
        total_steps: of the optimizer over the whole run, at least 1.

    Attributes:
        wants: of ``epochs``, what a subclass is to be given; further options come from ``optim.schedule_options``.
    """

    wants: ClassVar[tuple[str, ...]] = ()

    def __init__(self, total_steps: int) -> None:
        self.total_steps = total_steps

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The factor of the peak, at least 0, in the optimizer's step of that number, from 0."""


SCHEDULES: Registry[type[Schedule]] = Registry("schedule", classes_of=Schedule)


@SCHEDULES.register("constant")
class Constant(Schedule):
    """The peak throughout."""

    def __call__(self, step: int) -> float:
        """1."""
        return 1.0


@SCHEDULES.register("step")
class StepDecay(Schedule):
    """The peak, multiplied by a number at each of some epochs.

    A fall every n epochs, as OGM-GE and MMCosine train, is milestones n, 2 n ...; BMFN's are 10, 20 and 30 with a gamma
    of one half.

    Args:
        total_steps: of the optimizer over the whole run, at least 1.
        epochs: of the whole run, at least 1.
        milestones: epochs, from 0, that begin with a fall; those that the run does not reach change nothing. None: one
            fall, after seven tenths of the run.
        gamma: what the rate is multiplied by at each, above 0.
    """

    wants = ("epochs",)

    def __init__(
        self, total_steps: int, *, epochs: int = 1, milestones: Sequence[int] | None = None, gamma: float = 0.1
    ) -> None:
        super().__init__(total_steps)
        if gamma <= 0:
            raise ConfigError(f"optim.schedule_options.gamma is {gamma}; it must be greater than 0")
        if milestones is not None and (list(milestones) != sorted(set(milestones)) or min(milestones, default=1) < 1):
            raise ConfigError(
                f"optim.schedule_options.milestones is {list(milestones)}; they must be epochs from 1 in rising order"
            )
        self.falls = [0.7 * total_steps] if milestones is None else [m * total_steps / epochs for m in milestones]
        self.gamma = gamma

    def __call__(self, step: int) -> float:
        """1, and a power of gamma behind the first fall."""
        return float(self.gamma ** sum(step >= fall for fall in self.falls))


@SCHEDULES.register("cosine")
class Cosine(Schedule):
    """A linear warm-up over the first tenth of the run, then half a cosine down to 0."""

    def __call__(self, step: int) -> float:
        """From 0 to 1."""
        warmup = max(1, self.total_steps // 10)
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.total_steps - warmup)))


def create_optimizer(config: OptimConfig, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """The optimizer of those parameters that have gradients.

    Raises:
        UnknownNameError: no such optimizer.
        ConfigError: an option that it does not take, or a value of another type.
    """
    trained = [p for p in parameters if p.requires_grad]
    optimizer = OPTIMIZERS.get(config.name)
    options = {"lr": config.lr, "weight_decay": config.weight_decay}
    for name in options.keys() & config.options.keys():
        raise ConfigError(f"optim.options has {name!r}; say optim.{name}")
    options |= config.options
    check_options(f"Optimizer {config.name!r}", optimizer, options, given=1)
    with type_errors_as_config_errors("optim"):
        return optimizer(trained, **options)


def create_schedule(config: OptimConfig, optimizer: Optimizer, total_steps: int, epochs: int = 1) -> LambdaLR:
    """The learning rate over `total_steps` optimizer steps of a run of `epochs`, relative to its peak.

    Raises:
        UnknownNameError: no such schedule.
        ConfigError: an option that it does not take, or a value that it cannot be.
    """
    part = SCHEDULES.get(config.schedule)
    for name in {"total_steps", "epochs"} & config.schedule_options.keys():
        raise ConfigError(f"optim.schedule_options has {name!r}; leave it out: it follows from the run")
    check_options(f"Schedule {config.schedule!r}", part, config.schedule_options, given=1)
    options = hand_in(part, config.schedule_options, epochs=epochs)
    with type_errors_as_config_errors("optim.schedule_options"):
        schedule = part(total_steps, **options)
    return LambdaLR(optimizer, lambda step: schedule(step))  # a plain function: of objects it would keep the state


__getattr__ = former_names(__name__, {"LateDrop": "training.optim:StepDecay"})
