"""Mixed precision, clipping and overflow, in the order that `Balancer` documents."""

import copy

import pytest
import torch
from torch import nn

from balance_parts import encoders, output
from counterpoint.balance import OGM, OGMGE


def setting():
    torch.manual_seed(0)
    nets = encoders()
    inputs = {m: torch.randn(6, 1, 8, 8) for m in nets}
    return nets, inputs, torch.arange(6) % 8


def forward(nets, inputs):
    return output({m: nets[m](inputs[m]) * (3 if m == "audio" else 1) for m in nets})


def train(nets, inputs, target, balancer, scaler=None, *, autocast=False, clip=None, spoil=False):
    optimizer = torch.optim.SGD(nets.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = forward(nets, inputs)
            loss = balancer.loss(out, target)
        (scaler.scale(loss) if scaler else loss).backward()
        if spoil:
            nets["audio"][0].weight.grad[0, 0, 0, 0] = float("inf")
        if scaler:
            scaler.unscale_(optimizer)
        record = balancer.step(out, target)
        if clip:
            nn.utils.clip_grad_norm_(nets.parameters(), clip)
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
    return record


@pytest.mark.parametrize("kind", [OGM, OGMGE])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_a_scaled_loss_gives_the_same_update(kind, clip):
    nets, inputs, target = setting()
    scaled = copy.deepcopy(nets)
    train(nets, inputs, target, kind(nets), clip=clip)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    record = train(scaled, inputs, target, kind(scaled), scaler, clip=clip)
    assert record["coefficient"].min() < 1
    for a, b in zip(nets.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", [OGM, OGMGE])
def test_a_step_that_overflowed_is_skipped(kind):
    nets, inputs, target = setting()
    before = copy.deepcopy(nets.state_dict())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    train(nets, inputs, target, kind(nets), scaler, spoil=True)
    assert scaler.get_scale() == 2.0**13
    for name, p in nets.named_parameters():
        assert torch.equal(p, before[name])


@pytest.mark.parametrize("alpha", [0.8, 1e4])  # with the second k is 0, and 0 times inf must not hide the overflow
@pytest.mark.parametrize("kind", [OGM, OGMGE])
def test_what_is_not_finite_stays_so(kind, alpha):
    nets, inputs, target = setting()
    out = forward(nets, inputs)
    out.logits.sum().backward()
    for m in nets:
        nets[m][0].weight.grad[0, 0, 0, 0] = float("inf")
    kind(nets, alpha=alpha).step(out, target)
    for m in nets:
        assert not torch.isfinite(nets[m][0].weight.grad).all()


@pytest.mark.parametrize("kind", [OGM, OGMGE])
def test_autocast(kind):
    nets, inputs, target = setting()
    record = train(nets, inputs, target, kind(nets), autocast=True)
    assert record["ratio"].dtype == torch.float32
    assert all(torch.isfinite(p).all() for p in nets.parameters())


def test_accumulated_parts_give_the_update_of_the_whole():
    nets, inputs, target = setting()
    nets.eval()  # batch statistics would differ between parts
    parts = copy.deepcopy(nets)
    balancer = OGMGE(nets)
    out = forward(nets, inputs)
    balancer.loss(out, target).backward()
    whole = balancer.step(out, target)

    balancer = OGMGE(parts)
    for rows in (slice(0, 2), slice(2, 4), slice(4, 6)):
        out = forward(parts, {m: x[rows] for m, x in inputs.items()})
        (balancer.loss(out, target[rows]) / 3).backward()
        if rows.stop < 6:
            balancer.observe(out, target[rows])
    record = balancer.step(out, target[rows])
    torch.testing.assert_close(record, whole)
    for a, b in zip(nets.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)
