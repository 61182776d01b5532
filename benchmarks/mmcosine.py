"""MMCosine's head against a linear one, forward and backward with the loss, at 6, 309 and 5994 classes.

    python benchmarks/mmcosine.py [--threads N] [--repeats N] [--device cuda] [--batch N] [--classes C ...]

The reference is what most code has: one linear layer over the concatenated features of both modalities. "Naive" is
Eq. (3) of MMCosine as it is written: normalise, multiply, scale, sum.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from _bench import interleave, machine, report, set_allocator
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.heads import Cosine, Head, Linear

WIDTH, SCALE = 512, 10.0
NAMES = ("audio", "visual")


class Plain(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(len(NAMES) * WIDTH, classes)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        return self.linear(torch.cat(list(features.values()), 1))


class Naive(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = nn.ParameterDict({name: nn.Parameter(torch.randn(classes, WIDTH)) for name in NAMES})

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        cosines = [F.normalize(x, dim=1) @ F.normalize(self.weight[name], dim=1).T for name, x in features.items()]
        return SCALE * cosines[0] + SCALE * cosines[1]


class Joint(nn.Module):
    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        first, second = self.head(features).values()
        return first + second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--classes", type=int, nargs="+", default=[6, 309, 5994])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{machine()}; {set_allocator()}")
    for classes in arguments.classes:
        dims = dict.fromkeys(NAMES, WIDTH)
        modules = {
            "linear over the concatenation": Plain(classes),
            "linear head": Joint(Linear(dims, classes)),
            "cosine, naive": Naive(classes),
            "cosine head": Joint(Cosine(dims, classes, scale=SCALE)),
        }
        device = arguments.device
        features = {m: torch.randn(arguments.batch, WIDTH, device=device, requires_grad=True) for m in NAMES}
        target = torch.randint(classes, (arguments.batch,), device=device)

        def step(module: nn.Module, features=features, target=target) -> Callable[[], None]:
            module.to(target.device)

            def run() -> None:
                for tensor in (*features.values(), *module.parameters()):
                    tensor.grad = None
                F.cross_entropy(module(features), target).backward()

            return run

        repeats = arguments.repeats * max(1, 2000 // classes)
        medians = interleave({name: step(module) for name, module in modules.items()}, repeats, warmup=3)
        report(f"batch {arguments.batch}, 2 x {WIDTH} features, {classes} classes", medians, "cosine, naive")
        for reference in ("linear over the concatenation", "linear head"):
            print(f"  cosine head against {reference}: {medians['cosine head'] / medians[reference]:.2f} times")


if __name__ == "__main__":
    main()
