"""What a fusion fits to validation clips once it is trained stays with the run."""

import numpy as np
import pytest
import torch

from counterpoint.training import run_dir as files
from counterpoint.training.calibrate import calibrate
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.evaluate import evaluate
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from tiny_clips import tiny_data, write_tiny_clips


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrate")
    clips = write_tiny_clips(folder / "clips")
    values = {"data": tiny_data(clips), "epochs": 2, "accelerator": "cpu"}
    late = {"fusion": {"name": "log_pool"}, "loss": {"name": "unimodal"}}
    plain = {"fusion": {"name": "product"}, "loss": {"name": "unimodal"}}
    return {
        name: fit(from_dict(TrainConfig, {**values, **parts}), folder / name, progress=False)
        for name, parts in (("late", late), ("plain", plain))
    }


def test_weights_are_fitted_to_validation_clips_and_kept(trained):
    run = trained["late"]
    kept = load_run(run.folder).module.model.fusion.weight
    assert (kept != 1).all() and torch.equal(kept, run.module.model.fusion.weight.cpu())
    result = files.read_result(run.folder)
    for split in ("val", "test"):
        found = evaluate(run.folder, split)
        assert {name: found[name] for name in result[split]} == pytest.approx(result[split])


def test_encoders_and_heads_are_those_of_the_plain_product(trained):
    late, plain = (trained[name].module.model.state_dict() for name in ("late", "plain"))
    assert set(late) - set(plain) == {"fusion.weight"}
    assert all(torch.equal(late[name], value) for name, value in plain.items())


def test_the_loss_on_validation_clips_is_no_higher_than_with_weights_of_one(trained):
    late, plain = (files.read_result(trained[name].folder)["val"]["loss"] for name in ("late", "plain"))
    prior = 0.5 * (np.log(trained["late"].module.model.fusion.weight.cpu().numpy()) / np.log(10)) ** 2
    clips = evaluate(trained["plain"].folder, "val")["clips"]
    assert late <= plain - prior.sum() / clips + 1e-6


def test_a_fusion_that_wants_none_stays_as_it_is(trained, monkeypatch):
    run = trained["plain"]
    monkeypatch.setattr(type(run.data), "loader", lambda *_, **__: pytest.fail("nothing was asked for"))
    calibrate(run.module, run.data, torch.device("cpu"))
