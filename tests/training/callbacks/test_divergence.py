"""A run that leaves the finite numbers ends, says in which step and what, and keeps what was finite."""

import json
import logging
import math

import pytest
import torch
from torch import nn

from counterpoint import cli
from counterpoint.errors import DivergedError
from counterpoint.training import run_dir
from counterpoint.training.callbacks import divergence
from counterpoint.training.callbacks.divergence import first_not_finite
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.evaluate import evaluate
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from counterpoint.training.module import CounterpointModule
from counterpoint.training.step_record import StepRecord
from processes import in_processes
from tiny_clips import tiny_data, write_tiny_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def config(clips, **changes) -> TrainConfig:
    return from_dict(TrainConfig, {"data": tiny_data(clips), "epochs": 3, "seed": 1, "precision": "32-true", **changes})


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def result(folder):
    return json.loads((folder / "result.json").read_text(), parse_constant=refuse)


def in_step(monkeypatch, number, change):
    """Have the run's step of that number, from 0, go through ``change(module, loss)``."""
    done = 0
    objective = CounterpointModule.objective

    def changed(self, output, target):
        nonlocal done
        loss = objective(self, output, target)
        done += 1
        return change(self, loss) if done == number + 1 else loss

    monkeypatch.setattr(CounterpointModule, "objective", changed)


@pytest.mark.parametrize("lr", ["1e6", "1e30"])
def test_a_rate_that_is_far_too_high_is_told(clips, tmp_path, capsys, lr):
    file = tmp_path / "base.json"
    file.write_text(json.dumps({"data": tiny_data(clips), "epochs": 3}))
    words = ["train", "--config", str(file), "--optim.name", "sgd", "--optim.lr", lr, "--runs", str(tmp_path)]
    assert cli.main([*words, "--name", "run"]) == cli.WRONG
    told = capsys.readouterr().err.splitlines()[-1]
    found = result(tmp_path / "run")
    assert found["status"] == run_dir.DIVERGED
    place = f"in epoch {found['epoch'] + 1}, step {found['step'] - 2 * found['epoch'] + 1} of 2"
    assert place in told and "loss is nan" in told and f"Lower optim.lr (now {float(lr):g})" in told
    assert "training diverged" in (tmp_path / "run" / "train.log").read_text().splitlines()[-1]
    assert run_dir.read_result(tmp_path / "run") is None


def nan(module, loss):
    return loss * math.nan


def nan_in(name):
    def change(module, loss):
        module.model.get_parameter(name).data.fill_(math.nan)
        return loss

    return change


def huge(name):
    def change(module, loss):
        module.model.get_parameter(name).data.copy_(torch.tensor([3e38, -3e38]))
        return loss

    return change


def gradient_of(name):
    """The square root's derivative at zero is infinite, and times zero it is no number."""

    def change(module, loss):
        return loss + (module.model.get_parameter(name).sum() * 0).sqrt()

    return change


WEIGHT = "encoders.visual.stem.weight"


@pytest.mark.parametrize(
    ("number", "change", "step", "reason"),
    [
        (4, nan, 4, "the loss is nan"),
        (
            4,
            gradient_of(WEIGHT),
            4,
            f"but the gradient of {WEIGHT} is not finite",
        ),
        (4, nan_in(WEIGHT), 5, "the loss is nan, and so are logits of visual"),
        (5, nan_in(WEIGHT), 5, f"it left {WEIGHT} not finite"),
        (5, huge("fusion.head.bias"), 5, "the validation loss is inf after it"),
    ],
)
def test_the_step_and_what_in_it(clips, tmp_path, monkeypatch, number, change, step, reason):
    """Of three epochs with two steps each, the third goes wrong; the second is kept whole."""
    in_step(monkeypatch, number, change)
    with pytest.raises(DivergedError) as told:
        fit(config(clips), tmp_path / "run", progress=False)
    found = result(tmp_path / "run")
    assert (found["status"], found["epoch"], found["step"]) == ("diverged", 2, step)
    assert reason in found["reason"] and found["reason"] in str(told.value)
    assert f"in epoch 3, step {step - 3} of 2" in str(told.value) and "last finite epoch is kept" in str(told.value)
    last = load_run(tmp_path / "run", "last")
    assert last.epoch == 1 and all(p.isfinite().all() for p in last.module.model.parameters())
    assert run_dir.read_result(tmp_path / "run") is None
    monkeypatch.undo()
    assert math.isfinite(evaluate(tmp_path / "run", "test")["loss"])


def test_a_finished_run_says_so(clips, tmp_path):
    fit(config(clips, epochs=1), tmp_path / "run", progress=False)
    assert result(tmp_path / "run")["status"] == "finished"


def test_long_epochs_are_not_waited_for(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(divergence, "EVERY", 2)
    in_step(monkeypatch, 1, nan)
    steps = []
    step = CounterpointModule.training_step
    monkeypatch.setattr(CounterpointModule, "training_step", lambda *args: steps.append(1) or step(*args))
    with pytest.raises(DivergedError, match="in epoch 1, step 2 of 8"):
        fit(config(clips, data={**tiny_data(clips), "batch_size": 2}), tmp_path / "run", progress=False)
    assert len(steps) == 2


class Scaler:
    def __init__(self, enabled):
        self.is_enabled = lambda: enabled


def module_of(losses, gradients, *, scaled=False, logits=None):
    module = nn.Module()
    module.scaler = Scaler(scaled)
    module.names = ["first", "second"]
    module.model = nn.Module()
    module.model.modalities = ("audio", "visual")
    logits = logits or [[False, False]] * len(losses)
    module.steps = [
        StepRecord(torch.tensor(loss), None, None, torch.tensor(parts), torch.tensor(wrong))
        for loss, wrong, parts in zip(losses, gradients, logits, strict=True)
    ]
    return module


FINE = [False, False]


def test_a_scaler_may_meet_gradients_that_are_not_finite():
    overflowed = ([1.0, 2.0, 3.0], [FINE, [False, True], FINE])
    assert first_not_finite(module_of(*overflowed, scaled=True)) is None
    assert first_not_finite(module_of(*overflowed)) == (
        1,
        2.0,
        "the loss is 2, but the gradient of second is not finite",
    )
    assert first_not_finite(module_of([1.0, math.inf], [FINE, FINE], scaled=True))[0] == 1


def _found(rank, world):
    wrong = [1.0, math.inf if rank == world - 1 else 2.0, math.nan]
    parts = [FINE, [False, rank == world - 1], [True, True]]
    return first_not_finite(module_of(wrong, [FINE] * 3, logits=parts))


def test_all_processes_end_in_the_same_step():
    assert _found(0, 1) == (1, math.inf, "the loss is inf, and so are logits of visual")
    assert in_processes(2, _found) == [_found(0, 1)] * 2


def test_logits_that_are_not_finite_are_told_where_a_model_is_evaluated(clips, tmp_path, caplog):
    run = fit(config(clips, epochs=1), tmp_path / "run", progress=False)
    with torch.no_grad():
        next(run.module.model.parameters()).fill_(math.nan)
    with caplog.at_level(logging.WARNING):
        evaluate(run, "test")
    assert "The loss on test clips is nan: some logits are not finite" in caplog.text
