"""Metrics of a trained module on a split."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.training.datamodule import ClipData
from counterpoint.training.epoch_metrics import EpochMetrics
from counterpoint.training.module import CounterpointModule


@torch.inference_mode()
def evaluate_split(
    module: CounterpointModule, data: ClipData, split: str, device: torch.device, labels: Tensor | None = None
) -> dict[str, float]:
    """One pass over a split in ``eval()``, each clip once.

    Args:
        module: is moved to `device`.
        data: the clips.
        split: ``"train"``, ``"val"`` or ``"test"``.
        device: where to compute.
        labels: the model's class for each of the data's, ``(classes of the data,)`` and behind them background's; None:
            they are the same.

    Returns:
        The metrics of the module's task.
    """
    module.to(device).eval()
    scores = EpochMetrics(module.task)
    for batch in data.loader(split):
        target = batch["target"] if labels is None else labels[batch["target"]]
        media = {name: batch[name].to(device, non_blocking=True) for name in module.transforms}
        scores.add(module(media), target.to(device), batch["index"].to(device))
    return scores.compute()
