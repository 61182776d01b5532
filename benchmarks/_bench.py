"""What every benchmark shares: variants timed in turn in one process, and the allocator setting they ran under.

Timings on a shared machine drift by tens of per cent from minute to minute, so variants are run in turn (A B C A B C
...) and compared by their medians: the drift meets all of them alike. Only the ratios mean something elsewhere.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from counterpoint.allocator import use_large_allocations


def set_allocator() -> str:
    """Set `use_large_allocations`; returns what is in force, in words."""
    settings = ", ".join(f"{name}={value}" for name, value in use_large_allocations().items())
    return f"glibc malloc with {settings}" if settings else "the platform's default allocator"


def interleave(variants: dict[str, Callable[[], object]], repeats: int = 15, *, warmup: int = 2) -> dict[str, float]:
    """Median seconds per call of each variant.

    Args:
        variants: name to a function without arguments; on a GPU its work is waited for.
        repeats: rounds; in each, every variant runs once, in turn, the order turning round by one from round to round.
        warmup: rounds that are not counted.
    """
    names = list(variants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    for turn in range(warmup + repeats):
        for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
            wait()
            start = time.perf_counter()
            variants[name]()
            wait()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def peak_mib() -> float:
    """The most memory that this process has held, MiB; Linux tells it apart from what its parent held."""
    if sys.platform.startswith("linux"):
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(status["VmHWM"].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def machine() -> str:
    """One line that says what the figures were measured on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"
    return f"torch {torch.__version__}, {device}"


def report(title: str, medians: dict[str, float], reference: str) -> None:
    """Print the medians and how many times faster than `reference` each variant is."""
    print(title)
    for name, seconds in medians.items():
        print(f"  {name:<34} {seconds * 1e3:>10.3f} ms   x{medians[reference] / seconds:.2f}")
