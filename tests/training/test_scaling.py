"""Features are brought to the scale of the clips that are trained on, and of no others."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from counterpoint.cli import main
from counterpoint.errors import ConfigError
from counterpoint.models import from_pretrained
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.evaluate import evaluate
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from feature_files import write
from tiny_clips import tiny_data, write_tiny_clips

ROWS = 48
SIDES = np.array(["train", "train", "val", "test"] * (ROWS // 4))
WIDTHS = {"audio": 5, "visual": 7}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A folder of features whose columns differ in scale by up to 10^6; `spoil` changes them before."""
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")

    def made(name, spoil=None, segments=None):
        rng, who = np.random.default_rng(0), np.arange(ROWS) // 4 % 2
        values = {}
        for modality, width in WIDTHS.items():
            shape = (
                (ROWS, width)
                if segments is None
                else (ROWS, segments, *([2, 2] if modality == "visual" else []), width)
            )
            x = rng.normal(size=shape) + 2 * who.reshape(-1, *[1] * (len(shape) - 1))
            values[modality] = (x * 10.0 ** rng.integers(-3, 4, width) + rng.normal(size=width)).astype(np.float32)
        if spoil:
            spoil(values)
        write(tmp_path / name / "features.h5", **values)
        rows = [f"c{k},{'ab'[who[k]]},1,{SIDES[k]}" for k in range(ROWS)]
        (tmp_path / name / "clips.csv").write_text("\n".join(["clip,class,seconds,split", *rows]) + "\n")
        return tmp_path / name, values

    return made


def config(root, **changes):
    data = {"name": "features", "root": str(root), "batch_size": 8, **changes.pop("data", {})}
    return from_dict(TrainConfig, {"data": data, "epochs": 1, "accelerator": "cpu", **changes})


def train(root, folder, **changes):
    return fit(config(root, **changes), folder, progress=False)


LOCALISE = {"task": "localise", "localise": {"name": "avel"}}


@pytest.mark.parametrize(("changes", "segments"), [({}, None), (LOCALISE, 4)])
def test_the_scale_is_that_of_the_training_clips(make, tmp_path, changes, segments):
    root, values = make("f", segments=segments)
    run = train(root, tmp_path / "run", **changes)
    for modality, scaler in from_pretrained(tmp_path / "run").scalers.items():
        rows = values[modality][SIDES == "train"].reshape(-1, WIDTHS[modality]).astype(np.float64)
        assert np.allclose(scaler.mean, rows.mean(0), rtol=1e-6) and np.allclose(scaler.spread, rows.std(0), rtol=1e-6)
    assert set(run.module.model.scalers) == set(WIDTHS)
    assert sum("mean 0 and spread 1 of the training clips" in note for note in run.result["notes"]) == 1
    assert evaluate(load_run(tmp_path / "run")) == pytest.approx({"clips": 12, **run.result["test"]})


@pytest.mark.parametrize("side", ["val", "test"])
def test_other_clips_change_nothing_that_is_fitted(make, tmp_path, side):
    def spoil(values):
        for x in values.values():
            x[side == SIDES] = 1e4 * np.random.default_rng(1).normal(size=x[side == SIDES].shape)
        values["audio"][np.flatnonzero(side == SIDES)[0], 0] = np.nan

    roots = [make("a")[0], make("b", spoil)[0]]
    runs = [train(root, tmp_path / f"run-{root.name}", data={"impute": "mean"}) for root in roots]
    buffers = [{k: v for k, v in run.module.model.state_dict().items() if "scaler" in k} for run in runs]
    assert len(buffers[0]) == 4 and all(torch.equal(value, buffers[1][name]) for name, value in buffers[0].items())


def test_held_out_clips_do_not_count(make, tmp_path):
    root, values = make("f")
    run = train(root, tmp_path / "run", balance={"name": "gradient_blending"})
    kept = np.delete(values["audio"][SIDES == "train"], run.data.held_out, axis=0)
    assert len(run.data.held_out) and len(kept) == 24 - len(run.data.held_out)
    assert np.allclose(run.module.model.scalers["audio"].mean, kept.mean(0, dtype=np.float64), rtol=1e-6)


