"""Disentangled gradients: which loss reaches what, by hand; every fusion; precision; two processes."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from balance_parts import encoders, output, trained_on_rows
from counterpoint.balance import Detached
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.fusion import FUSIONS, create_fusion
from processes import in_processes

C, B, D = 4, 5, 8
NAMES = ("audio", "visual", "text")


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def leaves(names, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    features = {m: torch.randn(B, D, generator=generator, dtype=dtype).requires_grad_() for m in names}
    return features, torch.randint(C, (B,), generator=generator)


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
def test_which_loss_reaches_what_under_concatenation(names):
    torch.manual_seed(0)
    fusion = create_fusion("concat", dict.fromkeys(names, D), C).double()
    balance = Detached({m: nn.Identity() for m in names}, fusion=fusion, alpha=1.5)
    features, target = leaves(names)
    loss = balance.loss(fusion(features), target)
    loss.backward()
    weights = {m: w.detach().numpy() for m, w in fusion.head.weights().items()}
    (bias,) = (p.detach().numpy() for name, p in fusion.head.named_parameters() if name.endswith("bias"))
    x = {m: one.detach().numpy() for m, one in features.items()}
    hot = np.eye(C)[target.numpy()]
    joint = softmax(sum(x[m] @ weights[m].T for m in names) + bias) - hot
    expected = -np.log((joint + hot)[hot == 1]).mean()
    for m in names:
        alone = softmax(x[m] @ weights[m].T + bias) - hot
        expected -= 1.5 * np.log((alone + hot)[hot == 1]).mean()
        np.testing.assert_allclose(features[m].grad, 1.5 * alone @ weights[m] / B, rtol=1e-10)  # of its own loss alone
        np.testing.assert_allclose(  # of the joint loss alone
            fusion.head.weights()[m].grad, joint.T @ x[m] / B, rtol=1e-10
        )
    assert loss.item() == pytest.approx(expected, rel=1e-12)


PRODUCTS = {"mcb"}
"""Fusions that multiply: of one modality alone they make nothing."""


@pytest.mark.parametrize("name", list(FUSIONS))
def test_a_fusion_that_has_no_answer_to_one_modality_is_told(name):
    fusion = create_fusion(name, dict.fromkeys(NAMES[:2], D), C)
    drawn = torch.get_rng_state()
    with pytest.raises(ConfigError, match="heads='own'") if name in PRODUCTS else contextlib.nullcontext():
        Detached({m: nn.Identity() for m in NAMES[:2]}, fusion=fusion)
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.parametrize(
    ("name", "heads"), [(n, h) for n in FUSIONS for h in ("fusion", "own") if n not in PRODUCTS or h == "own"]
)
def test_every_fusion_can_be_trained_so(name, heads):
    torch.manual_seed(0)
    fusion = create_fusion(name, dict.fromkeys(NAMES[:2], D), C).double()
    balance = Detached({m: nn.Identity() for m in NAMES[:2]}, fusion=fusion, heads=heads)
    balance.parts.double()
    features, target = leaves(NAMES[:2])
    state = {k: v.clone() for k, v in fusion.state_dict().items()}
    out = fusion(features)
    after = {k: v.clone() for k, v in fusion.state_dict().items()}
    balance.loss(out, target).backward()
    assert all(x.grad.abs().sum() > 0 for x in features.values())
    torch.testing.assert_close(dict(fusion.state_dict()), after)  # the pass of the batch alone changes statistics
    own = {m: x.grad.clone() for m, x in features.items()}
    # The others' features do not reach a modality's gradient, nor does the joint loss.
    other, _ = leaves(NAMES[:2])
    with torch.no_grad():
        other["visual"] += 1.0
    fusion.load_state_dict(state)
    balance.loss(fusion(other), target).backward()
    fused_state = any(not torch.equal(state[k], after[k]) for k in state)
    if heads == "own" or not fused_state:
        torch.testing.assert_close(other["audio"].grad, own["audio"])


def test_own_heads_train_encoders_as_if_they_were_apart():
    def data():
        torch.manual_seed(1)
        nets = encoders("audio", "visual").double()
        fusion = create_fusion("concat", dict.fromkeys(NAMES[:2], 8), C).double()
        heads = Detached(nets, fusion=fusion, heads="own")
        heads.parts.double()
        inputs = {m: torch.randn(B, 1, 8, 8, dtype=torch.float64) for m in nets}
        return nets, fusion, heads, inputs, torch.arange(B) % C

    nets, fusion, balance, inputs, target = data()
    optimizer = torch.optim.Adam([*nets.parameters(), *fusion.parameters(), *balance.parts.parameters()], lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        balance.loss(fusion({m: nets[m](inputs[m]) for m in nets}), target).backward()
        optimizer.step()

    apart, _, other, inputs, target = data()
    for m in apart:
        head = other.parts["heads"].each[m]
        optimizer = torch.optim.Adam([*apart[m].parameters(), *head.parameters()], lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            logits = head({m: apart[m](inputs[m])})[m]
            (4.0 * nn.functional.cross_entropy(logits, target)).backward()
            optimizer.step()
    torch.testing.assert_close(nets.state_dict(), apart.state_dict())


def test_features_in_half_precision():
    fusion = create_fusion("concat", dict.fromkeys(NAMES[:2], D), C)
    balance = Detached({m: nn.Identity() for m in NAMES[:2]}, fusion=fusion)
    features, target = leaves(NAMES[:2], torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        halves = {m: x.bfloat16() for m, x in features.items()}
        out = fusion(halves)
    low = balance.loss(out, target)
    torch.testing.assert_close(low, balance.loss(fusion(features), target), rtol=2e-2, atol=2e-2)


def _trained(rank, world, heads):
    return trained_on_rows(rank, world, "detached", steps=3, heads=heads)


@pytest.mark.parametrize("heads", ["fusion", "own"])
def test_two_processes_are_as_one(heads):
    alone = _trained(0, 1, heads)
    for state in in_processes(2, _trained, heads):
        torch.testing.assert_close(state, alone, rtol=1e-9, atol=1e-12)


def test_bad_input():
    fusion = create_fusion("concat", dict.fromkeys(NAMES[:2], D), C)
    nets = {m: nn.Identity() for m in NAMES[:2]}
    for alpha in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="alpha must be above 0"):
            Detached(nets, fusion=fusion, alpha=alpha)
    with pytest.raises(UnknownNameError):
        Detached({"audio": nn.Identity(), "text": nn.Identity()}, fusion=fusion)
    bare = output({m: torch.zeros(2, C) for m in NAMES[:2]})
    with pytest.raises(ConfigError, match="does not carry them"):
        Detached(nets, fusion=fusion).loss(bare, torch.zeros(2, dtype=torch.long))
