"""Rates of modalities: as learning rates of their own, under every optimizer, precision and number of processes."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from balance_parts import OPTIMIZERS, counted, encoders, give_gradients, output, output_of_ratio, random_output
from counterpoint.balance import MILES, MSLR, create_balancer
from counterpoint.errors import ConfigError, CounterpointError, UnknownNameError
from counterpoint.fusion import create_fusion
from processes import in_processes

NAMES, STEPS = ("audio", "visual", "text"), 50
RATES = {"audio": 0.3, "text": 2.0}


def losses(nets, step):
    """Of a problem in which gradients follow the weights."""
    generator = torch.Generator().manual_seed(step)
    inputs = {m: torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64) for m in nets}
    return torch.stack([nets[m](inputs[m]).square().mean() for m in nets]).sum()


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_is_a_learning_rate_of_its_own(name, names):
    torch.manual_seed(0)
    nets = encoders(*names).double().eval()  # a bias before batch statistics has a gradient of rounding alone
    rates = {m: rate for m, rate in RATES.items() if m in names}
    apart = copy.deepcopy(nets)
    optimizer = OPTIMIZERS[name](nets.parameters())
    balance = MSLR(nets, rates=rates, optimizer=optimizer)
    groups = [{"params": list(apart[m].parameters())} for m in names]
    others = OPTIMIZERS[name](groups)
    for group, m in zip(others.param_groups, names, strict=True):
        group["lr"] = group["lr"] * rates.get(m, 1.0)
    for step in range(STEPS):
        for model, stepping in ((nets, optimizer), (apart, others)):
            stepping.zero_grad()
            losses(model, step).backward()
            if model is nets:
                record = balance.step(*random_output(*names))
            stepping.step()
    assert record["coefficient"].tolist() == [rates.get(m, 1.0) for m in names]
    torch.testing.assert_close(nets.state_dict(), apart.state_dict(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_under_a_scaler_accumulated_and_clipped(precision):
    torch.manual_seed(0)
    nets = encoders()
    free = copy.deepcopy(nets)
    start = copy.deepcopy(nets.state_dict())
    for model in (nets, free):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        balance = MSLR(model, rates={"audio": 0.25}, optimizer=optimizer) if model is nets else None
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
        for part in range(2):
            generator = torch.Generator().manual_seed(part)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
                out = output({m: model[m](torch.randn(4, 1, 8, 8, generator=generator)) for m in model})
            scaler.scale(out.logits.float().square().mean()).backward()
            if balance and part == 0:
                balance.observe(out, torch.zeros(4, dtype=torch.long))
        scaler.unscale_(optimizer)
        if balance:
            balance.step(out, torch.zeros(4, dtype=torch.long))
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        scaler.step(optimizer)
        scaler.update()
    for name, p in nets.named_parameters():
        k = 0.25 if name.startswith("audio") else 1.0
        moved = dict(free.named_parameters())[name].detach() - start[name]
        torch.testing.assert_close(p.detach() - start[name], k * moved, rtol=1e-4, atol=1e-6)


def test_a_step_that_the_scaler_skips_moves_nothing():
    nets = encoders()
    before = copy.deepcopy(nets.state_dict())
    optimizer = torch.optim.Adam(nets.parameters(), lr=0.01)
    balance = MSLR(nets, rates={"audio": 0.1}, optimizer=optimizer)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(sum(p.sum() for p in nets.parameters())).backward()
    nets["audio"][0].weight.grad[0, 0, 0, 0] = float("inf")
    scaler.unscale_(optimizer)
    balance.step(*output_of_ratio(2))
    scaler.step(optimizer)
    torch.testing.assert_close(nets.state_dict(), before, rtol=0, atol=0)


def test_a_rate_of_one_costs_nothing_and_changes_no_bit_and_none_stands_still():
    torch.manual_seed(0)
    nets = encoders()
    free, start = copy.deepcopy(nets), copy.deepcopy(nets.state_dict())
    for model in (nets, free):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        balance = MSLR(model, rates={"visual": 0.0}, optimizer=optimizer) if model is nets else None
        give_gradients(model)
        if balance:
            balance.step(*output_of_ratio(2))
        optimizer.step()
    for name, p in nets.named_parameters():
        if name.startswith("audio"):
            assert torch.equal(p, dict(free.named_parameters())[name])
        else:
            torch.testing.assert_close(p.detach(), start[name], rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["mslr", "miles"])
def test_nothing_is_read_back_from_the_device_in_a_step(name):
    nets = encoders()
    fusion = create_fusion("concat", dict.fromkeys(nets, 8), 4)
    optimizer = torch.optim.Adam(nets.parameters(), lr=0.01, fused=True)
    options = {"rates": {"audio": 0.1}} if name == "mslr" else {"fusion": fusion}
    balance = create_balancer(name, nets, optimizer=optimizer, **options)
    balance.rates["audio"] = 0.1
    out = fusion({m: nets[m](torch.randn(4, 1, 8, 8)) for m in nets})
    nn.functional.cross_entropy(out.logits, torch.arange(4)).backward()
    with counted() as counter:
        balance.step(out, torch.arange(4))
        optimizer.step()
    assert "_foreach_mul_" in counter.calls
    assert counter.host_syncs == 0


def _trained(rank, world, name):
    torch.manual_seed(0)
    nets = encoders("audio", "visual").double().eval()
    fusion = create_fusion("concat", dict.fromkeys(nets, 8), 4).double()
    model = nn.ModuleDict({"nets": nets, "fusion": fusion})

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = model

        def forward(self, inputs):
            return fusion({m: nets[m](inputs[m]) for m in nets})

    net = Net()
    wrapped = DistributedDataParallel(net) if world > 1 else net
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.02, eps=1e-3)
    options = {"rates": {"audio": 0.2}} if name == "mslr" else {"fusion": fusion, "threshold": 0.0}
    balance = create_balancer(name, nets, optimizer=optimizer, **options)
    rates = []
    for epoch in range(3):
        balance.set_epoch(epoch)
        rates.append(dict(balance.rates))
        for _ in range(2):
            inputs = {m: torch.randn(6, 1, 8, 8, dtype=torch.float64) for m in nets}
            target = torch.randint(4, (6,))
            rows = slice(rank * 6 // world, (rank + 1) * 6 // world)
            optimizer.zero_grad()
            out = wrapped({m: x[rows] for m, x in inputs.items()})
            balance.loss(out, target[rows]).backward()
            balance.step(out, target[rows])
            optimizer.step()
    return rates, balance.state_dict(), {k: v.clone() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("name", ["mslr", "miles"])
def test_two_processes_are_as_one(name):
    rates, state, weights = _trained(0, 1, name)
    assert any(rate < 1 for of in rates for rate in of.values())
    for their_rates, their_state, theirs in in_processes(2, _trained, name):
        assert (their_rates, their_state) == (rates, state)
        torch.testing.assert_close(theirs, weights, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [MSLR, MILES])
def test_an_optimizer_must_be_there(kind):
    nets = encoders()
    fusion = create_fusion("concat", dict.fromkeys(nets, 8), 4)
    balance = kind(nets, **({"fusion": fusion} if kind is MILES else {}))
    with pytest.raises(CounterpointError, match=rf"{kind.__name__}\(\.\.\., optimizer="):
        balance.step(fusion({m: torch.ones(2, 8) for m in nets}), torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_bad_input(rate):
    with pytest.raises(ConfigError, match="rates must be finite and 0 or more"):
        MSLR(encoders(), rates={"audio": rate})
    with pytest.raises(UnknownNameError, match="Did you mean 'audio'"):
        MSLR(encoders(), rates={"audo": 0.1})
