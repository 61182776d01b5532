"""What is shown while a model is trained."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from counterpoint._progress import ProgressDisplay


class ShowTraining(Callback):
    """One bar over all steps of the run, with the last epoch's figures beside it; without a terminal, and in the run's
    log, a line per epoch.

    Args:
        display: where it is shown.
        metric: which figure: the one that chooses the epoch.
        first_epoch: of this process.
        epochs: of the whole run.
    """

    def __init__(self, display: ProgressDisplay, metric: str, first_epoch: int, epochs: int) -> None:
        self.display = display
        self.metric = metric
        self.first_epoch = first_epoch
        self.epochs = epochs
        self._note = ""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One step further."""
        self._show(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Show what the epoch gave."""
        trained, validated = pl_module.train_metrics, pl_module.val_metrics
        epoch = self.first_epoch + trainer.current_epoch + 1
        heading = pl_module.task.metrics[self.metric].heading
        ours, theirs = trained[f"train_{self.metric}"], validated[f"val_{self.metric}"]
        self._note = (
            f"epoch {epoch}/{self.epochs}  val {heading} {theirs:.3f}  train {heading} {ours:.3f}  "
            f"loss {trained['train_loss']:.3f}"
        )
        self._show(trainer, int(trainer.num_training_batches))

    def _show(self, trainer: pl.Trainer, done: int) -> None:
        steps = int(trainer.num_training_batches)
        epoch = self.first_epoch + trainer.current_epoch
        self.display.update("train", epoch * steps + done, self.epochs * steps, self._note)
