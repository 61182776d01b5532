"""Metrics of a trained model on a split: of its own clips, or of others."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from counterpoint.data import DATASETS
from counterpoint.errors import ConfigError, DataError
from counterpoint.models import LocalisationModel
from counterpoint.registry import did_you_mean
from counterpoint.training.config import DataConfig
from counterpoint.training.datamodule import ClipData, list_clips
from counterpoint.training.epoch_metrics import EpochMetrics
from counterpoint.training.load import Run, load_run
from counterpoint.training.module import CounterpointModule
from counterpoint.training.precision import pick_device

_log = logging.getLogger(__name__)


def evaluate(
    run: Run | str | Path, split: str = "test", *, data: DataConfig | None = None, trust_code: bool = False
) -> dict[str, float]:
    """Evaluate a trained model on a split.

    Args:
        run: a run, its folder, or any folder with ``config.json`` and ``model.safetensors``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        data: which clips; None: the run's own. They are brought to the shape that the model takes, whatever
            ``data.media`` says; their classes must be among the model's.
        trust_code: see `load_run`.

    Returns:
        ``clips`` and the metrics of the run's task; on the run's own data, the figures of ``result.json``.

    Raises:
        DataError: a class that the model does not know, or an empty split.
    """
    if not isinstance(run, Run):
        run = load_run(run, trust_code=trust_code)
    clips = run.data if data is None else _other(run, data)
    table = clips.clips.table
    _require_known(run, table.name, table.classes)
    labels = torch.tensor([*(run.classes.index(name) for name in table.classes), len(run.classes)])
    scores = evaluate_split(run.module, clips, split, pick_device(run.config.accelerator), labels)
    return {"clips": len(clips.clips.clips(split)), **scores}


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
    found = scores.compute()
    if not math.isfinite(found["loss"]):
        _log.warning(
            "The loss on %s clips is %s: some logits are not finite, and the figures mean little", split, found["loss"]
        )
    return found


def _other(run: Run, data: DataConfig) -> ClipData:
    """Other clips in the shape of the run's; classes are looked at before anything is rendered or decoded."""
    model = run.module.model
    segments = model.segments if isinstance(model, LocalisationModel) else None
    _require_known(run, data.name, DATASETS.get(data.name).classes)
    table = list_clips(data, events=segments is not None)
    _require_known(run, table.name, table.classes)
    if data.impute != "none" and not any(scaler.impute for scaler in model.scalers.values()):
        raise ConfigError(f"data.impute is {data.impute!r}, but {run.folder} was trained without; leave it out")
    return ClipData.from_config(
        data, table=table, seed=run.config.seed, spec=run.spec, modalities=model.modalities, segments=segments
    )


def _require_known(run: Run, data: str, classes: Sequence[str]) -> None:
    """Refuse classes that the model does not tell apart."""
    for name in classes:
        if name not in run.classes:
            raise DataError(
                f"{data} has the class {name!r}, which the model in {run.folder} does not know."
                f"{did_you_mean(name, run.classes)}"
            )
