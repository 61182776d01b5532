"""The record behind Eq. (6): kept by training alone, and over all processes."""

import math

import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.fusion import SimAM2, Sum, create_fusion
from processes import in_processes

DIMS = {"audio": 6, "visual": 6}


def batch(size=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    return {m: torch.randn(size, d, generator=g) for m, d in DIMS.items()}


def record(fusion):
    attention = fusion.superposition.attention
    return attention.var_max.clone(), attention.r.clone()


def test_only_training_keeps_the_record():
    fusion = Sum(DIMS, 5, attention="simam2", zeta="learned").eval()
    fresh = record(fusion)
    assert float(fresh[1]) == pytest.approx(math.tanh(1))
    fusion(batch())
    assert all(map(torch.equal, record(fusion), fresh))
    fusion.train()
    fusion.ablated(batch(), "audio")
    assert all(map(torch.equal, record(fusion), fresh))
    first = fusion(batch())
    after = record(fusion)
    assert float(first.extras["r"]) == pytest.approx(math.tanh(2.5), rel=1e-3)
    quiet = fusion(batch(2, seed=1))
    assert (fusion.superposition.attention.var_max >= after[0]).all()
    assert torch.equal(fusion.eval()(batch()).extras["r"], quiet.extras["r"])


def test_silencing_inside_a_training_step_leaves_the_record_of_the_real_batch():
    fusion = Sum(DIMS, 5, attention="simam2", zeta="learned").train()
    out = fusion(batch())
    zeta = out.weights["audio"]
    torch.testing.assert_close(fusion.superposition.attention.var_max, zeta.var(0, correction=0))


@pytest.mark.parametrize("detach", [True, False])
def test_r_is_a_constant_for_the_gradient_unless_asked(detach):
    attention = SimAM2(2, 6, detach_r=detach)
    attention(list(batch(seed=1).values()), [torch.rand(8, 6), torch.rand(8, 6)])  # sets a record
    z = (0.45 + 0.1 * torch.rand(8, 6)).requires_grad_()
    x = list(batch().values())
    updated, extras = attention(x, [z, 1 - z])
    ours = torch.autograd.grad(updated.sum(), z)[0]
    attention.eval()
    constant = torch.autograd.grad(attention(x, [z, 1 - z])[0].sum(), z)[0]
    assert torch.allclose(ours, constant) == detach
    assert not extras["r"].requires_grad


def test_works_on_maps_and_sequences():
    maps = [torch.randn(4, 3, 5, 5) for _ in range(2)]
    z = torch.rand(4, 3, 1, 1)
    attention = SimAM2(2, 3, dim=(-2, -1), channel_axis=1)
    assert attention(maps, [z, 1 - z])[0].shape == (4, 3, 5, 5)
    torch.testing.assert_close(attention.var_max, z.flatten(1).var(0, correction=0))
    drop_in = SimAM2()  # for a mean of two streams, as in PSP
    assert drop_in([torch.randn(2, 10, 7)] * 2, [0.5, 0.5])[0].shape == (2, 10, 7)


def test_three_streams_record_every_weight():
    w = list(torch.rand(3, 8, 6).softmax(0).unbind())
    attention = SimAM2(3, 6)
    attention([torch.randn(8, 6) for _ in range(3)], w)
    torch.testing.assert_close(attention.var_max, torch.cat(w, -1).var(0, correction=0))


@pytest.mark.parametrize("spoilt", [torch.zeros(0, 6), torch.full((4, 6), torch.nan)])
def test_an_empty_or_overflowed_batch_leaves_the_record_as_it_was(spoilt):
    fusion = Sum(DIMS, 5, attention="simam2", zeta="learned").train()
    fusion(batch())
    before = record(fusion)
    fusion(dict.fromkeys(DIMS, spoilt))
    assert all(map(torch.equal, record(fusion), before))


def test_the_record_is_as_precise_under_autocast():
    fusion = Sum(DIMS, 5, attention="simam2", zeta="learned").train()
    with torch.autocast("cpu", torch.bfloat16):
        out = fusion(batch())
    zeta = out.weights["audio"]
    assert zeta.dtype == torch.bfloat16
    torch.testing.assert_close(fusion.superposition.attention.var_max, zeta.float().var(0, correction=0))


def test_weights_that_do_not_fit_the_declaration():
    x = list(batch().values())
    with pytest.raises(ConfigError, match="tensors, not numbers"):
        SimAM2(2, 6)(x, [0.5, 0.5])
    with pytest.raises(ConfigError, match="declared with 3 streams, but got 2"):
        SimAM2(3)(x, [0.5, 0.5])
    with pytest.raises(ShapeError, match="one for each neuron"):
        SimAM2(2, 6)(x, [torch.rand(8, 1)] * 2)


@pytest.mark.parametrize("dim", [0, (-2, -1)])
def test_the_batch_is_no_part_of_a_population(dim):
    with pytest.raises(ShapeError, match="depend on its neighbours"):
        Sum(DIMS, 5, attention="simam2", attention_options={"dim": dim})(batch())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sign": "minus"}, "sign is 'minus'; it must be one of"),
        ({"s": 0}, "s > 0"),
        ({"lam": 0}, "lam > 0"),
        ({"correction": 2}, "0 or 1"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        SimAM2(**options)
    with pytest.raises(ConfigError, match=message):
        Sum(DIMS, 5, attention="simam2", attention_options=options)


def part_of_a_batch(rank, world):
    torch.manual_seed(0)
    fusion = create_fusion("sum", DIMS, 5, attention="simam2", zeta="learned").train()
    share = 8 // world
    out = fusion({m: t[rank * share : (rank + 1) * share] for m, t in batch().items()})
    return out.logits.detach(), out.extras["r"], fusion.superposition.attention.var_max


def test_two_processes_give_what_one_gives_on_the_joined_batch():
    joined = part_of_a_batch(0, 1)
    parts = in_processes(2, part_of_a_batch)
    torch.testing.assert_close(torch.cat([p[0] for p in parts]), joined[0])
    for part in parts:
        torch.testing.assert_close(part[1], joined[1])
        torch.testing.assert_close(part[2], joined[2])
