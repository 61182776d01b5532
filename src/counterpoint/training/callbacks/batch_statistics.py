"""Running statistics of batch normalisations that fit the weights: measured anew while a run has few steps behind it.

A running statistic is an exponential average over steps. After t of them, ``(1 - momentum)^t`` of it are still the
value that it began with (mean 0 and variance 1, or those of published weights), and the rest is of weights that have
moved on. Where an epoch is a single step, networks that fit their training clips perfectly are evaluated at chance for
many epochs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from counterpoint._eval_mode import evaluating
from counterpoint.distributed import all_reduce_sum
from counterpoint.training.module import CounterpointModule

BEGINNING = 1e-4
"""Largest share of its first value that a running statistic may hold when it is evaluated: the variance of a layer
whose true one is a hundredth of the first, 1, is then off by a hundredth."""

FEW_STEPS = math.ceil(math.log(BEGINNING) / math.log(1 - 0.1))
"""Steps after which that is so under torch's default momentum of 0.1: 88."""

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class FitStatistics(Callback):
    """Has the weights evaluated, reviewed and kept with statistics of their own, where the running ones lag.

    Training goes on with its running ones: what comes after `FEW_STEPS` is as it would be without this.
    """

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Behind an epoch's last step, and before validation."""
        assert isinstance(pl_module, CounterpointModule)
        steps = (pl_module.epoch + 1) * int(trainer.num_training_batches)
        if trainer.is_last_batch and remember_their_beginning(pl_module.model, steps):
            pl_module.running_statistics = recompute(pl_module, trainer.train_dataloader or ())


def remember_their_beginning(model: nn.Module, steps: int) -> bool:
    """Whether running statistics that training moves still hold too much of the value they began with.

    Those without a momentum are plain averages, which hold nothing of it; those with a momentum of 0 are meant to stay.

    Args:
        model: in training mode; norms of it in evaluation mode are frozen, and stay.
        steps: of the optimizer so far.
    """
    return any((1 - (norm.momentum or 1)) ** steps > BEGINNING for norm in _moving(model).values())


def recompute(module: CounterpointModule, batches: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Put statistics of the weights as they are in the place of the running ones.

    They are the means over training batches of the batches' own statistics, all weights standing still (Wu and Johnson
    2021, "Rethinking 'Batch' in BatchNorm", section 3), in evaluation mode otherwise: nothing is drawn or dropped.

    Args:
        module: in training mode.
        batches: of training clips, in the composition that the model is trained on; as many on every process.

    Returns:
        What stood there before, by its name in the model's ``state_dict``.
    """
    norms = _moving(module.model)
    before = {f"{name}.{key}": getattr(norm, key).clone() for name, norm in norms.items() for key in _STATISTICS}
    momenta = {name: norm.momentum for name, norm in norms.items()}
    with evaluating(module), torch.no_grad():
        for norm in norms.values():
            norm.reset_running_stats()
            norm.momentum, norm.training = None, True  # torch's word for the mean over all batches
        for batch in batches:
            module({name: batch[name].to(module.device, non_blocking=True) for name in module.transforms})
    processes = all_reduce_sum(torch.ones((), device=module.device))
    for name, norm in norms.items():
        norm.momentum = momenta[name]
        for key in _STATISTICS:
            found, old = getattr(norm, key), before[f"{name}.{key}"]
            unused = key == "num_batches_tracked" or norm.num_batches_tracked == 0  # the former is counted by training
            found.copy_(old if unused else all_reduce_sum(found) / processes)
    return before


def _moving(model: nn.Module) -> dict[str, _BatchNorm]:
    """The norms by name whose running statistics follow training."""
    return {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, _BatchNorm) and part.training and part.running_mean is not None and part.momentum != 0
    }
