import math

import numpy as np
import pytest
import torch
from torch import nn

from balance_parts import counted, encoders, give_gradients, output_of_ratio, random_output
from counterpoint.balance import OGM, OGMGE, create_balancer
from counterpoint.errors import ConfigError

K = 1 - math.tanh(0.8 * 2)


def large(names=("audio", "visual")):
    """Encoders with one convolution large enough to judge the noise on it by its moments."""
    return nn.ModuleDict({m: nn.Sequential(nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128)) for m in names})


def stepped(balancer_of, nets=None, ratio=2.0):
    """`(gradient before, gradient after)` of both convolutions."""
    torch.manual_seed(0)
    nets = nets or large()
    before = give_gradients(nets)
    for name in before:  # neither centred nor of unit spread
        p = nets.get_parameter(name)
        p.grad.mul_(1e-3 if name.startswith("audio") else 0.2).add_(1e-3)
    before = {name: p.grad.clone() for name, p in nets.named_parameters()}
    balancer_of(nets).step(*output_of_ratio(ratio))
    return {m: (before[f"{m}.0.weight"].double(), nets[m][0].weight.grad.double()) for m in nets}


@pytest.mark.parametrize("ratio", [2.0, 0.5])
def test_noise_has_the_spread_of_the_unscaled_gradient_on_both_modalities(ratio):
    k = {"audio": K, "visual": 1.0} if ratio > 1 else {"audio": 1.0, "visual": K}
    for m, (before, after) in stepped(OGMGE, ratio=ratio).items():
        noise = after - k[m] * before
        spread = np.std(before.numpy(), ddof=1) + 1e-8
        count = noise.numel()
        assert abs(noise.mean()) < 5 * spread / math.sqrt(count)
        assert noise.std().item() == pytest.approx(spread, rel=5 / math.sqrt(2 * count))
        shape = ((noise - noise.mean()) / noise.std()).pow(4).mean()
        assert shape.item() == pytest.approx(3, abs=5 * math.sqrt(96 / count))  # a normal variable's kurtosis
        correlation = np.corrcoef(noise.flatten(), before.flatten())[0, 1]
        assert abs(correlation) < 5 / math.sqrt(count)


def test_noise_only_on_the_slowed_modality():
    gradients = stepped(lambda nets: OGMGE(nets, noise="slowed"))
    before, after = gradients["visual"]
    assert torch.equal(before, after)
    before, after = gradients["audio"]
    assert (after - K * before).std().item() == pytest.approx(before.std().item(), rel=0.02)


def test_noise_of_the_scaled_spread():
    for m, (before, after) in stepped(lambda nets: OGMGE(nets, noise_std="scaled")).items():
        k = K if m == "audio" else 1.0
        assert (after - k * before).std().item() == pytest.approx(k * before.std().item(), rel=0.02)


def test_noises_of_tensors_steps_and_seeds_are_unrelated():
    def noise(seed, steps):
        nets = large()
        balancer = OGMGE(nets, seed=seed)
        for _ in range(steps):
            for p in nets.parameters():
                p.grad = torch.zeros_like(p)
                p.grad.view(-1)[0] = 1.0
            balancer.step(*output_of_ratio(2))
        return [nets[m][0].weight.grad.flatten()[1:] for m in nets]

    noises = [*noise(0, 1), *noise(0, 2), *noise(1, 1)]
    correlation = np.corrcoef(torch.stack(noises).numpy()) - np.eye(len(noises))
    assert np.abs(correlation).max() < 5 / math.sqrt(noises[0].numel())


def test_only_convolutions_gradients_stay_in_place_and_outside_the_window_nothing_moves():
    nets = encoders()
    before = give_gradients(nets)
    places = {name: p.grad.data_ptr() for name, p in nets.named_parameters()}
    balancer = OGMGE(nets, epochs=(1, 1))
    balancer.step(*output_of_ratio(2))
    assert all(torch.equal(p.grad, before[name]) for name, p in nets.named_parameters())
    balancer.set_epoch(1)
    balancer.step(*output_of_ratio(2))
    for name, p in nets.named_parameters():
        assert p.grad.data_ptr() == places[name]
        is_conv = name.split(".")[1] in ("0", "3") and name.endswith("weight")
        assert torch.equal(p.grad, before[name]) != is_conv, name


