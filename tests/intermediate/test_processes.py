"""Under two processes the update of encoders that act on each other is that of one process on the joined batch."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from counterpoint.balance import create_balancer
from counterpoint.fusion import Concat
from counterpoint.intermediate import create_intermediate
from counterpoint.models import MultimodalModel
from processes import in_processes

WORLD, BATCH, CLASSES = 2, 8, 4
CHANNELS = {"audio": 4, "visual": 6}
WITHOUT_DROPOUT = {  # it draws other numbers for each process's share of a batch
    "cross_modal": {"attention_options": {"layers": 1, "dropout": 0.0, "token_dropout": 0.0}},
    "msaf": {"block_dropout": 0.0},
}


class Encoder(nn.Module):
    """In stages, as the library's are."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, channels, 3), nn.Conv2d(channels, 5, 2)

    def check_input(self, x):
        assert x.ndim == 4

    def stages(self):
        return {"first": lambda x: torch.tanh(self.first(x)), "second": self.second}

    def pool(self, maps):
        return maps.mean((2, 3))


def trained(rank, world, name, running):
    """Parameters and buffers after three balanced steps on this process's rows of each batch."""
    torch.manual_seed(0)
    part = create_intermediate(name, CHANNELS, **WITHOUT_DROPOUT.get(name, {}))
    encoders = {m: Encoder(c) for m, c in CHANNELS.items()}
    fusion = Concat(dict.fromkeys(CHANNELS, 5), CLASSES)
    net = MultimodalModel(encoders, fusion, points=[(dict.fromkeys(CHANNELS, "first"), part)]).double()
    if running:
        part.norm.eval()
    batches = [
        ({m: torch.randn(BATCH, 1, 6, 6, dtype=torch.float64) for m in CHANNELS}, torch.randint(CLASSES, (BATCH,)))
        for _ in range(3)
    ]
    torch.manual_seed(100 + rank)  # global generators differ between processes; nothing may hang on them
    model = DistributedDataParallel(net) if world > 1 else net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9)
    balancer = create_balancer("ogm_ge", net.encoders)
    rows = slice(rank * BATCH // world, (rank + 1) * BATCH // world)
    for inputs, target in batches:
        out = model({m: x[rows] for m, x in inputs.items()})
        optimizer.zero_grad()
        balancer.loss(out, target[rows]).backward()
        balancer.step(out, target[rows])
        optimizer.step()
    return {k: v.clone() for k, v in net.state_dict().items()}


@pytest.mark.parametrize(("name", "running"), [("cross_modal", False), ("mmtm", False), ("msaf", True)])
def test_the_update_is_that_of_the_joined_batch(name, running):
    alone = trained(0, 1, name, running)
    for state in in_processes(WORLD, trained, name, running):
        torch.testing.assert_close(state, alone, rtol=1e-9, atol=1e-12)


def test_the_batch_norm_of_msaf_is_of_one_process():
    """As the encoders' are: every process normalises its own share of the batch, and all take the same step."""
    alone = trained(0, 1, "msaf", False)
    first, second = in_processes(WORLD, trained, "msaf", False)
    parameters = [k for k in alone if "running" not in k and "tracked" not in k]
    assert all(torch.equal(first[k], second[k]) for k in parameters)
    assert not torch.allclose(first["intermediate.0.joint.weight"], alone["intermediate.0.joint.weight"], rtol=1e-6)
