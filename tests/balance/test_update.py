"""Balance where the optimizer works: k times its step, whatever it makes of gradients."""

import copy
import warnings

import pytest
import torch
from torch import nn

from balance_parts import OPTIMIZERS, counted, encoders, give_gradients, output_of_ratio
from counterpoint.balance import OGM, OGMGE
from counterpoint.balance.update import steps_with_gradients

STEPS = 50


class NeedsClosure(torch.optim.SGD):
    def step(self, closure):
        closure()
        return super().step()


PROPORTIONAL = {"sgd", "momentum", "fused momentum"}


def trained(make, balancer=None, *, ratio=2.0, steps=STEPS):
    """Encoders in float64, and the length of each encoder's step in every step, from gradients that are always the same
    (weights go back after each step, so that it is the optimizer's averages alone that run on)."""
    torch.manual_seed(0)
    nets = encoders().double()
    optimizer = make(nets.parameters())
    balance = balancer(nets, optimizer) if balancer else None
    lengths = []
    start = copy.deepcopy(nets.state_dict())
    for step in range(steps):
        torch.manual_seed(step)
        give_gradients(nets)
        if balance is not None:
            k = balance.step(*output_of_ratio(ratio))["coefficient"]
        optimizer.step()
        moved = {
            m: torch.cat([(p.detach() - start[f"{m}.{name}"]).flatten() for name, p in nets[m].named_parameters()])
            for m in nets
        }
        lengths.append({m: moved[m].norm() for m in nets})
        nets.load_state_dict(start)
    return lengths, (k if balance is not None else None), nets


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("ratio", [2.0, 1.0001, 0.4])
def test_a_step_is_k_times_as_long(name, ratio):
    make = OPTIMIZERS[name]
    free, _, _ = trained(make, ratio=ratio)
    for on in ("auto", "update"):
        slowed, k, _ = trained(make, lambda n, o, on=on: OGM(n, parameters="all", on=on, optimizer=o), ratio=ratio)
        assert k.min() < 0.5
        for with_k, without in zip(slowed, free, strict=True):
            for i, m in enumerate(with_k):
                torch.testing.assert_close(with_k[m] / without[m], k[i].double(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - PROPORTIONAL))
def test_on_the_gradient_an_optimizer_that_normalises_divides_k_out_and_it_is_said(name):
    free, _, _ = trained(OPTIMIZERS[name])
    with pytest.warns(UserWarning, match=r"divides their size out again.*on='update'") as told:
        slowed, k, _ = trained(OPTIMIZERS[name], lambda n, o: OGM(n, parameters="all", on="gradient", optimizer=o))
    assert len(told) == 1
    assert k.min() < 0.1
    assert slowed[-1]["audio"] / free[-1]["audio"] > 0.9


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_an_optimizer_does_with_gradients_is_found_by_trying_it(name):
    net = nn.Linear(3, 2)
    optimizer = OPTIMIZERS[name](net.parameters())
    before = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    assert steps_with_gradients(optimizer) == (name in PROPORTIONAL)
    torch.testing.assert_close((net.state_dict(), optimizer.state_dict()), before, rtol=0, atol=0)


def test_one_that_cannot_be_tried_has_its_steps_scaled():
    net = nn.Linear(3, 2)
    assert not steps_with_gradients(NeedsClosure(net.parameters(), lr=0.1))


@pytest.mark.parametrize("on", ["auto", "gradient", "update"])
def test_sgd_under_no_name_is_warned_of(on):
    nets = encoders()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OGM(nets, on=on, optimizer=torch.optim.SGD(nets.parameters(), lr=0.1))


def test_update_and_gradient_are_one_under_plain_sgd():
    _, _, one = trained(OPTIMIZERS["sgd"], lambda n, o: OGM(n, on="gradient", optimizer=o), steps=1)
    _, _, other = trained(OPTIMIZERS["sgd"], lambda n, o: OGM(n, on="update", optimizer=o), steps=1)
    torch.testing.assert_close(one.state_dict(), other.state_dict())


def test_nothing_moves_by_a_bit_where_nobody_is_slowed():
    free = run(OPTIMIZERS["adamw"], None)
    slowed = run(OPTIMIZERS["adamw"], lambda n, o: OGM(n, alpha=0.0, on="update", optimizer=o))
    for name, value in free.items():
        assert torch.equal(value, slowed[name]), name


def run(make, balancer, *, steps=3, ratio=2.0):
    torch.manual_seed(0)
    nets = encoders()
    optimizer = make(nets.parameters())
    balance = balancer(nets, optimizer) if balancer else None
    for step in range(steps):
        torch.manual_seed(step)
        give_gradients(nets)
        if balance is not None:
            balance.step(*output_of_ratio(ratio))
        optimizer.step()
    return nets.state_dict()


def is_conv(name):
    return name.split(".")[1] in ("0", "3") and name.endswith("weight")


