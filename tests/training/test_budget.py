"""Epochs and batch size, where the configuration leaves them to the data: what they come to, and that they stay."""

import json
from pathlib import Path

import pytest

from counterpoint.cli import main
from counterpoint.data import Clip, ClipTable
from counterpoint.experiments.compare import compare, read_compare_config
from counterpoint.experiments.config import CompareConfig
from counterpoint.media.spec import MediaSpec
from counterpoint.training.budget import as_begun, budget_note, planned, steps_per_epoch, with_budget
from counterpoint.training.config import DataConfig, TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.datamodule import media_spec
from counterpoint.training.few_steps import few_steps
from counterpoint.training.fit import fit
from counterpoint.training.run_dir import read_config
from tiny_clips import tiny_data, write_tiny_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def table(train: int, media: MediaSpec | None = None) -> ClipTable:
    sides = ["train"] * train + ["val"] * 5 + ["test"] * 5
    made = tuple(Clip(str(k), Path(f"{k}.mp4"), k % 2, side) for k, side in enumerate(sides))
    return ClipTable("own", ("a", "b"), made, media or MediaSpec())


@pytest.mark.parametrize(
    ("clips", "devices", "epochs", "batch_size", "steps"),
    [
        (0, 1, 100, 4, 1),
        (3, 1, 100, 4, 1),
        (25, 1, 86, 4, 7),
        (80, 1, 30, 4, 20),
        (168, 1, 32, 9, 19),
        (240, 1, 30, 12, 20),
        (640, 1, 30, 32, 20),
        (700, 1, 28, 32, 22),
        (5_000, 1, 20, 32, 157),
        (15_000, 1, 20, 32, 469),
        (240, 2, 30, 6, 20),
        (5_000, 2, 20, 32, 79),
    ],
)
def test_what_fits(clips, devices, epochs, batch_size, steps):
    made = with_budget(TrainConfig(devices=devices), table(clips))
    assert planned(made) == (epochs, batch_size)
    assert steps_per_epoch(max(1, clips), batch_size, devices) == steps
    if clips > 4:
        assert few_steps(made, clips) is None


@pytest.mark.parametrize("clips", [1, 7, 24, 99, 240, 641, 2000, 30_001])
@pytest.mark.parametrize(("epochs", "batch_size"), [(3, None), (None, 16), (3, 16), (None, None)])
def test_what_is_said_stays_and_what_fits_is_within_bounds(clips, epochs, batch_size):
    asked = TrainConfig(epochs=epochs, data=DataConfig(batch_size=batch_size))
    made = with_budget(asked, table(clips))
    assert (asked.epochs, asked.data.batch_size) == (epochs, batch_size)
    assert made.epochs == epochs if epochs else 20 <= made.epochs <= 100
    assert made.data.batch_size == batch_size if batch_size else 4 <= made.data.batch_size <= 32
    steps = steps_per_epoch(clips, made.data.batch_size, 1)
    assert epochs or made.epochs == 100 or made.epochs * steps >= 600
    assert with_budget(made, table(9)) == made, "what is resolved is not resolved anew"


@pytest.mark.parametrize(
    ("epochs", "batch_size", "said"),
    [
        (None, None, "30 epochs of 20 steps, batch 12: what fits 240 training clips (epochs, data.batch_size)."),
        (None, 240, "100 epochs of 1 step, batch 240: what fits 240 training clips (epochs)."),
        (1, None, "1 epoch of 20 steps, batch 12: what fits 240 training clips (data.batch_size)."),
        (1, 8, None),
    ],
)
def test_what_was_left_to_the_data_is_said(epochs, batch_size, said):
    asked = TrainConfig(epochs=epochs, data=DataConfig(batch_size=batch_size))
    assert budget_note(asked, with_budget(asked, table(240)), 240) == said


def test_what_was_begun_goes_on_as_it_was():
    begun = TrainConfig(epochs=7, data=DataConfig(batch_size=5))
    assert planned(as_begun(TrainConfig(), begun)) == (7, 5)
    assert planned(as_begun(TrainConfig(epochs=9), begun)) == (9, 5)


@pytest.fixture
def brief(monkeypatch):
    """Two epochs at most: what is tried is that figures are kept, not that they are good."""
    monkeypatch.setattr("counterpoint.training.budget.EPOCHS", (1, 2))


def open_config(clips, **changes):
    data = {**tiny_data(clips), "batch_size": None}
    return {"data": data, "seed": 1, "precision": "32-true", "accelerator": "cpu", **changes}


def test_a_run_remembers_it_whatever_becomes_of_the_data(clips, tmp_path, brief, monkeypatch):
    asked = from_dict(TrainConfig, open_config(clips))
    run = fit(asked, tmp_path / "run", progress=False)
    assert planned(run.config) == planned(read_config(run.folder)) == (2, 4) and asked.epochs is None
    assert "2 epochs of 4 steps, batch 4: what fits 16 training clips" in (run.folder / "train.log").read_text()
    explicit = open_config(clips, epochs=2, data={**tiny_data(clips), "batch_size": 4})
    other = fit(from_dict(TrainConfig, explicit), tmp_path / "other", progress=False)
    assert (run.folder / "model.safetensors").read_bytes() == (other.folder / "model.safetensors").read_bytes()
    assert (run.folder / "config.yaml").read_bytes() == (other.folder / "config.yaml").read_bytes()
    monkeypatch.setattr("counterpoint.training.budget.EPOCHS", (9, 9))
    monkeypatch.setattr("counterpoint.training.budget.BATCH", (2, 2))
    assert fit(asked, run.folder, resume=True, progress=False).result["epochs"] == 2
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(open_config(clips)))
    assert main(["train", "--resume", f"--config={file}", f"--runs={tmp_path}", "--name=run"]) == 0
    assert planned(read_config(run.folder)) == (2, 4)
    longer = fit(from_dict(TrainConfig, open_config(clips, epochs=3)), run.folder, resume=True, progress=False)
    assert planned(longer.config) == (3, 4)


def test_all_of_a_comparison_have_the_same_and_so_do_those_that_come_later(clips, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("counterpoint.training.budget.EPOCHS", (1, 1))
    config = {"methods": ["concat"], "seeds": [0], "probe": False, "ensemble": False, "classical": False}
    asked = from_dict(CompareConfig, {**config, "base": open_config(clips)})
    made = compare(asked, tmp_path / "both", progress=True)
    assert capfd.readouterr().err.count("what fits 16 training clips") == 1
    assert planned(read_compare_config(made.folder).base) == (1, 4) and asked.base.epochs is None
    assert (made.protocol["config"]["base"]["epochs"], made.protocol["config"]["base"]["data"]["batch_size"]) == (1, 4)
    monkeypatch.setattr("counterpoint.training.budget.EPOCHS", (2, 2))
    monkeypatch.setattr("counterpoint.training.budget.BATCH", (2, 2))
    asked.methods = ["concat", "sum-simam2"]
    again = compare(asked, made.folder, resume=True, progress=False)
    assert not again.failures
    runs = [*made.folder.glob("*/seed0"), *made.folder.glob("alone/*/seed0")]
    assert [planned(read_config(run)) for run in runs] == [(1, 4)] * 4


@pytest.mark.parametrize(
    ("changes", "frames"), [({}, 8), ({"fps": 25}, 75), ({"frames": 3}, 3), ({"fps": 25, "frames": 3}, 3)]
)
def test_who_asks_for_a_rate_gets_it(changes, frames):
    assert media_spec(table(1, MediaSpec(frames=8)), changes).num_frames == frames
