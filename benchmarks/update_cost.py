"""What balancing the optimizer's step costs: a float32 training step of the default model, with and without.

    python benchmarks/update_cost.py
    python benchmarks/update_cost.py --rounds 31 --batch 32 --model resnet18_av

Every variant trains the same model under AdamW on random clips of the default spec's shapes; they take turns in one
process, and medians are compared with those of no balancer. ``on="update"`` keeps every balanced parameter from before
the step, subtracts, scales and adds again: it costs what passes over the parameters cost, whatever the batch. OGM-GE
draws noise for each beside it. The goal is 5 per cent.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from _bench import interleave, machine, set_allocator

from counterpoint.balance import create_balancer
from counterpoint.models import create_model

SHAPES = {
    "small_av": {"audio": (1, 64, 301), "visual": (1, 75, 64, 64)},
    "resnet18_av": {"audio": (1, 257, 188), "visual": (3, 1, 224, 224)},
}
VARIANTS: dict[str, tuple[str, dict[str, Any]] | None] = {
    "no balancer": None,
    "ogm on the gradient": ("ogm", {"on": "gradient"}),
    "ogm on the update": ("ogm", {"on": "update"}),
    "ogm_ge on the update": ("ogm_ge", {"on": "update"}),
    "mslr": ("mslr", {"rates": {"audio": 0.3, "visual": 0.5}}),
}


def variant(chosen: tuple[str, dict[str, Any]] | None, name: str, batch: int) -> Callable[[], None]:
    """One training step of a model of its own."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=10)
    inputs = {m: torch.randn(batch, *shape) for m, shape in SHAPES[name].items()}
    target = torch.randint(10, (batch,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    balancer = None
    if chosen is not None:
        balancer = create_balancer(chosen[0], model.encoders, optimizer=optimizer, **chosen[1])

    def step() -> None:
        optimizer.zero_grad()
        output = model(inputs)
        F.cross_entropy(output.logits, target).backward()
        if balancer is not None:
            balancer.step(output, target)
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--model", choices=SHAPES, default="small_av")
    words = parser.parse_args()
    allocator = set_allocator()
    steps = {name: variant(chosen, words.model, words.batch) for name, chosen in VARIANTS.items()}
    seconds = interleave(steps, words.rounds)
    print(f"{words.model}, batch {words.batch}, float32, AdamW; {machine()}; {allocator}")
    for name, time in seconds.items():
        ratio = time / seconds["no balancer"]
        print(f"{name:22} {1000 * time:8.1f} ms  x {ratio:.3f}")


if __name__ == "__main__":
    main()