@pytest.mark.parametrize("noise_std", ["unscaled", "scaled"])
@pytest.mark.parametrize("noise", ["all", "slowed"])
def test_noise_is_as_large_as_the_spread_of_the_step(noise, noise_std):
    def step_of(balancer):
        torch.manual_seed(0)
        nets = nn.ModuleDict({m: nn.Sequential(nn.Conv2d(8, 64, 5), nn.Conv2d(64, 64, 3)) for m in ("audio", "visual")})
        nets = nets.double()
        optimizer = torch.optim.AdamW(nets.parameters(), lr=0.01)
        start = copy.deepcopy(nets.state_dict())
        give_gradients(nets)
        if balancer is not None:
            k = balancer(nets, optimizer).step(*output_of_ratio(2))["coefficient"]
        optimizer.step()
        return {n: p.detach() - start[n] for n, p in nets.named_parameters()}, (k if balancer else None)

    free, _ = step_of(None)
    moved, k = step_of(lambda n, o: OGMGE(n, noise=noise, noise_std=noise_std, optimizer=o))
    for name, step in moved.items():
        own = k[0 if name.startswith("audio") else 1].item()
        if not name.endswith("weight"):
            torch.testing.assert_close(step, free[name])
            continue
        added = step - own * free[name]
        expected = free[name].std() * (own if noise_std == "scaled" else 1)
        if noise == "slowed" and own == 1:
            expected = 0.0 * expected
        torch.testing.assert_close(added.std(), expected, rtol=0.05, atol=1e-9)


def test_noise_goes_on_where_it_was_after_a_resume():
    torch.manual_seed(0)
    nets = encoders()
    optimizer = torch.optim.AdamW(nets.parameters(), lr=0.01)
    balance = OGMGE(nets, seed=3, optimizer=optimizer)

    def step(nets, optimizer, balance, number):
        torch.manual_seed(number)
        give_gradients(nets)
        balance.step(*output_of_ratio(2))
        optimizer.step()

    step(nets, optimizer, balance, 1)
    saved = copy.deepcopy((nets.state_dict(), optimizer.state_dict(), balance.state_dict()))
    step(nets, optimizer, balance, 2)

    again = encoders()
    second = torch.optim.AdamW(again.parameters(), lr=0.01)
    resumed = OGMGE(again, seed=3, optimizer=second)
    again.load_state_dict(saved[0])
    second.load_state_dict(saved[1])
    resumed.load_state_dict(saved[2])
    step(again, second, resumed, 2)
    for name, value in nets.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_step_that_the_scaler_skips_moves_nothing():
    torch.manual_seed(0)
    nets = encoders()
    optimizer = torch.optim.Adam(nets.parameters(), lr=0.01)
    balance = OGMGE(nets, optimizer=optimizer)
    scaler = torch.amp.GradScaler("cpu")
    before = copy.deepcopy(nets.state_dict())
    scaler.scale(sum(p.sum() for p in nets.parameters())).backward()
    nets["audio"][0].weight.grad[0, 0, 0, 0] = float("inf")
    scaler.unscale_(optimizer)
    balance.step(*output_of_ratio(2))
    scaler.step(optimizer)
    scaler.update()
    torch.testing.assert_close(nets.state_dict(), before, rtol=0, atol=0)
    assert balance.noise_step == 0


def test_another_optimizer_takes_the_place_of_the_first():
    nets = encoders()
    first = torch.optim.Adam(nets.parameters(), lr=0.01)
    second = torch.optim.Adam(nets.parameters(), lr=0.01)
    balance = OGM(nets, on="update", optimizer=first)
    balance.attach(second)
    give_gradients(nets)
    start = copy.deepcopy(nets.state_dict())
    k = balance.step(*output_of_ratio(2))["coefficient"][0]
    first.step()
    full = nets["audio"][0].weight.detach() - start["audio.0.weight"]
    nets.load_state_dict(start)
    second.step()
    slowed = nets["audio"][0].weight.detach() - start["audio.0.weight"]
    torch.testing.assert_close(slowed, full * k.float(), rtol=1e-3, atol=1e-7)


def test_frozen_parameters_and_those_of_others_stay():
    nets = encoders()
    head = nn.Linear(8, 2)
    head.weight.grad = torch.ones_like(head.weight)
    head.bias.grad = torch.ones_like(head.bias)
    make = lambda: torch.optim.Adam([*nets.parameters(), *head.parameters()], lr=0.01)  # noqa: E731
    optimizer = make()
    balance = OGM(nets, parameters="all", on="update", optimizer=optimizer)
    give_gradients(nets)
    nets["audio"][0].weight.grad = None
    start = copy.deepcopy(nets.state_dict())
    before = head.weight.detach().clone()
    balance.step(*output_of_ratio(2))
    optimizer.step()
    assert torch.equal(nets["audio"][0].weight, start["audio.0.weight"])
    torch.testing.assert_close(head.weight.detach(), before - 0.01)


@pytest.mark.parametrize("kind", [OGM, OGMGE])
def test_nothing_is_read_back_from_the_device(kind):
    nets = encoders()
    optimizer = torch.optim.Adam(nets.parameters(), lr=0.01, fused=True)
    balance = kind(nets, optimizer=optimizer)
    give_gradients(nets)
    with counted() as counter:
        balance.step(*output_of_ratio(2))
        optimizer.step()
    assert "_foreach_add_" in counter.calls
    assert counter.host_syncs == 0
