"""At the end of each epoch: metrics, steps and checkpoints into the run folder."""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from counterpoint._atomic import append_csv, replacing
from counterpoint.distributed import all_gather
from counterpoint.errors import RunError
from counterpoint.training.module import CounterpointModule
from counterpoint.training.run_dir import BEST, LAST, METRICS, STEPS


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, which may hold nothing but plain containers and tensors.

    Raises:
        RunError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise RunError(f"{path.parent} has no {path.name}: no epoch of the run was finished")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever pickle and zip make of damaged bytes
        raise RunError(f"{path} is damaged ({error}); start the run anew under another name") from error
    return state


class Recorder(Callback):
    """Writes ``metrics.csv``, ``steps.csv``, ``last.ckpt`` and ``best.ckpt``.

    Not a Lightning `Checkpoint`: Lightning runs those behind all other callbacks, and an epoch must be on disk before a
    callback that displays it can fail.

    The best epoch is the one with the best validation metric; of equals, the one with the lowest validation loss;
    of equals again, the first.

    Args:
        folder: the run's.
        metric: which of the task's.
        best: of the epochs before a resumed run: ``{"epoch": int, "value": float, "loss": float}``.
    """

    def __init__(self, folder: Path, metric: str, best: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.metric = metric
        self.best = best
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time."""
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write everything; rows come first, so that a checkpoint never stands without its rows."""
        assert isinstance(pl_module, CounterpointModule)
        improved = self._is_best(pl_module)
        steps = step_rows(pl_module)
        if trainer.is_global_zero:
            self._write_rows(pl_module, steps)
            self._write_checkpoints(pl_module, improved)
        trainer.strategy.barrier()

    def _is_best(self, module: CounterpointModule) -> bool:
        value, loss = module.val_metrics[f"val_{self.metric}"], module.val_metrics["val_loss"]
        sign = module.task.metrics[self.metric].sign
        loss = math.inf if math.isnan(loss) else loss
        if self.best is not None and (sign * value, -loss) <= (sign * self.best["value"], -self.best["loss"]):
            return False
        self.best = {"epoch": module.epoch, "value": value, "loss": loss}
        return True

    def _write_rows(self, module: CounterpointModule, steps: list[dict[str, Any]]) -> None:
        row: dict[str, Any] = {
            "epoch": module.epoch,
            "seconds": round(time.perf_counter() - self._began, 3),
            "lr": module.lr_at_start,
            **module.train_metrics,
            **module.val_metrics,
        }
        append_csv(self.folder / METRICS, [row])
        append_csv(self.folder / STEPS, steps)

    def _write_checkpoints(self, module: CounterpointModule, improved: bool) -> None:
        state = {
            "finished_epochs": module.epoch + 1,
            "best": self.best,
            "precision": module.precision,
            **module.training_state(),
        }
        with replacing(self.folder / LAST) as part:
            torch.save(state, part)
            if improved:
                with replacing(self.folder / BEST) as new_best:
                    new_best.unlink(missing_ok=True)
                    try:
                        os.link(part, new_best)
                    except OSError:  # not every file system has hard links
                        shutil.copyfile(part, new_best)


def step_rows(module: CounterpointModule) -> list[dict[str, Any]]:
    """The epoch's steps as rows, read from the device in one go; to be called by every process of a run.

    Columns: ``epoch``, ``step`` (within the run), ``loss``, which is the mean over processes, and under a balancer
    ``ratio_<modality>`` and ``coefficient_<modality>``.
    """
    if not module.steps:
        return []
    names = ["loss"]
    losses = torch.stack([s.loss for s in module.steps])
    columns = [all_gather(losses[None]).mean(0)[:, None]]
    for kind in ("ratio", "coefficient"):
        values = [v for s in module.steps if (v := getattr(s, kind)) is not None]
        if len(values) == len(module.steps):
            names += [f"{kind}_{modality}" for modality in module.model.modalities]
            columns.append(torch.stack(values))
    table = torch.cat([c.float() for c in columns], 1).tolist()
    first = module.epoch * len(table)
    return [
        {"epoch": module.epoch, "step": first + i, **dict(zip(names, values, strict=True))}
        for i, values in enumerate(table)
    ]
