"""Ends a run whose loss, gradients or weights are no finite numbers any more, and says where that began."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from counterpoint.distributed import all_gather
from counterpoint.errors import DivergedError
from counterpoint.training.module import CounterpointModule
from counterpoint.training.step_record import not_finite

EVERY = 200
"""Steps after which the device is asked, beside an epoch's end: every step would have to wait for it."""


class EndDiverged(Callback):
    """Looks at losses and gradients of steps, at the weights behind an epoch's last, and at the validation loss."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Comes before validation, so that no epoch that went wrong is evaluated or kept.

        Raises:
            DivergedError: names the first step that went wrong, and what in it.
        """
        assert isinstance(pl_module, CounterpointModule)
        if not trainer.is_last_batch and (batch_idx + 1) % EVERY:
            return
        found = first_not_finite(pl_module)
        if found is None and trainer.is_last_batch:
            found = _weights(pl_module)
        if found is not None:
            _end(trainer, pl_module, *found)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Comes before the epoch is kept: weights may be finite, but so large that no logit is.

        Raises:
            DivergedError: the validation loss is not finite.
        """
        assert isinstance(pl_module, CounterpointModule)
        value = pl_module.val_metrics["val_loss"]
        if not math.isfinite(value):
            last = pl_module.steps[-1].loss
            _end(trainer, pl_module, len(pl_module.steps) - 1, float(last), f"the validation loss is {value} after it")


def _end(trainer: pl.Trainer, module: CounterpointModule, step: int, loss: float, reason: str) -> None:
    steps = int(trainer.num_training_batches)
    raise DivergedError(
        f"training diverged in epoch {module.epoch + 1}, step {step + 1} of {steps}: {reason}. Lower optim.lr (now "
        f"{module.optim.lr:g}), or bound the gradient by optim.clip_norm",
        {"epoch": module.epoch, "step": module.epoch * steps + step, "loss": loss, "reason": reason},
    )


def first_not_finite(module: CounterpointModule) -> tuple[int, float, str] | None:
    """The epoch's first step with a loss or a gradient that is not finite, its loss, and what it is.

    Under a gradient scaler gradients may be: such steps are not made, and the scale is lowered. To be called by every
    process of a run.
    """
    steps = module.steps
    losses = all_gather(torch.stack([step.loss for step in steps])[None])
    wrong = (~losses.isfinite()).any(0)
    gradients = torch.stack([step.gradients for step in steps])  # the same on every process
    if not module.scaler.is_enabled():
        wrong = wrong | gradients.any(1)
    if not wrong.any():
        return None
    first = int(wrong.int().argmax())
    loss = float(losses[:, first].mean())
    if torch.isfinite(losses[:, first]).all():
        name = module.names[int(gradients[first].int().argmax())]
        return first, loss, f"the loss is {loss:.3g}, but the gradient of {name} is not finite"
    parts = all_gather(steps[first].modalities[None]).any(0).tolist()
    of = " and ".join(name for name, bad in zip(module.model.modalities, parts, strict=False) if bad)
    return first, loss, f"the loss is {loss:.3g}" + (f", and so are logits of {of}" if of else "")


def _weights(module: CounterpointModule) -> tuple[int, float, str] | None:
    """The last step, its loss, and which weights are not finite since."""
    wrong = not_finite(module.trained, module.steps[-1].loss)
    if not wrong.any():
        return None
    name = module.names[int(wrong.int().argmax())]
    return len(module.steps) - 1, float(module.steps[-1].loss), f"it left {name} not finite"
