"""Shows the balancer, when it is due, how the model does on the clips that it trains on and on those held out."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from counterpoint._eval_mode import evaluating
from counterpoint.balance import Balancer
from counterpoint.distributed import all_gather
from counterpoint.training.datamodule import ClipData
from counterpoint.training.epoch_metrics import first_of_each
from counterpoint.training.module import CounterpointModule


class Review(Callback):
    """Reviews before the run's first epoch and after each that is due but the last, before its checkpoint is written.

    Args:
        data: whose training clips are measured.
        first_epoch: of this process.
        at_start: review before it; else a resumed run has that review in the checkpoint.
    """

    def __init__(self, data: ClipData, first_epoch: int, *, at_start: bool) -> None:
        self.data = data
        self.first_epoch = first_epoch
        self.at_start = at_start

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Weights are as drawn, or as the epoch before left them."""
        if self.at_start:
            self._review(pl_module, self.first_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Comes before the callbacks that write checkpoints."""
        assert isinstance(pl_module, CounterpointModule)
        if trainer.current_epoch + 1 != trainer.max_epochs:
            self._review(pl_module, pl_module.epoch + 1)

    def _review(self, module: pl.LightningModule, finished: int) -> None:
        assert isinstance(module, CounterpointModule)
        balancer = module.balancer
        if balancer is None or not balancer.due(finished):
            return
        with evaluating(module):
            train, held_out = (measure(module, balancer, self.data, part) for part in ("kept", "held_out"))
        balancer.review(train, held_out)


@torch.inference_mode()
def measure(module: CounterpointModule, balancer: Balancer, data: ClipData, part: str) -> dict[str, float]:
    """Means of what the balancer measures, over a part of the training clips, each once; the same on every process.

    Args:
        module: in evaluation mode: nothing is augmented.
        balancer: says what is measured.
        data: the clips.
        part: ``"kept"`` or ``"held_out"``.
    """
    names: tuple[str, ...] = ()
    values, index = [], []
    for batch in data.loader("train", part=part):
        media = {name: batch[name].to(module.device, non_blocking=True) for name in module.transforms}
        target = module.task.trained_on(batch["target"].to(module.device))
        found = balancer.measure(module(media), target)
        names = tuple(found)
        values.append(torch.stack(list(found.values()), 1))
        index.append(batch["index"].to(module.device))
    first = first_of_each(all_gather(torch.cat(index)))
    means = all_gather(torch.cat(values))[first].double().mean(0)
    return dict(zip(names, means.tolist(), strict=True))
