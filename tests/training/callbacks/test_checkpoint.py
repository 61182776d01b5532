"""What is written at the end of an epoch, when, and of the steps of a run on several processes."""

from types import SimpleNamespace

import pytest
import torch

from counterpoint.training.callbacks.checkpoint import read_checkpoint, step_rows
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.fit import fit
from counterpoint.training.progress import ShowTraining
from counterpoint.training.run_dir import LAST
from counterpoint.training.step_record import StepRecord
from processes import in_processes
from tiny_clips import tiny_data, write_tiny_clips

LOSSES = [[1.0, 2.0, 4.0], [3.0, 5.0, 4.0]]
FINE = torch.zeros(2, dtype=torch.bool)
RATIO = torch.tensor([2.0, 0.5])  # joined over processes by the balancer


def _rows(rank, world):
    steps = [StepRecord(torch.tensor(loss), RATIO, None, FINE, FINE) for loss in LOSSES[rank]]
    return step_rows(SimpleNamespace(epoch=2, steps=steps, model=SimpleNamespace(modalities=("audio", "visual"))))


def test_the_loss_of_a_step_is_that_of_all_processes():
    def expected(losses):
        ratios = {"ratio_audio": 2.0, "ratio_visual": 0.5}
        return [{"epoch": 2, "step": 6 + k, "loss": loss, **ratios} for k, loss in enumerate(losses)]

    assert _rows(0, 1) == expected(LOSSES[0])
    assert in_processes(2, _rows) == [expected([2.0, 3.5, 4.0])] * 2


def test_an_epoch_is_on_disk_before_anything_of_it_is_displayed(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("the display fails")

    monkeypatch.setattr(ShowTraining, "on_train_epoch_end", broken)
    config = from_dict(TrainConfig, {"data": tiny_data(write_tiny_clips(tmp_path / "clips")), "epochs": 2})
    with pytest.raises(RuntimeError, match="the display fails"):
        fit(config, tmp_path / "run")
    assert read_checkpoint(tmp_path / "run" / LAST)["finished_epochs"] == 1
