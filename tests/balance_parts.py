"""Small encoders and outputs that the tests of `balance` share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from counterpoint.balance import create_balancer
from counterpoint.fusion import create_fusion
from counterpoint.fusion.output import FusionOutput


class Sign(torch.optim.Optimizer):
    """Steps by the sign of an average, as Lion does; decays weights beside it."""

    def __init__(self, parameters, lr=1e-3, weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                direction = average.lerp(p.grad, 0.1).sign()
                average.lerp_(p.grad, 0.01)
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction, alpha=group["lr"])


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.01),
    "fused momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.05),
    "fused adamw": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "sign": lambda p: Sign(p, lr=0.01, weight_decay=0.1),
}
"""Of every kind that steps differently on a gradient of another size."""


def encoder(channels: int = 1) -> nn.Sequential:
    """A convolutional encoder whose gradients are of several sizes; `encoder(...)(x)` is `(B, 8)`."""
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 8)
    )


def encoders(*names: str) -> nn.ModuleDict:
    return nn.ModuleDict({name: encoder() for name in names or ("audio", "visual")})


def output(logits: dict[str, Tensor], weights: dict[str, Tensor] | None = None) -> FusionOutput:
    joint = sum(logits.values())
    return FusionOutput(logits=joint, unimodal_logits=logits, fused=joint, weights=weights)


def output_of_ratio(ratio: float, batch: int = 4) -> tuple[FusionOutput, Tensor]:
    """An output whose first modality gives the right class `ratio` times the probability that the second gives."""
    low = min(0.2, 0.2 / ratio)
    probabilities = {"audio": low * ratio, "visual": low}
    logits = {
        m: torch.tensor([[p, 1 - p]], dtype=torch.float64).log().repeat(batch, 1) for m, p in probabilities.items()
    }
    return output(logits), torch.zeros(batch, dtype=torch.long)


def random_output(*names: str, batch: int = 5, classes: int = 4, seed: int = 0) -> tuple[FusionOutput, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = {m: torch.randn(batch, classes, generator=generator, dtype=torch.float64) for m in names}
    weights = torch.rand(len(names), batch, 3, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum(0)
    target = torch.randint(classes, (batch,), generator=generator)
    return output(logits, dict(zip(names, weights, strict=True))), target


def give_gradients(module: nn.Module, seed: int = 1) -> dict[str, Tensor]:
    """A random gradient for every parameter, laid out like it; returns copies by name."""
    generator = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        values = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        p.grad = torch.empty_like(p).copy_(values)
    return {name: p.grad.clone() for name, p in module.named_parameters()}


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.calls.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))

    @property
    def host_syncs(self) -> int:
        """Calls that make the host wait for a device."""
        return sum(name in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal") for name in self.calls)


@contextmanager
def counted() -> Iterator[_Counter]:
    """Counts the ATen calls of this thread."""
    with _Counter() as counter:
        yield counter


def trained_on_rows(rank, world, name, *, steps, before=lambda balance, step: None, **options):
    """The weights after some steps of a balancer with a loss of its own, each process on its share of six clips."""
    torch.manual_seed(0)
    nets = encoders("audio", "visual").double().eval()
    fusion = create_fusion("concat", {"audio": 8, "visual": 8}, 4).double()
    balance = create_balancer(name, nets, fusion=fusion, **options)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.nets, self.fusion, self.parts = nets, fusion, balance.parts.double()

        def forward(self, inputs, target):
            return balance.loss(self.fusion({m: self.nets[m](inputs[m]) for m in self.nets}), target)

    model = Net()
    wrapped = DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        before(balance, step)
        inputs = {m: torch.randn(6, 1, 8, 8, dtype=torch.float64) for m in nets}
        target = torch.randint(4, (6,))
        rows = slice(rank * 6 // world, (rank + 1) * 6 // world)
        optimizer.zero_grad()
        wrapped({m: x[rows] for m, x in inputs.items()}, target[rows]).backward()
        optimizer.step()
    return {k: v.clone() for k, v in model.state_dict().items()}
