"""A balancer that asks for held-out clips and reviews, in whole runs: G-Blending."""

import csv
import json
from types import SimpleNamespace

import pytest
import torch

from counterpoint.balance import GradientBlending
from counterpoint.errors import ConfigError, DataError
from counterpoint.models import from_pretrained
from counterpoint.training.build import build
from counterpoint.training.callbacks.balancer_review import measure
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.datamodule import ClipData
from counterpoint.training.evaluate import evaluate
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from counterpoint.training.module import CounterpointModule
from counterpoint.training.resolve import resolve_for
from interrupting import interrupted
from processes import in_processes
from tiny_clips import tiny_data, write_tiny_clips

BLEND = {"name": "gradient_blending", "options": {"every": 1, "holdout": 0.25}}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def config(clips, **changes) -> TrainConfig:
    values = {
        "data": tiny_data(clips),
        "head": {"name": "cosine"},
        "balance": BLEND,
        "optim": {"lr": 3e-3, "clip_norm": 5.0},
        "epochs": 3,
        "seed": 1,
        **changes,
    }
    return from_dict(TrainConfig, values)


@pytest.fixture(scope="module")
def finished(clips, tmp_path_factory):
    return fit(config(clips), tmp_path_factory.mktemp("runs") / "finished", progress=False)


def rows(path, without=()):
    with path.open() as file:
        return [{k: v for k, v in row.items() if k not in without} for row in csv.DictReader(file)]


def test_clips_are_held_out_by_seed_and_class(clips):
    def held(seed, share=0.25):
        data = ClipData.from_config(config(clips).data, seed=seed)
        data.hold_out(share)
        return data, set(data.held_out)

    data, first = held(1)
    targets = data.clips.split("train").targets[sorted(first)]
    assert targets.bincount().tolist() == [2, 2]
    assert held(1)[1] == first and held(2)[1] != first

    def seen(**how):
        return torch.cat([batch["index"] for batch in data.loader("train", **how)]).tolist()

    everyone = set(range(16))
    assert sorted(seen(train=True)) == sorted(everyone - first) == seen(part="kept")
    assert set(seen(part="held_out")) == first and len(seen(part="held_out")) == 4
    assert set(seen()) == everyone  # a probe is fitted on all
    assert ClipData.from_config(config(clips).data).held_out == ()
    told = rf"held out of training: class '{data.clips.table.classes[0]}' has 8 clips, too few .* shares val=0.95\."
    with pytest.raises(DataError, match=told):
        held(1, 0.95)


def test_what_is_held_out_is_never_trained_on(clips, tmp_path, monkeypatch):
    trained, reviewed = [], []
    step, review = CounterpointModule.training_step, GradientBlending.review

    def training_step(self, batch, batch_idx):
        trained.extend(batch["index"].tolist())
        return step(self, batch, batch_idx)

    def noted(self, train, held_out):
        reviewed.append((len(trained), train, held_out))
        review(self, train, held_out)

    monkeypatch.setattr(CounterpointModule, "training_step", training_step)
    monkeypatch.setattr(GradientBlending, "review", noted)
    run = fit(config(clips, epochs=2), tmp_path / "run", progress=False)
    assert run.result["held_out"] == 4 and run.result["clips"]["train"] == 16
    assert len(trained) == 24 and len(set(trained)) == 12
    assert [count for count, *_ in reviewed] == [0, 12]  # after the last epoch, weights would serve nobody
    assert all(list(part) == ["audio", "visual", "joint"] for _, *parts in reviewed for part in parts)


def test_weights_are_estimated_and_recorded(finished):
    state = torch.load(finished.folder / "last.ckpt", weights_only=True)["balancer"]
    assert sum(state["weights"].values()) == pytest.approx(1)
    steps = rows(finished.folder / "steps.csv")
    assert [float(row["coefficient_audio"]) for row in steps[:2]] == pytest.approx([1 / 3] * 2, rel=1e-5)
    (last,) = {float(row["coefficient_audio"]) for row in steps if row["epoch"] == "2"}
    assert abs(last - 1 / 3) > 1e-3


