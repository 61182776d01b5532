"""Localisers at the sizes of AVE: parameters, a training step, inference with bilinear pooling folded, long clips.

    python benchmarks/localise.py            # both allocator settings, each in a process of its own
    python benchmarks/localise.py --rounds 7 --allocator large --only steps inference

Features as the papers have them: 10 segments of 7 x 7 x 512 (VGG-19) and 128 (VGGish), 28 classes; a step is loss,
gradients, clipping and Adam, with dropout. The reference is the same network in float64, in which BMFN's released code
trains, its bilinear pooling not folded. Variants take turns in one process, medians are compared. For long clips (batch
1, float32) each size has a process of its own, and memory is how far its peak lies above the network and the clip; that
of a step holds all gradients and Adam's state, three times the network.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from _bench import interleave, machine, peak_mib, report
from torch import Tensor

from counterpoint.allocator import use_large_allocations
from counterpoint.localise import Localiser, LocaliserOutput, create_localiser, list_localisers

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DIMS, CLASSES, GRID = {"visual": 512, "audio": 128}, 28, (7, 7)
RELEASED = {"bmfn, as released": "42,699,167 registered, 26,768,671 used"}  # by the public code, where that was counted
NETWORKS: dict[str, dict[str, Any]] = {
    "bmfn": {},
    "bmfn, as released": {"variant": "released"},
    "cmran": {},
    "psp": {},
}
GROWING, SEGMENTS = ("bmfn", "cmran", "psp", "avel"), (10, 100, 1000)
UNFOLDED = "float64, not folded"
PARTS, SUPERVISIONS = ("parameters", "steps", "inference", "growth"), ("fully", "weakly")


def build(name: str, **options: Any) -> Localiser:
    torch.manual_seed(0)
    network, *_ = name.split(",")
    return create_localiser(network, DIMS, CLASSES, **options).to(DEVICE)


def draw(batch: int, segments: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    torch.manual_seed(1)
    maps = torch.randn(batch, segments, *GRID, DIMS["visual"], device=DEVICE).relu()
    return {"visual": maps.to(dtype), "audio": torch.randn(batch, segments, DIMS["audio"], device=DEVICE).to(dtype)}


def training(net: Localiser, inputs: dict[str, Tensor], *, bf16: bool = False) -> Callable[[], None]:
    target = torch.randint(CLASSES + 1, inputs["audio"].shape[:2], device=DEVICE)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(DEVICE.type, torch.bfloat16) if bf16 else nullcontext():
            loss = net.loss(net(inputs), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        optimizer.step()

    return step


def inference(net: Localiser, inputs: dict[str, Tensor], *, bf16: bool = False) -> Callable[[], LocaliserOutput]:
    net = net.eval()

    @torch.inference_mode()
    def predict() -> LocaliserOutput:
        with torch.autocast(DEVICE.type, torch.bfloat16) if bf16 else nullcontext():
            output: LocaliserOutput = net(inputs)
        return output

    return predict


def steps(rounds: int, batch: int) -> dict[str, dict[str, float]]:
    """Per network the median seconds of a training step of each variant."""
    inputs, wide = draw(batch, 10), draw(batch, 10, torch.float64)
    medians = {}
    for name, options in NETWORKS.items():
        unfolded = {"fold": False} if name.startswith("bmfn") else {}
        variants: dict[str, Callable[[], object]] = {
            "float64": training(build(name, **options, **unfolded).double(), wide),
            "float32": training(build(name, **options), inputs),
            "bfloat16 autocast": training(build(name, **options), inputs, bf16=True),
        }
        medians[name] = interleave(variants, rounds, warmup=1)
    return medians


def folding(rounds: int, batch: int) -> dict[str, dict[str, float]]:
    """BMFN's inference: median seconds, and the largest difference from float64 as a share of the largest score."""
    inputs, wide = draw(batch, 10), draw(batch, 10, torch.float64)
    predictors = {
        UNFOLDED: inference(build("bmfn", fold=False).double(), wide),
        "float64, folded": inference(build("bmfn").double(), wide),
        "float32, not folded": inference(build("bmfn", fold=False), inputs),
        "float32, folded": inference(build("bmfn"), inputs),
        "bfloat16 autocast, folded": inference(build("bmfn"), inputs, bf16=True),
    }
    outputs = {name: predict() for name, predict in predictors.items()}

    def apart(one: LocaliserOutput, other: LocaliserOutput) -> float:
        pairs = ((one.event, other.event), (one.event_class, other.event_class))
        return max(float((x.double() - y.double()).abs().max() / y.abs().max()) for x, y in pairs)

    return {
        "seconds": interleave(dict(predictors), rounds, warmup=1),
        "apart": {name: apart(output, outputs[UNFOLDED]) for name, output in outputs.items()},
        "float32": {"apart": apart(outputs["float32, folded"], outputs["float32, not folded"])},
    }


