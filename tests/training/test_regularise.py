"""What is changed in training alone reaches the run, leaves evaluation as it is, and goes on where it was."""

import pytest
import torch

from counterpoint.errors import ConfigError
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.evaluate import evaluate
from counterpoint.training.fit import fit
from interrupting import interrupted
from tiny_clips import tiny_data, write_tiny_clips

WAYS = {"modality_dropout": {"modality_dropout": 0.5}, "mixup": {"mixup": 0.4}}
RUNS = {
    **{way: {"regularise": chosen} for way, chosen in WAYS.items()},
    "mslr": {"balance": {"name": "mslr", "options": {"rates": {"audio": 0.1, "visual": 2.0}}}},
    "miles": {"balance": {"name": "miles", "options": {"threshold": 0.0}}},
    "staged": {"balance": {"name": "staged"}},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def config(clips, **changes) -> TrainConfig:
    return from_dict(TrainConfig, {"data": tiny_data(clips), "epochs": 2, "seed": 1, "precision": "32-true", **changes})


@pytest.fixture(scope="module")
def plain(clips, tmp_path_factory):
    return fit(config(clips), tmp_path_factory.mktemp("plain") / "run", progress=False)


@pytest.mark.parametrize("way", RUNS)
def test_a_run_goes_on_to_the_same_bytes_and_is_evaluated_without(clips, plain, tmp_path, monkeypatch, way):
    chosen = config(clips, **RUNS[way])
    whole = fit(chosen, tmp_path / "whole", progress=False)
    interrupted(monkeypatch, chosen, tmp_path / "run", 3)  # in the second epoch
    torch.manual_seed(99)
    fit(chosen, tmp_path / "run", resume=True, progress=False)
    for name in ("model.safetensors", "steps.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (whole.folder / name).read_bytes()
    assert (plain.folder / "steps.csv").read_bytes() != (whole.folder / "steps.csv").read_bytes()
    scores = evaluate(whole.folder, "test")
    assert scores == evaluate(whole.folder, "test") == {"clips": 8, **whole.result["test"]}


@pytest.mark.parametrize("way", WAYS)
def test_only_whole_clips_are_regularised_so(way):
    with pytest.raises(ConfigError, match="regularise is set, but task 'localise' does not use it"):
        from_dict(TrainConfig, {"task": "localise", "regularise": WAYS[way]}).check()


@pytest.mark.parametrize(("way", "value"), [("modality_dropout", -0.1), ("modality_dropout", 1.1), ("mixup", -0.1)])
def test_a_value_outside_its_range_is_told(way, value):
    with pytest.raises(ConfigError, match=f"regularise.{way}"):
        from_dict(TrainConfig, {"regularise": {way: value}}).check()