def test_resumed_is_the_same(make, tmp_path):
    root, _ = make("f")
    whole = train(root, tmp_path / "whole", epochs=3)
    train(root, tmp_path / "run", epochs=3)
    (tmp_path / "run" / "result.json").unlink()
    again = fit(config(root, epochs=3), tmp_path / "run", resume=True, progress=False)
    state = again.module.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.module.model.state_dict().items())


def test_it_can_be_turned_off_and_says_so(make, tmp_path):
    root, _ = make("f")
    run = train(root, tmp_path / "run", data={"standardise": False})
    assert not run.module.model.scalers and any("taken as they are" in note for note in run.result["notes"])


def holes(values):
    values["audio"][::3, 1] = np.nan
    values["visual"][1, 2:4] = np.nan


def test_a_clip_with_nan_is_kept_where_that_is_asked_for(make, tmp_path, capsys):
    root, values = make("f", holes)
    words = [f"--data.root={root}", "--data.name=features", "--accelerator=cpu", "--epochs=2", "--data.batch_size=8"]
    assert main(["train", *words, f"--runs={tmp_path}", "--name=without"]) == 2
    told = capsys.readouterr().err
    assert (
        "17 of 48 clips (35.4%) cannot be used" in told
        and "--data.impute mean" in told
        and "--data.max_bad 0.36" in told
    )
    assert main(["train", *words, "--data.impute=mean", f"--runs={tmp_path}", "--name=with"]) == 0
    said = capsys.readouterr().out
    assert (
        "17 of 48 clips with NaN, filled with the mean of the training clips; 3.1 % of all numbers; --data.impute"
        in said
    )
    result = json.loads((tmp_path / "with" / "result.json").read_text())
    assert result["skipped"] == 0 and result["clips"] == {"train": 24, "val": 12, "test": 12}
    assert [row["clips"] for row in result["alterations"]] == [17]
    assert "What was cut, padded and skipped" in (tmp_path / "with" / "report.html").read_text()
    scaler = from_pretrained(tmp_path / "with").scalers["audio"]
    known = values["audio"][SIDES == "train", 1].astype(np.float64)
    assert np.isclose(scaler.mean[1], np.nanmean(known), rtol=1e-6)
    assert scaler(torch.full((1, 5), float("nan"))).tolist() == [[0.0] * 5]
    # A fresh process, which knows the folder of the run alone.
    code = f"import sys; from counterpoint.cli import main; sys.exit(main(['evaluate', {str(tmp_path / 'with')!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and f"{100 * result['test']['accuracy']:.1f}" in done.stdout, done.stderr


def test_clips_of_nothing_but_nan_and_infinite_ones_are_skipped_all_the_same(make, tmp_path):
    def spoil(values):
        values["audio"][0], values["visual"][4, 0] = np.nan, np.inf

    run = train(make("f", spoil)[0], tmp_path / "run", data={"impute": "mean"})
    assert {clip: reason.rpartition(": ")[2] for clip, reason in run.data.clips.skipped.items()} == {
        "c0": "nothing but NaN",
        "c4": "infinite values",
    }


@pytest.mark.parametrize("changes", [{"impute": "mean"}, {"standardise": True}])
def test_media_have_no_columns(tmp_path, monkeypatch, changes):
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    clips = write_tiny_clips(tmp_path / "clips", per_split={"train": 1, "val": 1, "test": 1})
    asked = from_dict(TrainConfig, {"data": {**tiny_data(clips), **changes}, "accelerator": "cpu"})
    with pytest.raises(ConfigError, match=f"data.{next(iter(changes))} is for clips that are features"):
        fit(asked, tmp_path / "run", progress=False)


def test_a_model_that_fills_nothing_in_is_not_given_nan(make, tmp_path):
    run = train(make("f")[0], tmp_path / "run")
    other = config(make("g", holes)[0], data={"impute": "mean"}).data
    with pytest.raises(ConfigError, match="was trained without"):
        evaluate(run, data=other)
