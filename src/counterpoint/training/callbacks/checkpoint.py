"""At the end of each epoch: metrics, steps and checkpoints into the run folder."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from counterpoint._atomic import append_csv, read_csv, write_csv, write_text, writing
from counterpoint._checksums import require_whole
from counterpoint.distributed import all_gather
from counterpoint.errors import DamagedFileError, RunError, one_line
from counterpoint.training.module import CounterpointModule
from counterpoint.training.run_dir import BEST, LAST, METRICS, STEPS

ROWS = (METRICS, STEPS)

_log = logging.getLogger(__name__)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, which may hold nothing but plain containers and tensors.

    Raises:
        RunError: there is none.
        DamagedFileError: it is damaged.
    """
    if not path.is_file():
        raise RunError(f"{path.parent} has no {path.name}: no epoch of the run was finished")
    require_whole(path)
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever pickle and zip make of damaged bytes
        raise DamagedFileError(f"{path} is damaged ({one_line(error)})") from error
    return state


def read_progress(folder: Path) -> dict[str, Any] | None:
    """The state that an interrupted run goes on from: the last one, or the best one where that is damaged.

    Returns:
        None where no epoch is finished.

    Raises:
        DamagedFileError: there are checkpoints, but not those that are needed.
    """
    damaged = ""
    for name in (LAST, BEST):
        if not (folder / name).is_file():
            continue
        try:
            state = read_checkpoint(folder / name)
        except DamagedFileError as error:
            damaged = damaged or str(error)
            continue
        if name == BEST:
            why = damaged or f"{folder} has no {LAST}"
            _log.warning("%s. Going on from %s, after epoch %d", why, BEST, state["finished_epochs"])
        _require_best(folder, state)
        return state
    if damaged:
        raise DamagedFileError(f"{damaged}, and there is no other checkpoint; --overwrite begins the run anew")
    return None


def _require_best(folder: Path, state: Mapping[str, Any]) -> None:
    """The best epoch's weights are needed in the end; those of the last epoch are at hand."""
    try:
        read_checkpoint(folder / BEST)
    except RunError as error:
        best = state["best"]["epoch"] + 1
        if best != state["finished_epochs"]:
            raise DamagedFileError(
                f"{error}; it alone has the weights of epoch {best}, the best one. --overwrite begins the run anew"
            ) from error
        _write(folder / BEST, state)


def restore_rows(path: Path, state: Mapping[str, Any] | None) -> None:
    """Let a file of rows hold those of the finished epochs: as the state has them, else as they are found.

    Args:
        path: ``metrics.csv`` or ``steps.csv``.
        state: that the run goes on from; None: from the beginning.
    """
    if state is None:
        write_text(path, "")
    elif "rows" in state:
        write_text(path, state["rows"][path.name])
    else:  # a checkpoint of version 0.1
        rows = read_csv(path)
        write_csv(path, [row for row in rows if int(row["epoch"]) < state["finished_epochs"]], rows[0] if rows else ())


def _write(path: Path, state: Mapping[str, Any]) -> None:
    with writing(path, checked=True) as part, part.open("wb") as file:  # a file tells what is wrong, and torch does not
        torch.save(state, file)


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
        planned: what stands in the checkpoint beside the state: of how many epochs the run is to be.
    """

    def __init__(
        self, folder: Path, metric: str, best: dict[str, Any] | None = None, planned: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self.metric = metric
        self.best = best
        self.planned = planned or {}
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
            **self.planned,
            # Rows too, so that a run that goes on has them whatever became of the files.
            "rows": {name: (self.folder / name).read_text(encoding="utf-8") for name in ROWS},
            **module.training_state(),
        }
        with writing(self.folder / LAST, checked=True) as last:
            with last.open("wb") as file:
                torch.save(state, file)
            if improved:
                with writing(self.folder / BEST, checked=True) as best:  # a file of its own: one may be damaged
                    shutil.copyfile(last, best)


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
