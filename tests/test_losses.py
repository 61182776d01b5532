"""Losses against their definitions, in float64 and NumPy."""

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.fusion import Average, FiLM, FusionOutput
from counterpoint.losses import LOSSES, create_loss

TARGET = torch.tensor([0, 3, 1, 1, 2])
C = 4


def output(modalities=("audio", "visual"), scale=1.0):
    own = {m: scale * torch.randn(5, C, dtype=torch.float64) for m in modalities}
    joint = scale * torch.randn(5, C, dtype=torch.float64)
    return FusionOutput(joint, own, joint)


def probabilities(logits):
    e = np.exp(logits.numpy())
    return e / e.sum(-1, keepdims=True)


def of_target(values):
    return values[np.arange(5), TARGET.numpy()]


def test_cross_entropy_is_of_the_joint_logits():
    """Eq. (10) of CFN-SR, as a mean over samples."""
    out = output()
    expected = -np.log(of_target(probabilities(out.logits))).mean()
    assert create_loss("cross_entropy")(out, TARGET).item() == pytest.approx(expected)


def test_unimodal_is_the_sum_of_each_ones_own():
    out = output(("audio", "visual", "text"))
    expected = sum(-np.log(of_target(probabilities(z))).mean() for z in out.unimodal_logits.values())
    assert create_loss("unimodal")(out, TARGET).item() == pytest.approx(expected)


@pytest.mark.parametrize("modalities", [("audio", "visual"), ("audio", "visual", "text")])
def test_multiplicative(modalities):
    out = output(modalities)
    p = [of_target(probabilities(z)) for z in out.unimodal_logits.values()]
    expected = 0
    for m, own in enumerate(p):
        others = [np.log(1 - other) for j, other in enumerate(p) if j != m]
        expected = expected - (np.exp(0.3 * np.mean(others, axis=0)) * np.log(own)).mean()
    assert create_loss("multiplicative", beta=0.3)(out, TARGET).item() == pytest.approx(expected)


def test_a_modality_learns_little_of_what_the_other_is_sure_of():
    sure = torch.zeros(1, C)
    sure[0, 1] = 20.0
    own = {"audio": torch.zeros(1, C, requires_grad=True), "visual": sure.requires_grad_()}
    create_loss("multiplicative", beta=1.0)(FusionOutput(sure, own, sure), torch.tensor([1])).backward()
    assert own["audio"].grad.abs().max() < 1e-7
    own["audio"].grad = None
    create_loss("unimodal")(FusionOutput(sure, own, sure), torch.tensor([1])).backward()
    assert own["audio"].grad.abs().max() > 0.5


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_without_beta_the_multiplicative_loss_is_the_unimodal_one(smoothing):
    out = output()
    with_beta = create_loss("multiplicative", beta=0.0)(out, TARGET, label_smoothing=smoothing)
    torch.testing.assert_close(with_beta, create_loss("unimodal")(out, TARGET, label_smoothing=smoothing))


@pytest.mark.parametrize("name", LOSSES.names())
class TestEveryLoss:
    def test_smoothing_mixes_in_all_classes_evenly(self, name):
        loss, out = create_loss(name), output()
        plain, smooth = loss(out, TARGET), loss(out, TARGET, label_smoothing=0.3)
        every_class = torch.stack([loss(out, torch.full((5,), c)) for c in range(C)]).mean()
        torch.testing.assert_close(smooth, 0.7 * plain + 0.3 * every_class)

    def test_finite_for_predictions_surer_than_floats_can_say(self, name):
        out = output(scale=1e4)
        leaves = [t.float().requires_grad_() for t in (out.logits, *out.unimodal_logits.values())]
        loss = create_loss(name)(FusionOutput(leaves[0], dict(enumerate(leaves[1:])), leaves[0]), TARGET)
        loss.backward()
        grads = [t.grad for t in leaves if t.grad is not None]
        assert loss.isfinite() and grads and all(g.isfinite().all() for g in grads)

    def test_compiles(self, name):
        torch._dynamo.reset()
        loss, out = create_loss(name), output()
        torch.testing.assert_close(torch.compile(loss, backend="eager", fullgraph=True)(out, TARGET), loss(out, TARGET))


@pytest.mark.parametrize("name", ["unimodal", "multiplicative"])
def test_modalities_that_cannot_learn_from_their_logits_are_told(name):
    dims = {"audio": 3, "visual": 3}
    x = {m: torch.randn(5, d) for m, d in dims.items()}
    with pytest.raises(ConfigError, match="those of 'audio' come from silencing"):
        create_loss(name)(FiLM(dims, C)(x), TARGET)
    with torch.no_grad():
        create_loss(name)(FiLM(dims, C)(x), TARGET)  # to be read, not to be learnt from
    create_loss(name)(Average(dims, C)(x), TARGET).backward()


def test_wrong_names_and_values():
    with pytest.raises(UnknownNameError, match="Did you mean 'unimodal'"):
        create_loss("unimodel")
    with pytest.raises(ConfigError, match="Loss 'multiplicative' has no option 'bta'. Did you mean 'beta'"):
        create_loss("multiplicative", bta=1)
    with pytest.raises(ConfigError, match="beta must be 0 or more"):
        create_loss("multiplicative", beta=-1)
