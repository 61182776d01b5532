"""What is written of the steps of a run on several processes."""

from types import SimpleNamespace

import torch

from counterpoint.training.module import StepRecord
from counterpoint.training.record import step_rows
from processes import in_processes

LOSSES = [[1.0, 2.0, 4.0], [3.0, 5.0, 4.0]]
RATIO = torch.tensor([2.0, 0.5])  # joined over processes by the balancer


def _rows(rank, world):
    steps = [StepRecord(torch.tensor(loss), RATIO, None) for loss in LOSSES[rank]]
    return step_rows(SimpleNamespace(epoch=2, steps=steps, model=SimpleNamespace(modalities=("audio", "visual"))))


def test_the_loss_of_a_step_is_that_of_all_processes():
    def expected(losses):
        ratios = {"ratio_audio": 2.0, "ratio_visual": 0.5}
        return [{"epoch": 2, "step": 6 + k, "loss": loss, **ratios} for k, loss in enumerate(losses)]

    assert _rows(0, 1) == expected(LOSSES[0])
    assert in_processes(2, _rows) == [expected([2.0, 3.5, 4.0])] * 2
