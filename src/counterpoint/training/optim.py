"""Optimizer and learning-rate schedule by name."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from counterpoint.errors import ConfigError
from counterpoint.registry import Registry, check_options
from counterpoint.training.config import OptimConfig
from counterpoint.training.config_errors import type_errors_as_config_errors

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
    """

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
class LateDrop(Schedule):
    """The peak, and a tenth of it in the last three tenths of the run."""

    def __call__(self, step: int) -> float:
        """1, then 0.1."""
        return 1.0 if step < 0.7 * self.total_steps else 0.1


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


def create_schedule(config: OptimConfig, optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """The learning rate over `total_steps` optimizer steps, relative to its peak."""
    schedule = SCHEDULES.get(config.schedule)(total_steps)
    return LambdaLR(optimizer, lambda step: schedule(step))  # a plain function: of objects it would keep the state
