"""EER and minDCF of verification trials against scikit-learn's ``roc_curve``: seconds, memory, and differences.

    python benchmarks/verification.py [--trials N ...] [--repeats N]

37,720 trials are VoxCeleb1's original list; 10 million are what larger lists come to. The reference is the usual route:
``roc_curve``, then the EER where FNR and FPR meet and the lowest cost over its points. On AMD's Zen 4 NumPy's AVX-512
sort is several times slower than its AVX2 one; ``NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_SKX AVX512_ICL"`` chooses the
latter, and the head of the output says whether it was set.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from functools import partial

import numpy as np
import torch
from _bench import interleave, machine, report, set_allocator
from sklearn.metrics import roc_curve

from counterpoint.metrics import error_curve

MIB = 2**20


def draw(trials: int, case: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(trials, generator=generator) < 0.5
    scores = (torch.randn(trials, generator=generator) + 2.0 * target) / 10
    return (scores * 100).round() / 100 if case == "ties" else scores, target


def ours(scores: torch.Tensor, target: torch.Tensor) -> tuple[float, float]:
    curve = error_curve(scores, target)
    return curve.eer().value, curve.min_dcf().value


def reference(scores: torch.Tensor, target: torch.Tensor) -> tuple[float, float]:
    fpr, tpr, _ = roc_curve(target.numpy(), scores.numpy())
    fnr = 1 - tpr
    after = int(np.argmax(fpr >= fnr))
    before, here = fnr[after - 1] - fpr[after - 1], fnr[after] - fpr[after]
    eer = fnr[after - 1] + (fnr[after] - fnr[after - 1]) * before / (before - here)
    return float(eer), float((0.01 * fnr + 0.99 * fpr).min() / 0.01)


def peak(trials: int, case: str, function: str) -> float:
    """MiB that one call needs at its highest on top of its arguments, in a process of its own."""
    command = [sys.executable, __file__, "--peak", function, "--trials", str(trials), "--case", case]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(trials: int, case: str, function: str) -> None:
    run = {"ours": ours, "reference": reference}[function]
    run(*draw(1000, case))  # what is imported and started once
    scores, target = draw(trials, case)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Drawing leaves a high mark of its own: fill what is free up to it, so that only more is seen.
    ballast = np.ones(max(0, before - _resident()) * 1024, np.uint8)
    run(scores, target)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, file=sys.stdout)
    assert len(ballast) >= 0


def _resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[37_720, 1_000_000, 10_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", default="continuous", help=argparse.SUPPRESS)
    parser.add_argument("--peak", choices=("ours", "reference"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(arguments.trials[0], arguments.case, arguments.peak)
        return
    disabled = os.environ.get("NPY_DISABLE_CPU_FEATURES", "nothing")
    print(f"{machine()}, NumPy {np.__version__} with {disabled} disabled; {set_allocator()}")
    for trials in arguments.trials:
        for case in ("continuous", "ties"):
            scores, target = draw(trials, case)
            variants = {
                "scikit-learn": partial(reference, scores, target),
                "counterpoint": partial(ours, scores, target),
            }
            repeats = arguments.repeats * (1 if trials >= 1_000_000 else 10)
            report(
                f"EER and minDCF, {trials:,} trials, {case}", interleave(variants, repeats, warmup=1), "scikit-learn"
            )
            differences = np.abs(np.subtract(ours(scores, target), reference(scores, target)))
            print(f"  largest difference {differences.max():.1e}")
            if trials >= 1_000_000:
                print(
                    f"  peak memory beyond the arguments: scikit-learn {peak(trials, case, 'reference'):.0f} MiB, "
                    f"counterpoint {peak(trials, case, 'ours'):.0f} MiB"
                )


if __name__ == "__main__":
    main()
