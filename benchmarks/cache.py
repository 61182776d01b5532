"""Reading GRID face crops from the cache against decoding them: the goal is 20 times as fast; and checking the cache.

One core and one thread on both sides. The cache is read in shuffled batches of 32, as in training, from the system's
page cache (it was just written); decoding is `read_clip` alone, clip after clip. Run: ``python benchmarks/cache.py``
"""

from __future__ import annotations

import os
import tempfile
from itertools import cycle
from pathlib import Path

import torch
from _bench import interleave, machine, report, set_allocator

from counterpoint.data import load_table, prepare
from counterpoint.data.cache import shards
from counterpoint.media.decode import read_clip

SHARED = Path(os.environ.get("COUNTERPOINT_SHARED", Path(__file__).parents[2] / "shared" / "data"))
CLIPS, BATCH = 320, 32


def main() -> None:
    allocator = set_allocator()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    table = load_table("grid", SHARED / "grid_s1")
    with tempfile.TemporaryDirectory() as cache:
        clips = prepare(table, cache=cache)
        data, whole = clips.split("train"), clips.decoded
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:CLIPS]
        batches = cycle(order.view(-1, BATCH).tolist())
        paths = cycle([data.clips[k].path for k in order])
        reference = f"decode {BATCH} clips"
        medians = interleave(
            {
                reference: lambda: [read_clip(next(paths), data.spec) for _ in range(BATCH)],
                f"read {BATCH} clips from the cache": lambda: data.batch(next(batches)),
                f"check the checksums of all {whole} clips": lambda: check(Path(cache)),
            }
        )
    print(f"{machine()}; {allocator}")
    report(
        f"{BATCH} clips of 3 s: {data.spec.size}x{data.spec.size} gray at 25 fps and 16 kHz sound", medians, reference
    )


def check(cache: Path) -> None:
    """What the first use of a cache in a process costs more."""
    shards._sum_once.cache_clear()
    for path in cache.rglob("*.npy"):
        shards._sum_of_file(path)


if __name__ == "__main__":
    main()
