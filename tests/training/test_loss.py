"""The loss that a run minimises: the configuration's, or the balancer's where it has its own."""

import json

import pytest
import torch
from torch import nn

from counterpoint.balance import OGM
from counterpoint.errors import ConfigError, CounterpointError, UnknownNameError
from counterpoint.experiments.compare import compare
from counterpoint.experiments.config import CompareConfig
from counterpoint.fusion import FUSIONS
from counterpoint.losses import Unimodal
from counterpoint.media.spec import MediaSpec
from counterpoint.training.build import build_loss
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.fit import fit
from counterpoint.training.module import CounterpointModule
from counterpoint.training.resolve import check
from made_parts import parts_of
from tiny_clips import tiny_data, write_tiny_clips

SPEC = MediaSpec(sample_rate=8000, seconds=0.5, fps=8, size=16, gray=True)


def config(**changes) -> TrainConfig:
    return from_dict(TrainConfig, {"fusion": {"name": "average"}, **changes})


class WithItsOwn(OGM):
    def loss(self, output, target, *, label_smoothing=0.0):
        return output.logits.sum() + label_smoothing


def encoders():
    return {m: nn.Conv1d(2, 2, 1) for m in ("audio", "visual")}


def test_the_configured_loss_is_built_and_minimised():
    chosen = config(loss={"name": "unimodal"}, optim={"label_smoothing": 0.1})
    loss = build_loss(chosen, OGM(encoders()))
    assert isinstance(loss, Unimodal)
    parts = parts_of(chosen, 3, SPEC)
    module = CounterpointModule(parts.model, parts.transforms, loss=loss, optim=chosen.optim)
    sight = torch.randint(0, 255, (2, SPEC.num_frames, SPEC.size, SPEC.size, 1), dtype=torch.uint8)
    clips = {"audio": torch.randint(-99, 99, (2, SPEC.num_samples), dtype=torch.int16), "visual": sight}
    target = torch.tensor([0, 2])
    output = module(clips)
    expected = sum(nn.functional.cross_entropy(z, target, label_smoothing=0.1) for z in output.unimodal_logits.values())
    torch.testing.assert_close(module.objective(output, target), expected)


def test_a_balancers_own_loss_comes_first_and_bears_no_other():
    balancer = WithItsOwn(encoders())
    assert build_loss(config(), balancer) == balancer.loss
    with pytest.raises(ConfigError, match="a loss of its own; leave loss.name"):
        build_loss(config(loss={"name": "unimodal"}), balancer)


def test_wrong_names_are_told_before_any_clip_is_read():
    with pytest.raises(UnknownNameError, match="Did you mean 'multiplicative'"):
        check(config(loss={"name": "multiplicativ"}))
    with pytest.raises(ConfigError, match="beta is 'much'; it must be float"):
        build_loss(config(loss={"name": "multiplicative", "options": {"beta": "much"}}), None)


WRONG = [
    ({"loss": {"name": "unimodal"}, "fusion": {"name": "film"}}, "those of 'audio' come from"),
    ({"loss": {"name": "multiplicative"}, "fusion": {"name": "gated"}}, "choose a late fusion"),
    (
        {"fusion": {"name": "sum", "attention": "simam2", "options": {"attention_options": {"dim": 0}}}},
        "dim=0 makes the batch part of a population",
    ),
    (
        {"fusion": {"name": "film", "attention": "simam2", "options": {"attention_options": {"dim": [-1, -3]}}}},
        "dim=.*-3",
    ),
]


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_parts_that_do_not_fit_each_other_are_told_before_the_first_step(tmp_path, monkeypatch, changes, words):
    monkeypatch.setattr("counterpoint.training.engine.pl.Trainer.fit", lambda *a: pytest.fail("trains"))
    root = write_tiny_clips(tmp_path / "clips", per_split={"train": 1, "val": 1, "test": 1})
    with pytest.raises(CounterpointError, match=words):
        fit(config(data=tiny_data(root), **changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(json.dumps(changes))
    asked = CompareConfig(methods=[str(recipe)], base=config(data={"name": "folder", "root": "nowhere"}))
    with pytest.raises(ConfigError, match=f"recipe mine: .*{words}"):
        compare(asked, tmp_path / "compared", progress=False)


@pytest.mark.parametrize("name", FUSIONS.names())
def test_trying_parts_out_leaves_them_as_they_are(name):
    chosen = config(
        fusion={"name": name, "zeta": "learned", "attention": "simam2"} if name == "sum" else {"name": name}
    )
    model = parts_of(chosen, 3, SPEC).model.train()
    before, drawn = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    build_loss(chosen, None, model)
    assert torch.equal(torch.get_rng_state(), drawn) and model.fusion.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
