"""Mixup: pairs by hand, in NumPy; what is drawn; losses of every kind; precision, layout, compilation, waiting."""

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from torch import nn

from balance_parts import counted
from counterpoint.balance import Detached, GradientBlending
from counterpoint.functional import Mix, draw_mix
from counterpoint.fusion import create_fusion
from counterpoint.losses import LOSSES, create_loss

NAMES, B, D, C = ("audio", "visual", "text"), 6, 4, 3


def log_softmax(x):
    return x - x.max(-1, keepdims=True) - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True))


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
def test_inputs_and_loss_are_those_of_soft_targets(names):
    torch.manual_seed(0)
    mix = Mix(torch.tensor(0.7, dtype=torch.float64), torch.tensor([2, 0, 1, 5, 4, 3]))
    inputs = {m: torch.randn(B, 2, D, dtype=torch.float64) for m in names}
    target, weight = torch.tensor([0, 1, 2, 0, 1, 2]), torch.randn(C, 2 * D * len(names), dtype=torch.float64)
    mixed = mix.inputs(inputs)
    x = {m: one.numpy() for m, one in inputs.items()}
    partner = [2, 0, 1, 5, 4, 3]
    for m in names:
        for i in range(B):
            np.testing.assert_allclose(mixed[m][i], 0.7 * x[m][i] + 0.3 * x[m][partner[i]], rtol=1e-12)
    logits = torch.cat([mixed[m].flatten(1) for m in names], 1) @ weight.T
    soft = 0.7 * np.eye(C)[target.numpy()] + 0.3 * np.eye(C)[target.numpy()[partner]]
    expected = -(soft * log_softmax(logits.numpy())).sum(1).mean()
    found = mix.loss(lambda y: nn.functional.cross_entropy(logits, y), target)
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_what_is_drawn(alpha):
    torch.manual_seed(0)
    drawn = [draw_mix(5, alpha) for _ in range(800)]
    assert all(sorted(mix.partner.tolist()) == [0, 1, 2, 3, 4] for mix in drawn)
    assert len({tuple(mix.partner.tolist()) for mix in drawn}) > 100  # of 120
    weights = np.array([mix.weight.item() for mix in drawn])
    assert weights.min() >= 0.5
    # The larger of lambda and 1 - lambda: its distribution is twice that of lambda above a half.
    assert kstest(weights, lambda w: 2 * beta(alpha, alpha).cdf(w) - 1).pvalue > 1e-3


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_is_weighed(name):
    torch.manual_seed(0)
    fusion = create_fusion("average", dict.fromkeys(NAMES[:2], D), C).double()
    output = fusion({m: torch.randn(B, D, dtype=torch.float64) for m in NAMES[:2]})
    loss, mix, target = create_loss(name), draw_mix(B, 1.0), torch.arange(B) % C
    found = mix.loss(lambda y: loss(output, y), target)
    w = float(mix.weight)
    expected = w * loss(output, target).item() + (1 - w) * loss(output, target[mix.partner]).item()
    assert found.item() == pytest.approx(expected, rel=1e-6)
    found.backward()


@pytest.mark.parametrize("kind", [Detached, GradientBlending])
def test_the_modalities_own_losses_of_a_balancer_follow(kind):
    torch.manual_seed(0)
    fusion = create_fusion("concat", dict.fromkeys(NAMES[:2], D), C).double()
    balance = kind({m: nn.Identity() for m in NAMES[:2]}, fusion=fusion)
    balance.parts.double()
    features = {m: torch.randn(B, D, dtype=torch.float64).requires_grad_() for m in NAMES[:2]}
    mix = Mix(torch.tensor(0.6, dtype=torch.float64), torch.tensor([1, 2, 3, 4, 5, 0]))
    target = torch.arange(B) % C

    def gradients(loss):
        output = fusion(features)
        return torch.autograd.grad(loss(output), list(features.values()))

    mixed = gradients(lambda output: mix.loss(lambda y: balance.loss(output, y), target))
    own, other = (gradients(lambda output, y=y: balance.loss(output, y)) for y in (target, target[mix.partner]))
    for found, a, b in zip(mixed, own, other, strict=True):
        torch.testing.assert_close(found, 0.6 * a + 0.4 * b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_precision_and_layout_are_kept(dtype):
    x = torch.randn(B, 3, 4, 4).to(dtype).contiguous(memory_format=torch.channels_last)
    mixed = draw_mix(B, 1.0).inputs({"visual": x})["visual"]
    assert mixed.dtype == dtype and mixed.is_contiguous(memory_format=torch.channels_last)


def test_nothing_is_read_back_from_the_device():
    with counted() as calls:
        mix = draw_mix(B, 0.2)
        mix.loss(lambda y: y.double().mean(), torch.arange(B))
        mix.inputs({"audio": torch.ones(B, 2)})
    assert calls.host_syncs == 0


def test_compiled():
    def mixed(x, target):
        mix = draw_mix(len(x), 0.5)
        made = mix.inputs({"audio": x})["audio"]
        return mix.loss(lambda y: nn.functional.cross_entropy(made, y), target)

    x, target = torch.randn(B, C), torch.arange(B) % C
    torch.manual_seed(3)
    expected = mixed(x, target)
    torch.manual_seed(3)
    torch.testing.assert_close(torch.compile(mixed, backend="aot_eager")(x, target), expected)
