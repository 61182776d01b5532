"""What acts on a model's gradients between `backward()` and the optimizer's `step()`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from counterpoint.errors import ConfigError
from counterpoint.fusion.output import FusionOutput
from counterpoint.registry import Part, Registry, check_options


class Balancer(Part, ABC):
    """Keeps one modality from drowning the others while all of them train.

    A plain object beside the model, not a module, which may be dropped from a training loop without a trace. One
    training step is, in this order::

        loss = balancer.loss(output, target)
        scaler.scale(loss).backward()        # without mixed precision in float16: loss.backward()
        scaler.unscale_(optimizer)           # gradients are unscaled before they are measured ...
        balancer.step(output, target)        # ... and balanced ...
        clip_grad_norm_(parameters, 1.0)     # ... before they are clipped
        scaler.step(optimizer)
        scaler.update()

    A step whose gradients overflowed is skipped by the scaler as without a balancer: what is not finite stays so.
    Where gradients are accumulated over several backward passes, call `observe` after each but the last, and
    `step` once, after the last.

    A method that trains something of its own keeps it in `parts`: put them on the model's device, into the
    optimizer, and under the same data-parallel wrapper. One that must see how well the model does on clips that it is
    not trained on asks for a share of them by `holdout`, and for a `review` when it is `due`::

        if balancer.due(finished_epochs):  # 0 before the first
            balancer.review(mean_of_measure(train_clips), mean_of_measure(held_out_clips))

    A balancer of one's own takes `encoders` first and its options by name, and overrides `step` and `observe`; `loss`,
    where it trains with another; `due`, `measure` and `review`, where it wants a review; and `state_dict`, where it has
    a state beside the epoch and `parts`: every entry goes back to the attribute of its name.

    Args:
        encoders: per modality the module whose gradients are balanced, in the order in which modalities are declared.

    Attributes:
        wants: what the run is to hand in, as arguments of the constructor: ``seed``, ``fusion``, ``parameters``; and
            ``optimizer``, which comes by `attach`; see `counterpoint.wants`.
        optimizer: of the run, from `attach` on; else None.

    Raises:
        ConfigError: fewer than two encoders.

    Example:
        >>> class Halve(Balancer):
        ...     def __init__(self, encoders, *, modality):
        ...         super().__init__(encoders)
        ...         self.modality = modality
        ...
        ...     def observe(self, output, target):
        ...         pass
        ...
        ...     def step(self, output, target):
        ...         for parameter in self.encoders[self.modality].parameters():
        ...             parameter.grad.mul_(0.5)
        ...         return {}
        >>> encoders = {"audio": nn.Linear(4, 4), "visual": nn.Linear(8, 4)}
        >>> Halve(encoders, modality="audio").modalities
        ('audio', 'visual')
    """

    wants: ClassVar[tuple[str, ...]] = ()

    def __init__(self, encoders: Mapping[str, nn.Module] | nn.ModuleDict) -> None:
        self.encoders: dict[str, nn.Module] = dict(encoders.items())
        if len(self.encoders) < 2:
            raise ConfigError(
                f"{type(self).__name__} balances modalities against each other and needs at least two encoders; "
                f"it got {sorted(self.encoders)}."
            )
        self.epoch = 0
        self.optimizer: Optimizer | None = None
        self.notes: tuple[str, ...] = ()
        """What a run says of it before its first step, such as how much of the encoders it reaches."""
        self.parts = nn.ModuleDict()
        """Modules of its own that train with the model; they are no part of it and not exported with it."""
        self.holdout = 0.0
        """Share of the training clips that it wants kept out of training."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of every ``(M,)`` tensor."""
        return tuple(self.encoders)

    @property
    def has_own_loss(self) -> bool:
        """Whether the method trains with another loss than the cross entropy of the joint logits."""
        return type(self).loss is not Balancer.loss

    def attach(self, optimizer: Optimizer) -> None:
        """Take the optimizer that steps on the balanced gradients.

        Whoever trains calls it once, before the first step, where `wants` names ``optimizer``.

        Args:
            optimizer: of the encoders, everything behind them, and `parts`.
        """
        self.optimizer = optimizer

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is running, counted from 0."""
        self.epoch = epoch

    def loss(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """The loss that the method trains with; here the cross entropy of the joint logits.

        Args:
            output: what the fusion returned.
            target: classes, ``(B,)``.
            label_smoothing: 0 to 1.
        """
        return F.cross_entropy(output.logits, target, label_smoothing=label_smoothing)

    def check(self, output: FusionOutput) -> None:
        """Refuse a fusion by whose output the method can do nothing; here none.

        Args:
            output: of two samples, with gradients, before anything is trained.

        Raises:
            ConfigError: says what the fusion lacks.
        """
        return

    def due(self, finished: int) -> bool:
        """Whether `review` is to come after that many finished epochs, 0 before the first; here never."""
        return False

    def measure(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """What `review` wants the means of, by name: a number for every sample, ``(B,)`` each."""
        return {}

    def review(self, train: Mapping[str, float], held_out: Mapping[str, float]) -> None:
        """Take note of how the model does; here of nothing.

        Args:
            train: means of `measure` over the clips that are trained on, in evaluation mode and over all
                processes.
            held_out: the same over the clips that are not.
        """
        return

    @abstractmethod
    def observe(self, output: FusionOutput, target: Tensor) -> None:
        """Take note of a part of the batch whose gradients are accumulated; `step` takes all parts together."""

    @abstractmethod
    def step(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """Balance the encoders' gradients or next step, after `backward()` and before the optimizer's step.

        Args:
            output: what the fusion returned for the (last part of the) batch.
            target: classes, ``(B,)``.

        Returns:
            What is worth recording, as tensors that are still on the device.
        """

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on where this balancer is: plain values, and tensors of `parts`."""
        parts = {name: tensor.detach().cpu().clone() for name, tensor in self.parts.state_dict().items()}
        return {"epoch": self.epoch, **({"parts": parts} if parts else {})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            ConfigError: `state` is of another balancer.
        """
        expected = self.state_dict()
        if set(state) != set(expected):
            raise ConfigError(
                f"{type(self).__name__} goes on from a state with the entries {sorted(expected)}, but got one with "
                f"{sorted(state)}: it is the state of another balancer."
            )
        own, given = (_shapes(one.get("parts", {})) for one in (expected, state))
        if own != given:
            raise ConfigError(
                f"{type(self).__name__} trains {own} of its own, but the state has {given}: it is that of a balancer "
                "of other modalities, widths or classes."
            )
        for name, value in state.items():
            if name == "parts":
                self.parts.load_state_dict(value)
            else:
                setattr(self, name, value)


def _shapes(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())


BALANCERS: Registry[type[Balancer]] = Registry("balancer", classes_of=Balancer)


def create_balancer(name: str, encoders: Mapping[str, nn.Module] | nn.ModuleDict, **options: Any) -> Balancer:
    """The registered balancer of that name.

    Args:
        name: e.g. ``"ogm_ge"``; see `BALANCERS`.
        encoders: per modality the module whose gradients are balanced.
        options: the balancer's own keyword arguments.

    Raises:
        UnknownNameError: no such balancer.
        ConfigError: an option that the balancer does not take.
    """
    balancer = BALANCERS.get(name)
    check_options(f"Balancer {name!r}", balancer, options, given=1)
    return balancer(encoders, **options)
