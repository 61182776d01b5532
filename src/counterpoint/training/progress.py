"""What the terminal shows while clips are decoded and a model is trained; nothing where it is no terminal."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Display:
    """Bars on standard error.

    Args:
        enabled: False shows nothing; True shows bars where standard error is a terminal.
    """

    def __init__(self, enabled: bool = True) -> None:
        console = Console(stderr=True)
        self.enabled = enabled and console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not self.enabled,
            refresh_per_second=4,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def update(self, name: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of that name, which appears with its first move."""
        if not self.enabled:
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, note=note)
        self._bars.update(self._tasks[name], completed=done, total=total, note=note)

    def callback(self, name: str) -> Callable[[int, int], None] | None:
        """A function of (done, total) that moves the bar of that name; None where nothing is shown."""
        return functools.partial(self.update, name) if self.enabled else None


class ShowTraining(Callback):
    """One bar over all steps of the run, with the last epoch's validation figure beside it.

    Args:
        display: where the bar is.
        metric: which figure: the one that chooses the epoch.
        first_epoch: of this process.
        epochs: of the whole run.
    """

    def __init__(self, display: Display, metric: str, first_epoch: int, epochs: int) -> None:
        self.display = display
        self.metric = metric
        self.first_epoch = first_epoch
        self.epochs = epochs
        self._note = ""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar by one step."""
        self._move(trainer, batch_idx + 1)

    def _move(self, trainer: pl.Trainer, done: int) -> None:
        steps = int(trainer.num_training_batches)
        epoch = self.first_epoch + trainer.current_epoch
        self.display.update("train", epoch * steps + done, self.epochs * steps, self._note)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Show what validation gave."""
        value = pl_module.val_metrics[f"val_{self.metric}"]
        epoch = self.first_epoch + trainer.current_epoch + 1
        self._note = f"epoch {epoch}/{self.epochs}  val {self.metric} {value:.3f}"
        self._move(trainer, int(trainer.num_training_batches))
