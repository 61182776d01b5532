"""CFN-SR at the paper's shapes: a training step, inference, the trunk's share of the machine, and memory.

    python benchmarks/cfn_sr.py            # both allocator settings, each in a process of its own
    python benchmarks/cfn_sr.py --rounds 9 --allocator large

MFCC network, 3-D ResNeXt-50, the cross-modal block and concatenation; Adam; batch 2 of 13 x 212 MFCCs and 30 frames of
224 x 224. "Eager" is the plain form: contiguous float32. Variants take turns in one process, medians are compared.
A training step is counted as three forward passes less the first convolution's input gradient, which nobody asks for.
Memory is that of a float32 step without optimizer: what is held for the backward pass, counted tensor by tensor, and
how much higher the process's peak lies at batch 2 than at batch 1.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from _bench import interleave, machine
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from counterpoint.allocator import use_large_allocations
from counterpoint.encoders import create_encoder, fold_batch_norms
from counterpoint.models import MultimodalModel, create_model
from counterpoint.training.precision import channels_last

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SHAPES = {"audio": (1, 13, 212), "visual": (3, 30, 224, 224)}
EAGER = "eager, contiguous, float32"
EAGER_INFERENCE = "inference, eager, contiguous, float32"
CEILINGS = {"conv float32": torch.float32, "conv bfloat16": torch.bfloat16}
CEILING_FLOPS = 2 * 16 * 56 * 56 * 256 * 256 * 9


def build(*, checkpoint: bool = False) -> MultimodalModel:
    torch.manual_seed(0)
    model = create_model("resnext50_mfcc", num_classes=8, intermediate="cross_modal", visual={"checkpoint": checkpoint})
    return model.to(DEVICE)


def draw(batch: int) -> dict[str, Tensor]:
    return {name: torch.randn(batch, *shape, device=DEVICE) for name, shape in SHAPES.items()}


def training(batch: int, *, turned: bool, bf16: bool, checkpoint: bool = False) -> Callable[[], None]:
    model, inputs = build(checkpoint=checkpoint), draw(batch)
    if turned:
        model, inputs = channels_last(model), {name: channels_last(x) for name, x in inputs.items()}
    target = torch.randint(8, (batch,), device=DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(DEVICE.type, torch.bfloat16) if bf16 else nullcontext():
            loss = F.cross_entropy(model(inputs).logits, target)
        loss.backward()
        optimizer.step()

    return step


def inference(
    batch: int, *, turned: bool, autocast: bool = False, folded: bool = False, dtype: torch.dtype
) -> Callable[[], None]:
    model, inputs = build().eval(), {name: x.to(dtype) for name, x in draw(batch).items()}
    model = (fold_batch_norms(model) if folded else model).to(dtype)
    if turned:
        model, inputs = channels_last(model), {name: channels_last(x) for name, x in inputs.items()}

    @torch.inference_mode()
    def predict() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16) if autocast else nullcontext():
            model(inputs)

    return predict


def large_convolution(dtype: torch.dtype) -> Callable[[], Tensor]:
    """3 x 3, 256 to 256 channels, channels innermost: what the machine's convolutions reach at their best."""
    conv = channels_last(nn.Conv2d(256, 256, 3, padding=1, bias=False)).to(DEVICE, dtype)
    x = channels_last(torch.randn(16, 256, 56, 56)).to(DEVICE, dtype)
    return torch.inference_mode()(lambda: conv(x))


