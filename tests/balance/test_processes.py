"""Under two processes the update is that of one process on the joined batch."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from balance_parts import output
from counterpoint.balance import create_balancer
from counterpoint.fusion import create_fusion
from processes import in_processes

WORLD, BATCH = 2, 6


def encoder():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 5))


class Net(nn.Module):
    def __init__(self, fusion):
        super().__init__()
        self.encoders = nn.ModuleDict({m: encoder() for m in ("audio", "visual")})
        self.heads = None
        if fusion is None:
            self.heads = nn.ModuleDict({m: nn.Linear(5, 4) for m in self.encoders})
        else:
            self.fusion = create_fusion(fusion[0], dict.fromkeys(self.encoders, 5), 4, **fusion[1])

    def forward(self, inputs):
        features = {m: net(inputs[m]) for m, net in self.encoders.items()}
        if self.heads is None:
            return self.fusion(features)
        return output({m: self.heads[m](x) * (4 if m == "audio" else 1) for m, x in features.items()})


OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.2, momentum=0.9),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.02, eps=1e-3),  # rounding stays rounding
}


def trained(rank, world, name, options, fusion, optimizer="sgd"):
    """Parameters, buffers and ratios after three steps on this process's rows of each batch."""
    torch.manual_seed(0)
    net = Net(fusion).double()
    batches = [
        ({m: torch.randn(BATCH, 1, 6, 6, dtype=torch.float64) for m in net.encoders}, torch.randint(4, (BATCH,)))
        for _ in range(3)
    ]
    torch.manual_seed(100 + rank)  # global generators differ between processes; nothing may hang on them
    model = DistributedDataParallel(net) if world > 1 else net
    optimizer = OPTIMIZERS[optimizer](net.parameters())
    balancer = create_balancer(name, net.encoders, **options)
    balancer.attach(optimizer)
    rows = slice(rank * BATCH // world, (rank + 1) * BATCH // world)
    records = []
    for inputs, target in batches:
        out = model({m: x[rows] for m, x in inputs.items()})
        optimizer.zero_grad()
        balancer.loss(out, target[rows]).backward()
        records.append(balancer.step(out, target[rows]))
        optimizer.step()
    return {k: v.clone() for k, v in net.state_dict().items()}, records


def check(name, options, fusion=None, optimizer="sgd"):
    alone, records = trained(0, 1, name, options, fusion, optimizer)
    assert any(r["coefficient"].min() < 1 for r in records)
    first, second = in_processes(WORLD, trained, name, options, fusion, optimizer)
    for state, their_records in (first, second):
        torch.testing.assert_close(state, alone, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(their_records, records, rtol=1e-9, atol=1e-12)
    for key in alone:
        assert torch.equal(first[0][key], second[0][key])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["ogm", "ogm_ge"])
def test_decoupled_ratio(name, optimizer):
    check(name, {"parameters": "conv"}, optimizer=optimizer)


@pytest.mark.parametrize("name", ["ogm", "ogm_ge"])
def test_decoupling_free_ratio_with_learned_simam2(name):
    check(name, {"ratio": "zeta", "parameters": "all"}, ("sum", {"attention": "simam2", "zeta": "learned"}))


@pytest.mark.parametrize("fusion", ["sum", "film"])
def test_gradients_through_the_spread_over_processes(fusion):
    options = {"attention": "simam2", "zeta": "learned", "attention_options": {"detach_r": False}}
    check("ogm", {"ratio": "zeta"}, (fusion, options))


def _uneven(rank, world):
    torch.manual_seed(0)
    net = Net(None).double()
    inputs = {m: torch.randn(5, 1, 6, 6, dtype=torch.float64) for m in net.encoders}
    target = torch.randint(4, (5,))
    rows = slice(0, 5) if world == 1 else (slice(0, 3), slice(3, 5))[rank]
    out = net({m: x[rows] for m, x in inputs.items()})
    out.logits.sum().backward()
    return create_balancer("ogm", net.encoders).step(out, target[rows])


def test_ratios_of_batches_of_unequal_size():
    alone = _uneven(0, 1)
    for record in in_processes(2, _uneven):
        torch.testing.assert_close(record, alone)
