"""Weights are evaluated and kept with batch statistics that fit them, and trained as without."""

import csv

import pytest
import torch
from torch import nn

from counterpoint.training.callbacks import batch_statistics
from counterpoint.training.callbacks.batch_statistics import (
    FEW_STEPS,
    FitStatistics,
    recompute,
    remember_their_beginning,
)
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from processes import in_processes
from tiny_clips import tiny_data, write_tiny_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def config(clips, batch_size, epochs) -> TrainConfig:
    data = {**tiny_data(clips), "batch_size": batch_size}
    return from_dict(TrainConfig, {"data": data, "epochs": epochs, "seed": 1, "precision": "32-true"})


def rows(path):
    with path.open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def one_step_an_epoch(clips, tmp_path_factory):
    return fit(config(clips, 32, 8), tmp_path_factory.mktemp("runs") / "few", progress=False)


def test_a_model_that_fits_its_clips_is_not_evaluated_at_chance(one_step_an_epoch):
    epochs = rows(one_step_an_epoch.folder / "metrics.csv")
    assert float(epochs[-1]["train_accuracy"]) == 1
    assert one_step_an_epoch.result["test"]["accuracy"] == 1  # 0.5, chance, with the statistics that run on


@pytest.mark.parametrize("which", ["best", "last"])
def test_statistics_are_those_of_the_weights_that_are_kept(one_step_an_epoch, which):
    run = load_run(one_step_an_epoch.folder, which)
    norm = run.module.model.encoders["visual"].stem_bn
    seen = []
    handle = norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():  # all clips are one batch, as they were in training
        for batch in run.data.loader("train"):
            run.module({name: batch[name] for name in run.module.transforms})
    handle.remove()
    x = torch.cat(seen).double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(norm.running_mean.double(), x.mean(1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.running_var.double(), x.var(1), rtol=1e-4, atol=1e-6)


def test_training_itself_is_left_as_it_is(clips, tmp_path, monkeypatch):
    asked = config(clips, 2, FEW_STEPS // 8 + 1)  # 8 steps an epoch: beyond FEW_STEPS in the last
    fit(asked, tmp_path / "fitted", test=False, progress=False)
    monkeypatch.setattr(FitStatistics, "on_train_batch_end", lambda self, *args: None)
    fit(asked, tmp_path / "plain", test=False, progress=False)
    fitted, plain = (rows(tmp_path / name / "metrics.csv") for name in ("fitted", "plain"))
    assert rows(tmp_path / "fitted/steps.csv") == rows(tmp_path / "plain/steps.csv")
    assert fitted[-1] == plain[-1]  # to the digit, once enough steps are made
    assert fitted[0]["val_loss"] != plain[0]["val_loss"]
    last = [torch.load(tmp_path / name / "last.ckpt")["state_dict"] for name in ("fitted", "plain")]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[1])


def net(*momenta):
    return nn.Sequential(nn.Linear(3, 4), *(nn.BatchNorm1d(4, momentum=momentum) for momentum in momenta))


@pytest.mark.parametrize(
    ("model", "steps", "lags"),
    [
        (net(0.1), FEW_STEPS - 1, True),  # 0.9^87 = 1.04e-4
        (net(0.1), FEW_STEPS, False),  # 0.9^88 = 9.4e-5
        (net(0.1, 0.01), FEW_STEPS, True),
        (net(0.01), 917, False),
        (net(None), 1, False),  # a plain average holds nothing of its beginning
        (net(0.0), 1, False),  # meant to stay
        (net(0.1).eval(), 1, False),  # frozen
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), 1, False),
        (nn.Linear(3, 4), 1, False),
    ],
)
def test_when_statistics_lag(model, steps, lags):
    assert FEW_STEPS == 88
    assert remember_their_beginning(model, steps) is lags


class Module(nn.Module):
    device = torch.device("cpu")

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.transforms = nn.ModuleDict({"x": nn.Identity()})

    def forward(self, batch):
        return self.model(batch["x"])


def made():
    torch.manual_seed(0)
    model = net(0.1, 0.1)
    model.append(nn.Dropout(0.5))
    model[2].eval()  # frozen by its owner
    return Module(model), [{"x": torch.randn(6, 3) + k} for k in range(4)]


def test_what_is_measured():
    module, batches = made()
    drawn = torch.get_rng_state()
    before = recompute(module, batches)
    hidden = [module.model[0](batch["x"]) for batch in batches]
    norm = module.model[1]
    torch.testing.assert_close(norm.running_mean, torch.stack([h.mean(0) for h in hidden]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([h.var(0) for h in hidden]).mean(0))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert norm.training and not module.model[2].training and module.model[3].training
    assert (norm.momentum, norm.num_batches_tracked.item()) == (0.1, 0)
    assert set(before) == {f"model.1.{key}".removeprefix("model.") for key in batch_statistics._STATISTICS}
    module.model.load_state_dict(before, strict=False)
    assert torch.equal(norm.running_var, torch.ones(4)) and torch.equal(norm.running_mean, torch.zeros(4))


def _measured(rank, world):
    module, batches = made()
    recompute(module, batches[rank::world])
    return module.model[1].running_mean, module.model[1].running_var


def test_two_processes_measure_what_one_does():
    alone = _measured(0, 1)
    for found in in_processes(2, _measured):
        torch.testing.assert_close(found, alone)
