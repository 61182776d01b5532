"""One vector per clip and modality in the engine: no encoders, everything else as usual."""

import json

import numpy as np
import pytest
import torch

from counterpoint.cli import main
from counterpoint.data.features.writer import FEATURES
from counterpoint.errors import ConfigError
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.evaluate import evaluate
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from feature_files import write

CLASSES, ROWS = 3, 60


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("vectors"), np.random.default_rng(0)
    who = np.arange(ROWS) % CLASSES
    vectors = {
        modality: rng.normal(size=(CLASSES, width))[who] + 0.3 * rng.normal(size=(ROWS, width))
        for modality, width in (("audio", 6), ("visual", 9))
    }
    write(folder / FEATURES, **vectors)
    rows = [f"c{k},class{who[k]},{('train', 'train', 'val', 'test')[k % 4]}" for k in range(ROWS)]
    (folder / "clips.csv").write_text("\n".join(["clip,class,split", *rows]) + "\n")
    return folder


def config(root, **changes):
    values = {"data": {"name": "features", "root": str(root), "batch_size": 8}, "epochs": 8, "accelerator": "cpu"}
    return from_dict(TrainConfig, {**values, "optim": {"lr": 0.02}, **changes})


def test_trained_judged_and_loaded(root, tmp_path):
    changes = {"fusion": {"name": "fop"}, "loss": {"name": "orthogonal_projection"}}
    run = fit(config(root, **changes), tmp_path / "run", progress=False)
    assert run.result["test"]["accuracy"] > 0.8 and run.result["clips"] == {"train": 30, "val": 15, "test": 15}
    own = {name for name in run.module.model.state_dict() if name.startswith("encoders")}
    assert own == {f"encoders.{m}.scaler.{what}" for m in ("audio", "visual") for what in ("mean", "spread")}
    back = load_run(tmp_path / "run")
    batch = run.data.clips.split("test").batch([0, 1])
    with torch.inference_mode():
        assert torch.equal(back.module(batch).logits, run.module.eval()(batch).logits)
    assert evaluate(back)["accuracy"] == run.result["test"]["accuracy"]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["options"]["dims"] == {"audio": 6, "visual": 9}


def test_methods_are_compared(root, tmp_path, capsys):
    words = ["compare", "--base.data.name", "features", "--base.data.root", str(root), "--base.epochs", "1"]
    words += ["--base.data.batch_size", "8", "--base.accelerator", "cpu", "--methods", "concat,fop", "--seeds", "0"]
    assert main([*words, "--runs", str(tmp_path), "--name", "both"]) == 0
    found = json.loads((tmp_path / "both" / "results.json").read_text())
    assert set(found["methods"]) == {"concat", "fop", "ensemble", "classical"}
    assert (tmp_path / "both" / "report.html").is_file()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"task": "localise"}, "one feature vector for each whole clip; leave task at classify"),
        ({"intermediate": {"name": "mmtm"}}, "'mmtm' acts inside encoders, and features have none"),
        ({"balance": {"name": "ogm_ge"}}, "The encoder of 'audio' has no convolutions to balance"),
        ({"model": {"modalities": ["sound"]}}, "features has no modality 'sound'"),
        ({"fusion": {"name": "fop", "options": {"width": 0}}}, "width of 1 or more"),
    ],
)
def test_what_does_not_fit_is_told_before_the_first_step(root, tmp_path, changes, why):
    with pytest.raises(ConfigError, match=why):
        fit(config(root, **changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_gradient_blending_has_heads_of_its_own(root, tmp_path):
    run = fit(config(root, epochs=2, balance={"name": "gradient_blending"}), tmp_path / "run", progress=False)
    assert run.result["epochs"] == 2


def test_features_of_segments_are_only_localised(root, tmp_path):
    write(tmp_path / "f" / FEATURES, audio=np.zeros((ROWS, 4, 3)))
    lines = (root / "clips.csv").read_text().splitlines()
    (tmp_path / "f" / "clips.csv").write_text("\n".join(["clip,class,split,seconds", *(f"{x},2" for x in lines[1:])]))
    with pytest.raises(ConfigError, match="features of segments, which are only localised; set task to localise"):
        fit(config(tmp_path / "f"), tmp_path / "run", progress=False)
