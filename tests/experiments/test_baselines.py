"""The ensemble beside an average made by hand, classical classifiers beside their own, and both in the report."""

import json

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from counterpoint.analysis.classical import fit_classical
from counterpoint.analysis.extract import extract
from counterpoint.analysis.traces import load_trace
from counterpoint.data.features.writer import FEATURES
from counterpoint.errors import ConfigError, DataError
from counterpoint.experiments import baselines
from counterpoint.experiments.compare import compare
from counterpoint.experiments.config import CompareConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.load import load_run
from feature_files import write
from tiny_clips import tiny_data, write_tiny_clips

CLASSES, ROWS = 3, 60
MODALITIES = ("audio", "visual")


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    who = np.arange(ROWS) % CLASSES
    made = {
        m: rng.normal(size=(CLASSES, width))[who] + 0.7 * rng.normal(size=(ROWS, width))
        for m, width in (("audio", 6), ("visual", 9))
    }
    split = np.array([("train", "train", "val", "test")[k % 4] for k in range(ROWS)])
    return made, who, split


@pytest.fixture(scope="module")
def root(vectors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    made, who, split = vectors
    write(folder / FEATURES, **made)
    rows = [f"c{k},class{who[k]},{split[k]}" for k in range(ROWS)]
    (folder / "clips.csv").write_text("\n".join(["clip,class,split", *rows]) + "\n")
    return folder


def config(root, **changes):
    data = {"name": "features", "root": str(root), "batch_size": 8}
    base = {"data": data, "epochs": 4, "accelerator": "cpu", "optim": {"lr": 0.02}}
    asked = {"methods": ["concat"], "seeds": [0, 1], "base": base, "ensemble": True, "classical": True}
    return from_dict(CompareConfig, {**asked, **changes})


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    return compare(config(root, probe=False), tmp_path_factory.mktemp("compared") / "run", progress=False)


def test_the_ensemble_is_the_mean_of_calibrated_probabilities(done):
    for seed in (0, 1):
        runs = {m: load_run(done.folder / "alone" / m / f"seed{seed}") for m in MODALITIES}
        expected = 0
        for run in runs.values():
            val, test = extract(run, "val"), extract(run, "test")
            z, y = val.logits.double().numpy(), val.target.numpy()
            grid = np.geomspace(0.01, 100, 4001)
            losses = [-log_softmax(z / t, axis=1)[np.arange(len(y)), y].mean() for t in grid]
            expected = expected + softmax(test.logits.double().numpy() / grid[int(np.argmin(losses))], axis=1) / 2
        made = load_trace(done.folder / "ensemble" / f"seed{seed}" / "trace.npz")
        np.testing.assert_allclose(np.exp(made.logits), expected, atol=5e-3)
        right = (made.logits.argmax(1) == made.target).mean()
        (of_seed,) = [s for s in done.methods["ensemble"].seeds if s.seed == seed]
        assert of_seed.test["accuracy"] == pytest.approx(right)
        for m in MODALITIES:
            alone = done.alone[m].seeds[seed].test["accuracy"]
            assert of_seed.modalities[m].decoupled["accuracy"] == pytest.approx(alone)


def test_classical_classifiers_are_chosen_by_validation_and_are_the_same_for_every_seed(done, vectors):
    made, who, split = vectors
    x = {m: {s: made[m].astype(np.float32).astype(float)[split == s] for s in ("train", "val", "test")} for m in made}
    y = {s: who[split == s] for s in ("train", "val", "test")}
    each = {m: fit_classical(x[m], y, CLASSES) for m in x}
    first, second = (load_trace(done.folder / "classical" / f"seed{seed}" / "trace.npz") for seed in (0, 1))
    np.testing.assert_array_equal(first.logits, second.logits)
    for m in MODALITIES:
        np.testing.assert_allclose(first.decoupled[m], each[m].logits["test"], atol=1e-4)
    averaged = np.log(sum(np.exp(one.logits["test"]) for one in each.values()) / 2)
    joined = fit_classical({s: np.concatenate([x[m][s] for m in x], 1) for s in y}, y, CLASSES).logits["test"]
    assert any(np.allclose(first.logits, other, atol=1e-4) for other in (averaged, joined))


def test_both_stand_in_tables_files_and_page(done):
    assert list(done.methods) == ["concat", "ensemble", "classical"]
    assert all(done.methods[name].difference is not None for name in ("ensemble", "classical"))
    page = (done.folder / "report.html").read_text()
    assert "Modalities trained apart, calibrated, averaged" in page
    rows = (done.folder / "results.csv").read_text()
    assert "ensemble" in rows and "classical" in rows
    assert "NaN" not in json.dumps(json.loads((done.folder / "results.json").read_text()))


def test_they_can_be_added_to_a_comparison_that_is_there(root, tmp_path):
    folder = tmp_path / "run"
    compare(config(root, ensemble=False, classical=False, seeds=[0]), folder, progress=False)
    before = (folder / "concat" / "seed0" / "model.safetensors").stat().st_mtime_ns
    found = compare(config(root, seeds=[0]), folder, resume=True, progress=False)
    assert set(found.methods) == {"concat", "ensemble", "classical"}
    assert (folder / "concat" / "seed0" / "model.safetensors").stat().st_mtime_ns == before


def test_one_that_cannot_be_had_ends_nothing(root, tmp_path, monkeypatch):
    def refuse(features, targets, num_classes):
        raise DataError("classical baseline: the training split has fewer than two classes")

    monkeypatch.setattr(baselines, "fit_classical", refuse)
    found = compare(config(root, seeds=[0], probe=False), tmp_path / "run", progress=False)
    assert set(found.methods) == {"concat", "ensemble"}
    assert [(each.name, each.error) for each in found.failures] == [
        ("classical", "classical baseline: the training split has fewer than two classes")
    ]


def test_they_are_removed_with_the_comparison(root, tmp_path):
    folder = tmp_path / "run"
    compare(config(root, seeds=[0], probe=False), folder, progress=False)
    assert (folder / "classical" / "seed0" / "trace.npz").is_file()
    compare(
        config(root, seeds=[0], probe=False, ensemble=False, classical=False), folder, overwrite=True, progress=False
    )
    assert not (folder / "ensemble").exists() and not (folder / "classical").exists()


def test_of_clips_classical_classifiers_see_statistics(tmp_path):
    base = {"data": tiny_data(write_tiny_clips(tmp_path / "clips")), "epochs": 1}
    asked = {"methods": ["concat"], "seeds": [0], "base": {**base, "accelerator": "cpu"}, "classical": True}
    found = compare(
        from_dict(CompareConfig, {**asked, "alone": False, "probe": False}), tmp_path / "run", progress=False
    )
    assert 0 <= found.methods["classical"].accuracy.mean <= 1
    assert set(found.methods["classical"].modalities) == set(MODALITIES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alone": False}, "set alone to true"),
        (
            {"base": {"task": "localise"}, "methods": [], "ensemble": False},
            "classical is true, but it classifies clips",
        ),
    ],
)
def test_what_cannot_be_had_is_told(root, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        compare(config(root, **changes), tmp_path / "run", progress=False)
