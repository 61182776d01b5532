"""From a resolved configuration to its parts, with fresh weights: model, transforms, balancer and loss."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from counterpoint._eval_mode import evaluating
from counterpoint.balance import BALANCERS, Balancer, create_balancer
from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.fusion import FUSIONS, Fusion
from counterpoint.localise import LOCALISERS, LocaliserOutput
from counterpoint.losses import create_loss
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import create_transform
from counterpoint.models import (
    LocalisationModel,
    Model,
    MultimodalModel,
    create_feature_model,
    create_localisation_model,
    create_model,
)
from counterpoint.training.budget import expected_epochs
from counterpoint.training.config import LossConfig, TrainConfig
from counterpoint.training.config_errors import type_errors_as_config_errors
from counterpoint.training.resolved import Inputs, Resolved
from counterpoint.training.task import Task, build_task
from counterpoint.wants import hand_in

T = TypeVar("T")


@dataclass(frozen=True)
class Parts:
    """What is trained, and by what.

    Attributes:
        model: encoders, fusion, head; or encoders and localiser.
        transforms: per modality, from decoded clips to the encoder's input.
        balancer: None: nothing is balanced.
        loss: of ``(output, target)``.
        task: which target trains the model, and how it is evaluated.
    """

    model: Model
    transforms: nn.ModuleDict
    balancer: Balancer | None
    loss: Callable[..., Tensor]
    task: Task


def build(resolved: Resolved) -> Parts:
    """Create all parts of a run; weights are drawn from torch's generator, the model's before the balancer's.

    Raises:
        CounterpointError: options or values of parts that do not fit, or do not fit each other.
    """
    config, classes = resolved.config, len(resolved.classes)
    model = build_model(
        config, classes, encoders=resolved.encoders, segments=resolved.segments, features=resolved.features
    )
    transforms = create_transforms(resolved.inputs, resolved.spec, augment=config.augment)
    balancer = build_balancer(config, model)
    return Parts(model, transforms, balancer, build_loss(config, balancer, model), build_task(config, classes))


def build_model(
    config: TrainConfig,
    num_classes: int,
    *,
    encoders: Mapping[str, Any] | None = None,
    segments: int | None = None,
    features: Mapping[str, int] | None = None,
) -> Model:
    """Create the model alone, with fresh weights; under ``torch.device("meta")`` it takes no memory.

    Args:
        config: what to create.
        num_classes: C.
        encoders: per modality changes to its encoder, or how features are brought to scale; None: those of the
            configuration.
        segments: T, in localisation.
        features: widths of the clips' features, where the clips are features and need no encoders; None: they are
            media.

    Raises:
        CounterpointError: names, options or values that do not fit.
    """
    encoders = config.model.options if encoders is None else encoders
    if config.task == "localise":
        chosen, segments = config.localise, segments or 1
        options = {"supervision": chosen.supervision, "loss": chosen.loss, **chosen.options}
        part = LOCALISERS.get(chosen.name)
        with type_errors_as_config_errors("model or localise"):
            return create_localisation_model(
                chosen.name,
                num_classes=num_classes,
                segments=segments,
                model=config.model.name if features is None else None,
                dims=features,
                modalities=config.model.modalities,
                localiser_options=hand_in(part, options, segments=segments, seed=config.seed),
                **encoders,
            )
    between, fusion = config.intermediate, config.fusion
    named = {"attention": fusion.attention, "zeta": fusion.zeta}
    options = {**{k: v for k, v in named.items() if v is not None}, **fusion.options}
    joined: dict[str, Any] = {
        "num_classes": num_classes,
        "modalities": config.model.modalities,
        "fusion": fusion.name,
        "fusion_options": hand_in(FUSIONS.get(fusion.name), options, seed=config.seed),
        "head": config.head.name,
        "head_options": config.head.options,
        "modality_dropout": config.regularise.modality_dropout,
    }
    with type_errors_as_config_errors("model, intermediate, fusion or head"):
        if features is not None:
            if between.name is not None:
                raise ConfigError(f"intermediate {between.name!r} acts inside encoders, and features have none")
            return create_feature_model(features, **joined, **encoders)
        return create_model(
            config.model.name,
            intermediate=between.name,
            intermediate_layers=between.layers,
            intermediate_options=between.options,
            **joined,
            **encoders,
        )


def create_transforms(inputs: Inputs, spec: MediaSpec, *, augment: bool) -> nn.ModuleDict:
    """Per modality its transform.

    Args:
        inputs: modality -> name and options.
        spec: the shape of the clips.
        augment: with random changes of training clips.

    Raises:
        CounterpointError: names or options that do not fit.
    """
    made = {}
    for modality, chosen in inputs.items():
        options = dict(chosen)
        # Some look at the numbers that they make, which are nowhere if the model is built on no device.
        with torch.device("cpu"), type_errors_as_config_errors(f"model.inputs.{modality}"):
            made[modality] = create_transform(options.pop("name"), spec=spec, augment=augment, **options)
    return nn.ModuleDict(made)


def build_balancer(config: TrainConfig, model: Model) -> Balancer | None:
    """The balancer asked for, with what it wants of the run.

    In localisation ``parameters`` are all of a modality's: over features made before there are no convolutions.

    Raises:
        ConfigError: options that do not fit, or a balancer that the model cannot be trained with.
    """
    name = config.balance.name
    if name is None:
        return None
    part = BALANCERS.get(name)
    there: dict[str, Any] = {"seed": config.seed, "parameters": "auto", "epochs": expected_epochs(config)}
    if isinstance(model, LocalisationModel):
        there["parameters"] = "all"
        if not model.localiser.decoupled:
            known = ", ".join(n for n in LOCALISERS if LOCALISERS.get(n).decoupled)
            raise ConfigError(
                f"balance {name!r} needs to know what each modality contributes, which {config.localise.name!r} does "
                f"not tell; {known} do"
            )
        if part.loss is not Balancer.loss:
            raise ConfigError(f"balance {name!r} trains with a loss of its own, which localisers cannot")
    else:
        there["fusion"] = model.fusion
    with type_errors_as_config_errors("balance"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".* acts on .*of what is trained")  # the run says it in its notes
        return create_balancer(name, model.balanced, **hand_in(part, config.balance.options, **there))


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
        _dry_run(model.fusion, loss, balancer)
    return loss


class _LocaliserLoss:
    """A localiser's own loss, called as every loss is."""

    def __init__(self, model: LocalisationModel) -> None:
        self.localiser = model.localiser

    def __call__(self, output: LocaliserOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        del label_smoothing  # the configuration refuses any
        return self.localiser.loss(output, target)


def _dry_run(fusion: Fusion, loss: Callable[..., Tensor], balancer: Balancer | None) -> None:
    """Tell now what the first training step would refuse; weights and records stay.

    Features of two samples that are zero throughout are fused, and the loss taken: some options of parts fit by
    themselves, but not each other or not features ``(B, D)``, as a loss of each modality's own logits and a fusion that
    has none to learn from, or a population of SimAM² that takes in the batch.

    Raises:
        CounterpointError: what the parts say of each other.
    """
    like = next(fusion.parameters())
    features = {name: like.new_zeros(2, width) for name, width in fusion.dims.items()}
    with evaluating(fusion), torch.enable_grad():
        output = fusion(features)
        loss(output, torch.zeros(2, dtype=torch.long, device=like.device))
        if balancer is not None:
            balancer.check(output)


def on_no_device(make: Callable[[], T]) -> T:
    """Make parts without memory and without drawing weights; for real where one needs to see its numbers."""
    state = torch.get_rng_state()
    try:
        with torch.device("meta"):
            return make()
    except CounterpointError:
        raise
    except (RuntimeError, NotImplementedError):
        return make()
    finally:
        torch.set_rng_state(state)