class Peak:
    """Memory in MiB above what was held when this was made, at its highest since then."""

    def __init__(self) -> None:
        if DEVICE.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        elif sys.platform.startswith("linux"):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
        self.before = self.now()

    def now(self) -> float:
        if DEVICE.type == "cuda":
            return torch.cuda.max_memory_allocated() / 2**20
        return peak_mib()

    def __call__(self) -> float:
        return self.now() - self.before


def growth(name: str, segments: int, repeats: int = 3) -> dict[str, float]:
    """Seconds and MiB of a forward pass in evaluation and of a training step, for one clip."""
    net, inputs = build(name), draw(1, segments)
    figures: dict[str, float] = {}

    peak = Peak()

    def timed(kind: str, run: Callable[[], object]) -> None:
        run()
        figures[f"{kind} MiB"] = peak()
        figures[f"{kind} s"] = interleave({kind: run}, repeats, warmup=0)[kind]

    timed("forward", inference(net, inputs))
    timed("step", training(net.train(), inputs))
    return figures


def print_parameters() -> None:
    rows = {name: (name, {}) for name in list_localisers()} | {name: (name, o) for name, o in NETWORKS.items() if o}
    print(f"\nparameters at widths {DIMS}, {CLASSES} classes; n/a: the network has no such supervision")
    print(f"  {'network':<20} {'fully':>12} {'weakly':>12}   public code, fully")
    for label, (name, options) in sorted(rows.items()):
        nets = [build(name, supervision=kind, **options) if kind in known(name) else None for kind in SUPERVISIONS]
        counts = ["n/a" if net is None else f"{sum(p.numel() for p in net.parameters()):,}" for net in nets]
        print(f"  {label:<20} {counts[0]:>12} {counts[1]:>12}   {RELEASED.get(label, '')}".rstrip())


def known(name: str) -> Collection[str]:
    return build(name).losses


def print_steps(figures: dict[str, dict[str, float]]) -> None:
    for name, medians in figures.items():
        report(f"  {name}, a training step", medians, "float64")


def print_folding(figures: dict[str, dict[str, float]]) -> None:
    report("  bmfn, inference", figures["seconds"], UNFOLDED)
    print(f"  largest difference from {UNFOLDED}, as a share of the largest score")
    for name, apart in figures["apart"].items():
        print(f"    {name:<32} {apart:>8.1e}")
    print(f"    {'folded from not folded, float32':<32} {figures['float32']['apart']:>8.1e}")


def child(*arguments: object) -> tuple[str, dict[str, Any]]:
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    words, answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return words, answer


def run_child(given: argparse.Namespace) -> None:
    settings = use_large_allocations() if given.allocator == "large" else {}
    words = ", ".join(f"{name}={value}" for name, value in settings.items()) or "the C library's default"
    measured = {
        "steps": lambda: steps(given.rounds, given.batch),
        "inference": lambda: folding(given.rounds, given.batch),
        "growth": lambda: growth(given.network, given.segments),
    }
    print(json.dumps([words, measured[given.only[0]]()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--allocator", choices=("both", "default", "large"), default="both")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--segments", type=int, nargs="+", default=SEGMENTS, help="of the long clips")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--network", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        given.segments = given.segments[0]
        run_child(given)
        return
    print(machine(), f"batch {given.batch}, medians of {given.rounds} rounds taken in turn", sep="; ")
    if "parameters" in given.only:
        print_parameters()
    allocators = ("default", "large") if given.allocator == "both" else (given.allocator,)
    for part, show in (("steps", print_steps), ("inference", print_folding)):
        for allocator in allocators if part in given.only else ():
            sizes = ("--rounds", given.rounds, "--batch", given.batch)
            words, figures = child("--only", part, "--allocator", allocator, *sizes)
            print(f"\n{part}; allocator: {words}")
            show(figures)
    if "growth" not in given.only:
        return
    for name in GROWING:
        for segments in given.segments:
            arguments = ("--only", "growth", "--allocator", allocators[-1], "--network", name, "--segments", segments)
            words, one = child(*arguments)
            if (name, segments) == (GROWING[0], given.segments[0]):
                print(f"\none clip as it grows, float32; allocator: {words}")
                print(f"  {'network':<8} {'segments':>8} {'forward':>20} {'training step':>24}")
            print(
                f"  {name:<8} {segments:>8} {one['forward s']:>9.3f} s {one['forward MiB']:>5.0f} MiB "
                f"{one['step s']:>12.3f} s {one['step MiB']:>6.0f} MiB"
            )


if __name__ == "__main__":
    main()
