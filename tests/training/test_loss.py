"""The loss that a run minimises: the configuration's, or the balancer's where it has its own."""

import pytest
import torch
from torch import nn

from counterpoint.balance import OGM
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.losses import Unimodal
from counterpoint.media.spec import MediaSpec
from counterpoint.training.build import build_loss, build_parts, check_names
from counterpoint.training.config import TrainConfig, from_dict
from counterpoint.training.module import CounterpointModule

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
    parts = build_parts(chosen, 3, SPEC)
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
        check_names(config(loss={"name": "multiplicativ"}))
    with pytest.raises(ConfigError, match="beta is 'much'; it must be a number"):
        build_loss(config(loss={"name": "multiplicative", "options": {"beta": "much"}}), None)
