"""A training step at CREMA-D's shapes: ours against the form of OGM-GE's release, on the same network.

    python benchmarks/train_step.py            # both allocator settings, each in a process of its own
    python benchmarks/train_step.py --rounds 15 --batch 16 --allocator large

Two ResNet-18, concatenation, SGD with momentum; sound 1 x 257 x 188, one frame of 224 x 224. "Released form" is what
the release does, written from its description: contiguous float32, scores summed in a Python loop over samples, one
spread read back to the host per gradient, and every gradient replaced by a new tensor with fresh noise. Variants take
turns in one process, medians are compared. The share of balancing is the median of the time inside `step()` over that
of its whole step.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from _bench import interleave, machine
from torch import Tensor, nn

from counterpoint.allocator import use_large_allocations
from counterpoint.balance import OGM, OGMGE
from counterpoint.fusion import FusionOutput
from counterpoint.models import create_model

ALPHA = 0.8


def released_modulation(model: nn.Module, output: FusionOutput, target: Tensor) -> None:
    """OGM-GE as its release goes about it: by sample on the host, with new gradient tensors."""
    score = {
        m: sum(F.softmax(logits, dim=1)[i][target[i]] for i in range(len(target)))
        for m, logits in output.unimodal_logits.items()
    }
    (first, second) = score
    ratio = (score[first] / score[second]).item()
    k = dict.fromkeys(score, 1.0)
    ahead = first if ratio > 1 else second
    k[ahead] = 1 - math.tanh(ALPHA * (ratio if ratio > 1 else 1 / ratio))
    for name, parameter in model.named_parameters():
        for modality in score:
            if name.startswith(f"encoders.{modality}.") and parameter.grad is not None and parameter.grad.dim() == 4:
                spread = parameter.grad.std().item() + 1e-8
                noise = torch.zeros_like(parameter.grad).normal_(0, spread)
                parameter.grad = parameter.grad * k[modality] + noise


class Variant:
    """One model with its optimizer; calling it runs one training step."""

    def __init__(
        self, balance: str | None, *, bf16: bool, channels_last: bool, batch: int, device: torch.device
    ) -> None:
        torch.manual_seed(0)
        self.model = create_model("resnet18_av", num_classes=6, fusion="concat").to(device)
        self.inputs = {
            "audio": torch.randn(batch, 1, 257, 188, device=device),
            "visual": torch.randn(batch, 3, 1, 224, 224, device=device),
        }
        self.target = torch.randint(6, (batch,), device=device)
        if channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
            self.inputs["audio"] = self.inputs["audio"].contiguous(memory_format=torch.channels_last)
            self.inputs["visual"] = self.inputs["visual"].contiguous(memory_format=torch.channels_last_3d)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
        self.autocast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
        self.balance = balance
        options = {"alpha": ALPHA}
        self.balancer = {"ogm": OGM, "ogm_ge": OGMGE}.get(balance or "", OGM)(self.model.encoders, **options)
        self.wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        self.balancing: list[float] = []

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        with self.autocast:
            output = self.model(self.inputs)
            loss = F.cross_entropy(output.logits, self.target)
        loss.backward()
        self.wait()
        start = time.perf_counter()
        if self.balance == "released":
            released_modulation(self.model, output, self.target)
        elif self.balance is not None:
            self.balancer.step(output, self.target)
        self.wait()
        self.balancing.append(time.perf_counter() - start)
        self.optimizer.step()


def measure(rounds: int, batch: int) -> dict[str, dict[str, float]]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    common = {"batch": batch, "device": device}
    variants = {
        "released form, float32": Variant("released", bf16=False, channels_last=False, **common),
        "ours, float32, contiguous": Variant("ogm_ge", bf16=False, channels_last=False, **common),
        "ours, float32": Variant("ogm_ge", bf16=False, channels_last=True, **common),
        "ours, bfloat16 (default)": Variant("ogm_ge", bf16=True, channels_last=True, **common),
        "OGM alone, float32": Variant("ogm", bf16=False, channels_last=True, **common),
        "OGM alone, bfloat16": Variant("ogm", bf16=True, channels_last=True, **common),
        "no balancing, bfloat16": Variant(None, bf16=True, channels_last=True, **common),
    }
    medians = interleave(variants, rounds)
    return {
        name: {"step": seconds, "balance": statistics.median(variants[name].balancing[-rounds:])}
        for name, seconds in medians.items()
    }


def report(allocator: str, figures: dict[str, dict[str, float]], released: float | None) -> None:
    print(f"\nallocator: {allocator}")
    print(f"  {'variant':<28} {'s/step':>8} {'balancing':>12} {'share':>7}   {'vs released form'}")
    own = figures["released form, float32"]["step"]
    for name, one in figures.items():
        share = one["balance"] / one["step"]
        against_default = "" if released is None else f", x{released / one['step']:.2f} default allocator"
        print(
            f"  {name:<28} {one['step']:>8.3f} {one['balance'] * 1e3:>9.1f} ms {share:>7.1%}   "
            f"x{own / one['step']:.2f} same allocator{against_default}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--allocator", choices=("both", "default", "large"), default="both")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        settings = use_large_allocations() if arguments.allocator == "large" else {}
        words = ", ".join(f"{k}={v}" for k, v in settings.items()) or "the C library's default"
        print(json.dumps([words, measure(arguments.rounds, arguments.batch)]))
        return
    print(machine(), f"batch {arguments.batch}, medians of {arguments.rounds} steps taken in turn", sep="; ")
    released = None
    for allocator in ("default", "large") if arguments.allocator == "both" else (arguments.allocator,):
        command = [sys.executable, __file__, "--child", "--allocator", allocator]
        command += ["--rounds", str(arguments.rounds), "--batch", str(arguments.batch)]
        words, figures = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        if arguments.allocator == "both" and allocator == "default":
            released = figures["released form, float32"]["step"]
        report(words, figures, released)


if __name__ == "__main__":
    main()