def trunk_flops() -> tuple[int, int]:
    """Of one clip: floating point operations of the trunk forward, and of its first convolution alone."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        create_encoder("resnext50_3d").eval()(torch.zeros(1, *SHAPES["visual"]))
    counts = counter.get_flop_counts()
    first = next(sum(ops.values()) for name, ops in counts.items() if name.endswith(".conv1") and name.count(".") == 1)
    return sum(counts["Global"].values()), first


def measure(rounds: int, batch: int) -> dict[str, float]:
    f32, bf16 = torch.float32, torch.bfloat16
    variants: dict[str, Callable[[], object]] = {
        EAGER: training(batch, turned=False, bf16=False),
        "ours, float32": training(batch, turned=True, bf16=False),
        "ours, bfloat16 (default)": training(batch, turned=True, bf16=True),
        "ours, bfloat16, checkpoint": training(batch, turned=True, bf16=True, checkpoint=True),
        EAGER_INFERENCE: inference(batch, turned=False, dtype=f32),
        "inference, channels last": inference(batch, turned=True, dtype=f32),
        "inference, folded": inference(batch, turned=True, folded=True, dtype=f32),
        "inference, autocast": inference(batch, turned=True, autocast=True, dtype=f32),
        "inference, autocast, folded": inference(batch, turned=True, autocast=True, folded=True, dtype=f32),
        "inference, bfloat16, folded": inference(batch, turned=True, folded=True, dtype=bf16),
        **{name: large_convolution(dtype) for name, dtype in CEILINGS.items()},
    }
    return interleave(variants, rounds, warmup=1)


def memory(batch: int, *, checkpoint: bool) -> dict[str, float]:
    """GiB held for the backward pass, and the peak of the whole process or of the GPU."""
    model, inputs = channels_last(build(checkpoint=checkpoint)), {n: channels_last(x) for n, x in draw(batch).items()}
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers(), *inputs.values())}
    held: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model(inputs).logits.sum()
    loss.backward()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = torch.cuda.max_memory_allocated() if DEVICE.type == "cuda" else peak
    return {"held": sum(held.values()) / 2**30, "peak": peak / 2**30}


def report(allocator: str, seconds: dict[str, float], reference: dict[str, float], batch: int) -> None:
    forward, first = trunk_flops()

    def against_default(plain: str, one: float) -> str:
        return f", x{reference[plain] / one:.2f} default allocator" if plain in reference else ""

    print(f"\nallocator: {allocator}")
    for name, one in seconds.items():
        if name in CEILINGS:
            print(f"  {name:<38} {one:>8.4f} s {CEILING_FLOPS / one / 1e9:>8.0f} GFLOP/s")
            continue
        plain = EAGER_INFERENCE if name.startswith("inference") else EAGER
        work = batch * (forward if plain == EAGER_INFERENCE else 3 * forward - first)
        ceiling = seconds["conv bfloat16" if "bfloat16" in name or "autocast" in name else "conv float32"]
        rate, best = work / one, CEILING_FLOPS / ceiling
        print(
            f"  {name:<38} {one:>8.3f} s {rate / 1e9:>8.0f} GFLOP/s, {rate / best:>4.0%} of the large convolution; "
            f"x{seconds[plain] / one:.2f} same allocator{against_default(plain, one)}"
        )


def child(*arguments: object) -> list[object]:
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    answer: list[object] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--allocator", choices=("both", "default", "large"), default="both")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memory", choices=("plain", "checkpoint"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        settings = use_large_allocations() if given.allocator == "large" else {}
        words = ", ".join(f"{k}={v}" for k, v in settings.items()) or "the C library's default"
        answer = (
            memory(given.batch, checkpoint=given.memory == "checkpoint")
            if given.memory
            else measure(given.rounds, given.batch)
        )
        print(json.dumps([words, answer]))
        return
    print(machine(), f"batch {given.batch}, medians of {given.rounds} rounds taken in turn", sep="; ")
    forward, first = trunk_flops()
    print(f"trunk: {forward / 1e9:.1f} GFLOP forward per clip, of which the first convolution {first / 1e9:.1f}")
    reference: dict[str, float] = {}
    for allocator in ("default", "large") if given.allocator == "both" else (given.allocator,):
        words, seconds = child("--allocator", allocator, "--rounds", given.rounds, "--batch", given.batch)
        reference = seconds if (given.allocator, allocator) == ("both", "default") else reference
        report(words, seconds, reference, given.batch)
    print("\nmemory of a float32 step per sample, default allocator")
    for kind in ("plain", "checkpoint"):
        one, two = (child("--memory", kind, "--allocator", "default", "--batch", b)[1] for b in (1, 2))
        print(f"  {kind:<12} held {one['held']:.2f} GiB, peak {two['peak'] - one['peak']:.2f} GiB")


if __name__ == "__main__":
    main()