def test_ratios_and_coefficients_are_those_of_ogm():
    out, target = random_output("audio", "visual", "text")
    nets = encoders("audio", "visual", "text")
    give_gradients(nets)
    plain = OGM(nets).step(out, target)
    with_noise = OGMGE(nets).step(out, target)
    for name in plain:
        assert torch.equal(plain[name], with_noise[name])


def run(balancer, nets, steps):
    gradients = []
    for step in range(steps):
        give_gradients(nets, seed=balancer.noise_step)
        balancer.step(*output_of_ratio(2))
        gradients.append([p.grad.clone() for p in nets.parameters()])
        assert step < 10
    return gradients


def test_state_dict_reproduces_the_noise():
    nets = encoders()
    balancer = OGMGE(nets, seed=3)
    balancer.set_epoch(4)
    run(balancer, nets, 2)
    state = balancer.state_dict()
    onward = run(balancer, nets, 3)
    fresh = OGMGE(nets)  # of another seed
    fresh.load_state_dict(state)
    again = run(fresh, nets, 3)
    assert fresh.epoch == 4
    for a, b in zip(onward, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    with pytest.raises(ConfigError, match="noise_step"):
        fresh.load_state_dict(OGM(nets).state_dict())


def test_noise_leaves_and_heeds_no_global_generator():
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        nets = encoders()
        torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(run(OGMGE(nets), nets, 1))
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert all(torch.equal(a, b) for a, b in zip(results[0][0], results[1][0], strict=True))


def test_no_host_sync_and_calls_do_not_grow_with_the_batch(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # threads' calls would not be counted
    nets = encoders()
    calls = []
    for batch in (2, 64):
        out, target = random_output("audio", "visual", batch=batch)
        give_gradients(nets)
        with counted() as counter:
            OGMGE(nets).step(out, target)
        assert counter.host_syncs == 0
        calls.append(len(counter.calls))
    assert calls[0] == calls[1]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_layouts_and_precisions(layout, dtype):
    nets = large().to(dtype=dtype, memory_format=layout)
    for m, (before, after) in stepped(OGMGE, nets).items():
        assert nets[m][0].weight.grad.dtype == dtype
        assert nets[m][0].weight.grad.is_contiguous(memory_format=layout)
        noise = after - (K if m == "audio" else 1) * before
        assert noise.std().item() == pytest.approx(before.std().item(), rel=0.02)


def test_scalars_and_constant_gradients_stay_finite():
    class Gain(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))
            self.bias = nn.Parameter(torch.ones(1))
            self.weight = nn.Parameter(torch.ones(70, 70))

    nets = nn.ModuleDict({"audio": Gain(), "visual": Gain()})
    for value in (0.0, 1.0, 1e4):
        for p in nets.parameters():
            p.grad = torch.full_like(p, value)
        OGMGE(nets, parameters="all").step(*output_of_ratio(2))
        for name, p in nets.named_parameters():
            k = K if name.startswith("audio") else 1.0
            torch.testing.assert_close(p.grad, torch.full_like(p, k * value), rtol=3e-3, atol=1e-6)


def test_options():
    balancer = create_balancer("ogm_ge", encoders(), noise="slowed", noise_std="scaled", seed=5)
    assert (balancer.noise, balancer.noise_std, balancer.seed) == ("slowed", "scaled", 5)
    with pytest.raises(ConfigError, match="mean 'slowed'"):
        OGMGE(encoders(), noise="slow")
    with pytest.raises(ConfigError, match="mean 'scaled'"):
        OGMGE(encoders(), noise_std="scale")
    with pytest.raises(ConfigError, match="seed=-1"):
        OGMGE(encoders(), seed=-1)