def test_heads_are_trained_and_kept_but_not_exported(finished, clips):
    state = torch.load(finished.folder / "last.ckpt", weights_only=True)
    heads = state["balancer"]["parts"]
    torch.manual_seed(1)
    parts = build(resolve_for(config(clips), finished.data.clips.table))
    fresh = parts.balancer
    assert {h.scale for h in fresh.parts["heads"].each.values()} == {parts.model.fusion.head.scale}
    for name, tensor in fresh.parts.state_dict().items():
        assert heads[name].shape == tensor.shape and not torch.equal(heads[name], tensor)
    exported = from_pretrained(finished.folder)
    assert set(exported.state_dict()) == set(parts.model.state_dict()) == set(state["state_dict"])
    assert evaluate(load_run(finished.folder), "test") == {"clips": 8, **finished.result["test"]}
    assert finished.result["parameters"] == sum(p.numel() for p in exported.parameters())


@pytest.mark.parametrize("steps", [1, 3])
def test_an_interrupted_run_goes_on_to_the_very_same_result(finished, clips, tmp_path, monkeypatch, steps):
    folder = tmp_path / "run"
    interrupted(monkeypatch, config(clips), folder, steps)
    torch.manual_seed(123)
    run = fit(config(clips), folder, resume=True, progress=False)
    a, b = (torch.load(f / "last.ckpt", weights_only=True) for f in (folder, finished.folder))
    for part in ("state_dict", "balancer"):
        torch.testing.assert_close(a[part], b[part], rtol=0, atol=0)
    assert rows(folder / "metrics.csv", ["seconds"]) == rows(finished.folder / "metrics.csv", ["seconds"])
    assert rows(folder / "steps.csv") == rows(finished.folder / "steps.csv")
    assert run.result["test"] == finished.result["test"]


def test_given_weights_hold_nothing_out(clips, tmp_path):
    weights = {"audio": 0.2, "visual": 0.3, "joint": 0.5}
    blend = {"name": "gradient_blending", "options": {"weights": weights}}
    run = fit(config(clips, balance=blend, epochs=1), tmp_path / "run", progress=False)
    assert "held_out" not in run.result
    assert all(float(row["coefficient_visual"]) == pytest.approx(0.3) for row in rows(run.folder / "steps.csv"))
    assert json.loads((run.folder / "result.json").read_text())["clips"]["train"] == 16


def _measured(rank, world, folder):
    chosen = config(folder)
    torch.manual_seed(0)
    data = ClipData.from_config(chosen.data, seed=1)
    data.hold_out(0.3)
    parts = build(resolve_for(chosen, data.clips.table))
    balancer = parts.balancer
    module = CounterpointModule(parts.model, parts.transforms, balancer=balancer).eval()
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world)
    return [measure(module, balancer, data, part) for part in ("kept", "held_out")]


def test_two_processes_measure_what_one_does(clips):
    """Of 5 or 6 clips on three processes, some come twice to make shares even, and count once."""
    alone = _measured(0, 1, clips)
    assert alone[0] != alone[1]
    for world in (2, 3):
        each = in_processes(world, _measured, clips)
        assert all(other == each[0] for other in each)  # to the last bit, or processes would weigh differently
        for part, expected in zip(each[0], alone, strict=True):
            assert part == pytest.approx(expected, rel=1e-5)


def test_what_cannot_be_blended_is_told_before_anything_is_decoded(clips, tmp_path):
    alone = {"modalities": ["audio"]}
    for changes, message in (
        ({"loss": {"name": "unimodal"}, "fusion": {"name": "average"}}, "loss of its own"),
        ({"model": alone, "head": {}}, "at least two"),
        ({"balance": {**BLEND, "options": {"evry": 2}}}, "Did you mean 'every'"),
        ({"balance": {**BLEND, "options": {"weights": [1, 2]}}}, "must be mapping or null"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit(config(clips, **changes), tmp_path / "run", progress=False)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("form", ["online", "offline"])
def test_learns(clips, tmp_path, form):
    blend = {"name": "gradient_blending", "options": {"every": 3, "holdout": 0.25, "form": form}}
    run = fit(config(clips, balance=blend, epochs=14, augment=False), tmp_path / "run", progress=False)
    assert run.result["test"]["accuracy"] >= 0.75
    weights = {row["coefficient_audio"] for row in rows(run.folder / "steps.csv")}
    assert len(weights) == (2 if form == "offline" else 5)
