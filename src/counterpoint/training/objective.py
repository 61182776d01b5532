"""From a configuration to what a model is trained for: its task, balancer and loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from counterpoint._eval_mode import evaluating
from counterpoint.balance import BALANCERS, Balancer, create_balancer
from counterpoint.errors import ConfigError
from counterpoint.fusion import Fusion
from counterpoint.localise import LOCALISERS, LocaliserOutput
from counterpoint.losses import create_loss
from counterpoint.models import LocalisationModel, Model, MultimodalModel
from counterpoint.training.config import LossConfig, TrainConfig
from counterpoint.training.config_errors import type_errors_as_config_errors


def build_balancer(config: TrainConfig, model: Model) -> Balancer | None:
    """The balancer asked for; its noise follows the run's seed unless its options name another.

    In localisation it acts on all parameters of a modality, unless its options say otherwise: over features made before
    there are no convolutions.
    """
    name = config.balance.name
    if name is None:
        return None
    if isinstance(model, LocalisationModel) and not model.localiser.decoupled:
        known = ", ".join(n for n in LOCALISERS if LOCALISERS.get(n).decoupled)
        raise ConfigError(
            f"balance {name!r} needs to know what each modality contributes, which {config.localise.name!r} does not "
            f"tell; {known} do"
        )
    part = BALANCERS.get(name)
    if isinstance(model, LocalisationModel) and part.loss is not Balancer.loss:
        raise ConfigError(f"balance {name!r} trains with a loss of its own, which localisers cannot")
    options = dict(config.balance.options)
    takes = inspect.signature(part).parameters
    if "seed" in takes:
        options.setdefault("seed", config.seed)
    if "fusion" in takes and not isinstance(model, LocalisationModel):
        options["fusion"] = model.fusion
    if "parameters" in takes and isinstance(model, LocalisationModel):
        options.setdefault("parameters", "all")
    with type_errors_as_config_errors("balance"):
        return create_balancer(name, model.balanced, **options)


def build_loss(config: TrainConfig, balancer: Balancer | None, model: Model | None = None) -> Callable[..., Tensor]:
    """The localiser's loss; else the balancer's where it has one of its own, else the one asked for.

    Raises:
        UnknownNameError: no such loss.
        ConfigError: options that do not fit, a loss is asked for beside a balancer that brings its own, or it is one
            that the model's fusion cannot be trained with.
        ShapeError: options of the fusion that do not fit features ``(B, D)``.
    """
    if isinstance(model, LocalisationModel):
        return _LocaliserLoss(model)
    loss: Callable[..., Tensor]
    if balancer is not None and balancer.has_own_loss:
        if config.loss != LossConfig():
            raise ConfigError(
                f"balance {config.balance.name!r} trains with a loss of its own; leave loss.name at its default"
            )
        loss = balancer.loss
    else:
        with type_errors_as_config_errors("loss"):
            loss = create_loss(config.loss.name, **config.loss.options)
    if isinstance(model, MultimodalModel):
        _dry_run(model.fusion, loss)
    return loss


class _LocaliserLoss:
    """A localiser's own loss, called as every loss is."""

    def __init__(self, model: LocalisationModel) -> None:
        self.localiser = model.localiser

    def __call__(self, output: LocaliserOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        del label_smoothing  # the configuration refuses any
        return self.localiser.loss(output, target)


def _dry_run(fusion: Fusion, loss: Callable[..., Tensor]) -> None:
    """Tell now what the first training step would refuse.

    Features of two samples that are zero throughout are fused, and the result evaluated; weights and records stay.

    Some options of parts fit by themselves, but not each other or not features ``(B, D)``: a loss of each modality's
    own logits and a fusion that has none to learn from, a population of SimAM² that takes in the batch.

    Args:
        fusion: of the model.
        loss: of ``(output, target)``.

    Raises:
        CounterpointError: what the parts say of each other.
    """
    like = next(fusion.parameters())
    features = {name: like.new_zeros(2, width) for name, width in fusion.dims.items()}
    with evaluating(fusion), torch.enable_grad():
        loss(fusion(features), torch.zeros(2, dtype=torch.long, device=like.device))
