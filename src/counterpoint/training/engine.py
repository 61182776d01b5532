"""Lightning's trainer as this library runs it: quiet, interruptible, and resumed by our own checkpoints."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from counterpoint._progress import ProgressDisplay
from counterpoint.training.budget import planned
from counterpoint.training.callbacks.balancer_review import Review
from counterpoint.training.callbacks.batch_statistics import FitStatistics
from counterpoint.training.callbacks.checkpoint import Recorder
from counterpoint.training.callbacks.divergence import EndDiverged
from counterpoint.training.config import TrainConfig
from counterpoint.training.datamodule import ClipData
from counterpoint.training.module import CounterpointModule
from counterpoint.training.progress import ShowTraining


class BeginEpoch(Callback):
    """Tells data and module which epoch of the whole run begins."""

    def __init__(self, data: ClipData, first_epoch: int) -> None:
        self.data = data
        self.first_epoch = first_epoch
        data.epoch = first_epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Comes before the epoch's first batch is drawn."""
        assert isinstance(pl_module, CounterpointModule)
        self.data.epoch = self.first_epoch + trainer.current_epoch
        pl_module.begin_epoch(self.data.epoch)


def train_epochs(
    config: TrainConfig,
    folder: Path,
    module: CounterpointModule,
    data: ClipData,
    state: dict[str, Any] | None,
    extended: Sequence[int],
    display: ProgressDisplay,
) -> None:
    """Run the epochs that are left, writing each into the run folder as it ends.

    Args:
        config: of the run, resolved.
        folder: of the run.
        module: freshly built.
        data: its clips.
        state: the last checkpoint; None to start at the first epoch.
        extended: after which epochs the run was taken for finished, and then made longer.
        display: where progress is shown.

    Raises:
        DivergedError: the loss, a gradient or a weight is not finite any more.
        KeyboardInterrupt: on Ctrl-C or SIGTERM.
    """
    first, (epochs, _) = 0 if state is None else state["finished_epochs"], planned(config)
    if state is not None:
        module.load_training_state(state)
    if first >= epochs:
        return
    longer = first > 0 and first in extended
    if longer:
        module.reschedule()
    callbacks: list[Callback] = [  # in this order: an epoch is on disk before anything of it is displayed
        BeginEpoch(data, first),
        EndDiverged(),
        FitStatistics(),
        Review(data, first, at_start=first == 0 or longer),  # one was due after what was the last epoch
        Recorder(
            folder,
            config.metric,
            None if state is None else state["best"],
            {"epochs": epochs, "extended": list(extended)},
        ),
        ShowTraining(display, config.metric, first, epochs),
    ]
    with quiet():
        trainer = pl.Trainer(
            max_epochs=epochs - first,
            accelerator=config.accelerator,
            devices=config.devices,
            strategy="ddp" if config.devices > 1 else "auto",
            logger=False,
            callbacks=callbacks,
            enable_checkpointing=False,  # Recorder writes ours, and in its place among the callbacks
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        with interruptible(trainer):
            trainer.fit(module, datamodule=data)
    data.trainer = None  # what is read from now on is read whole by every process


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep back Lightning's announcements and its advice on settings that are chosen here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=r"Grad strides do not match")  # channels-last under DDP
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def interruptible(trainer: pl.Trainer) -> Iterator[None]:
    """SIGTERM acts as Ctrl-C, and both come out as `KeyboardInterrupt`: Lightning would end the process instead."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
