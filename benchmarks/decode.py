"""Decoding GRID face crops (3 s, 144x144 at 25 fps) to all frames in RGB.

The goals are 220 clips a second and core, and two processes 1.9 times as fast as one. Beside them stand the floor,
decoding without converting a pixel, and the straightforward PyAV loop, whose conversion takes all cores. One process is
pinned to one core, two to two. Run: ``python benchmarks/decode.py``
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import av
import numpy as np
from _bench import interleave, machine, report, set_allocator

from counterpoint.media.decode import read_clip
from counterpoint.media.spec import MediaSpec

SHARED = Path(os.environ.get("COUNTERPOINT_SHARED", Path(__file__).parents[2] / "shared" / "data"))
CLIPS, ROUND = 200, 20
RGB, GRAY, SMALL = MediaSpec(size=144, gray=False), MediaSpec(size=144), MediaSpec(size=64)


def decode_only(path: Path) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for _ in container.decode(stream):
            pass


def plain_loop(path: Path) -> None:
    with av.open(str(path)) as container:
        np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def to_rgb(path: Path) -> None:
    read_clip(path, RGB, modalities=("visual",))


VARIANTS: dict[str, Callable[[Path], object]] = {
    "decode only, no pixel converted": decode_only,
    "read_clip, RGB 144x144": to_rgb,
    "read_clip, gray 144x144": lambda path: read_clip(path, GRAY, modalities=("visual",)),
    "read_clip, gray 64x64": lambda path: read_clip(path, SMALL, modalities=("visual",)),
    "read_clip, sound": lambda path: read_clip(path, RGB, modalities=("audio",)),
    "read_clip, RGB 144x144 and sound": lambda path: read_clip(path, RGB),
}


def pin(cores: set[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _worker(core: int, paths: list[Path], start: object, done: object) -> None:
    set_allocator()
    pin({core})
    to_rgb(paths[0])
    start.wait()  # type: ignore[attr-defined]
    for path in paths:
        to_rgb(path)
    done.wait()  # type: ignore[attr-defined]


def seconds_in_processes(cores: list[int], paths: list[Path]) -> float:
    """Wall time of reading `paths` with one pinned process per core, without starting them."""
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(len(cores) + 1), context.Barrier(len(cores) + 1)
    share = [paths[k :: len(cores)] for k in range(len(cores))]
    workers = [
        context.Process(target=_worker, args=(core, part, start, done)) for core, part in zip(cores, share, strict=True)
    ]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    done.wait()
    seconds = time.perf_counter() - began
    for worker in workers:
        worker.join()
    return seconds


def main() -> None:
    allocator = set_allocator()
    paths = sorted((SHARED / "grid_s1" / "clips").glob("*.mp4"))[:CLIPS]
    if not paths:
        raise SystemExit(f"no clips in {SHARED}; set COUNTERPOINT_SHARED to where they are")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    print(f"{machine()}; {allocator}; {len(cores)} cores")

    plain = cycle(paths)
    all_cores = interleave({"loop": lambda: [plain_loop(next(plain)) for _ in range(ROUND)]}, repeats=5)["loop"]
    pin({cores[0]})
    variants = {}
    for name, variant in VARIANTS.items():
        order = cycle(paths)
        variants[name] = lambda variant=variant, order=order: [variant(next(order)) for _ in range(ROUND)]
    medians = interleave(variants)
    medians["plain PyAV loop, RGB, all cores"] = all_cores
    report(f"{ROUND} clips, one core", medians, "plain PyAV loop, RGB, all cores")
    print("clips per second and core")
    for name, seconds in medians.items():
        print(f"  {name:<34} {ROUND / seconds:>8.0f}")
    pin(set(cores))

    if len(cores) > 1:
        alone, together = [], []
        for _ in range(5):
            alone.append(seconds_in_processes(cores[:1], paths[: CLIPS // 2]))
            together.append(seconds_in_processes(cores[:2], paths))
        gain = 2 * float(np.median(alone)) / float(np.median(together))
        print(f"two processes: {CLIPS / float(np.median(together)):.0f} clips per second, x{gain:.2f} of one")


if __name__ == "__main__":
    main()
