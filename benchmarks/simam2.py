"""SimAM², Eqs. (4), (7) and (8), forward and backward: a plain chain, our equations by autograd, and by our gradient.

    python benchmarks/simam2.py [--threads N] [--repeats N] [--device cuda]

The bound is what moving the data once would take: 8 tensors in and out (forward 2 in, 1 out; backward 3 in, 2 out), as
four clones of one stream.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch
from _bench import interleave, machine, report, set_allocator
from torch import Tensor

from counterpoint.functional import simam2, simam2_energy, superpose


def energy(x: Tensor, dim: tuple[int, ...], lam: float) -> Tensor:
    mean, variance = x.mean(dim, keepdim=True), x.var(dim, keepdim=True, correction=0)
    return 4 * (variance + lam) / ((x - mean) ** 2 + 2 * variance + 2 * lam)


def chain(a: Tensor, b: Tensor, zeta: float | Tensor, dim: tuple[int, ...], r: float) -> Tensor:
    u = zeta * a + (1 - zeta) * b
    e_u, e_a, e_b = energy(u, dim, 1e-6), energy(a, dim, 1e-12), energy(b, dim, 1e-12)
    e = e_u - zeta**2 * e_a - (1 - zeta) ** 2 * e_b + (1 - r) * e_u
    return torch.sigmoid(e) * u


def ours(a: Tensor, b: Tensor, zeta: float | Tensor, dim: tuple[int, ...], r: float) -> Tensor:
    return simam2([a, b], [zeta, 1 - zeta], r, dim=dim)


def equations(a: Tensor, b: Tensor, zeta: float | Tensor, dim: tuple[int, ...], r: float) -> Tensor:
    weights = [zeta, 1 - zeta]
    fused = superpose([a, b], weights)
    return torch.sigmoid(simam2_energy([a, b], fused, weights, r, dim=dim)) * fused


def plain(a: Tensor, b: Tensor, zeta: float | Tensor, dim: tuple[int, ...], r: float) -> Tensor:
    return zeta * a + (1 - zeta) * b


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    print(f"{machine()}; {set_allocator()}")
    r = math.tanh(1)
    for shape, dim in (((256, 512), (-1,)), ((32, 512, 14, 14), (-2, -1))):
        for learned in (False, True):
            a, b = (torch.randn(shape, device=device, requires_grad=True) for _ in range(2))
            toward = torch.randn(shape, device=device)
            gate = torch.rand((*shape[:2], *[1] * (len(shape) - 2)), device=device, requires_grad=True)
            zeta: float | Tensor = gate if learned else 0.5

            def step(function: Callable[..., Tensor], values=(a, b, zeta, toward, dim)) -> Callable[[], None]:
                a, b, zeta, toward, dim = values

                def run() -> None:
                    for tensor in (a, b, zeta):
                        if isinstance(tensor, Tensor):
                            tensor.grad = None
                    function(a, b, zeta, dim, r).backward(toward)

                return run

            torch._dynamo.reset()
            variants = {
                "chain": step(chain),
                "chain, compiled": step(torch.compile(chain, fullgraph=True, dynamic=False)),
                "our equations, by autograd": step(equations),
                "our equations, compiled": step(torch.compile(equations, fullgraph=True, dynamic=False)),
                "ours": step(ours),
                "ours, compiled": step(torch.compile(ours, fullgraph=True, dynamic=False)),
                "plain weighted sum": step(plain),
                "bound: four clones": lambda stream=toward: [stream.clone() for _ in range(4)],
            }
            repeats = arguments.repeats * (1 if len(shape) == 4 else 10)
            medians = interleave(variants, repeats, warmup=3)
            report(f"{list(shape)}, zeta {'learned per channel' if learned else '0.5'}", medians, "chain")


if __name__ == "__main__":
    main()
