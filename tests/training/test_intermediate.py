"""Runs whose encoders act on each other, from the command line and from configurations."""

import json

import pytest
import torch

from counterpoint.cli import main
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.media.spec import MediaSpec
from counterpoint.recipes import load_recipe
from counterpoint.training.build import build_balancer
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.evaluate import evaluate
from counterpoint.training.load import load_run
from made_parts import parts_of
from tiny_clips import tiny_data, write_tiny_clips


def config(**changes) -> TrainConfig:
    return from_dict(TrainConfig, changes)


def test_train_from_a_configuration_to_a_finished_run(tmp_path):
    clips = write_tiny_clips(tmp_path / "clips")
    file = tmp_path / "run.yaml"
    between = {
        "name": "cross_modal",
        "layers": ["mid", {"audio": "temporal", "visual": "temporal"}],
        "options": {"source": "visual", "gain": 2.0},
    }
    file.write_text(json.dumps({"data": tiny_data(clips), "intermediate": between, "epochs": 1}))
    words = ["train", "--config", str(file), "--intermediate.options.hidden", "16"]
    assert main([*words, "--runs", str(tmp_path), "--name", "run"]) == 0
    run = load_run(tmp_path / "run")
    saved = json.loads((run.folder / "config.json").read_text())["options"]
    assert saved["intermediate"] == "cross_modal" and saved["intermediate_layers"] == between["layers"]
    assert saved["intermediate_options"] == {**between["options"], "hidden": 16}
    scores = evaluate(run, "test")  # of the model that comes back from the folder
    assert scores["accuracy"] == pytest.approx(run.result["test"]["accuracy"])


def test_a_balancer_sees_the_encoders_alone():
    parts = parts_of(config(intermediate={"name": "mmtm"}), 3, MediaSpec(seconds=0.5))
    balancer = build_balancer(config(balance={"name": "ogm"}), parts.model)
    seen = {id(p) for group in balancer.encoders.values() for p in group.parameters()}
    assert seen == {id(p) for p in parts.model.encoders.parameters()}
    assert seen.isdisjoint(id(p) for p in parts.model.intermediate.parameters())


@pytest.mark.parametrize(("rate", "seconds", "frames"), [(44100, 2.45, 212), (16000, 0.5, 16)])
def test_the_mfcc_network_follows_the_length_of_the_clips(rate, seconds, frames):
    """Also at GRID's 16 kHz, with another number of coefficients, and with pictures of one channel."""
    spec = MediaSpec(sample_rate=rate, seconds=seconds, fps=8, size=32)
    applied = load_recipe("cfn-sr").apply(config(model={"name": "resnext50_mfcc"}, augment=False))
    parts = parts_of(applied, 8, spec)
    audio, visual = parts.model.encoders["audio"], parts.model.encoders["visual"]
    assert (audio.num_frames, audio.n_mfcc, visual.in_channels) == (frames, 13, 1)
    assert parts.model.fusion.dims == {"audio": 64 * ((frames - 4) // 8), "visual": 2048}
    assert parts.model.config["options"]["audio"] == {"in_channels": 1, "num_frames": frames, "n_mfcc": 13}
    if frames < 100:
        sound, sight = torch.zeros(2, spec.num_samples), torch.zeros(2, spec.num_frames, 32, 32, 1, dtype=torch.uint8)
        inputs = {"audio": parts.transforms["audio"](sound), "visual": parts.transforms["visual"](sight)}
        assert parts.model.eval()(inputs).logits.shape == (2, 8)


def test_what_is_told_to_the_encoder_wins():
    given = {"name": "resnext50_mfcc", "modalities": ["audio"], "options": {"audio": {"num_frames": 100}}}
    model = parts_of(config(model=given), 2, MediaSpec()).model
    assert model.encoders["audio"].num_frames == 100
    given["options"], given["inputs"] = {}, {"audio": {"n_mfcc": 20}}
    assert parts_of(config(model=given), 2, MediaSpec()).model.encoders["audio"].n_mfcc == 20


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"intermediate": {"name": "mmtn"}}, UnknownNameError, "Did you mean 'mmtm'"),
        ({"intermediate": {"name": "mmtm", "layers": ["lat"]}}, UnknownNameError, "Did you mean 'late'"),
        (
            {"intermediate": {"name": "mmtm", "options": {"ratio": "x"}}},
            ConfigError,
            "ratio is 'x'; it must be float",
        ),
        ({"intermediate": {"layers": ["late"]}}, ConfigError, "name one"),
    ],
)
def test_mistakes_are_told(changes, error, message):
    with pytest.raises(error, match=message):
        parts_of(config(**changes), 2, MediaSpec(seconds=0.5))
