"""Whether memory stays flat: 2,000 files with sound and pictures decoded, then 20 epochs over them.

Printed are open handles, shared memory and resident size of this process and those that it started, as they go. Exits
with 1 where the last quarter holds a twentieth more than the second. Run: ``python benchmarks/memory.py``
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from _bench import machine
from torch.utils.data import DataLoader

from counterpoint.data import Clip, ClipTable, collate, prepare
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec

SPEC = MediaSpec(sample_rate=16000, seconds=1.0, fps=10, size=48)


def family() -> list[Path]:
    """This process and those below it, in /proc."""
    found, todo = [], [os.getpid()]
    while todo:
        process = Path("/proc", str(todo.pop()))
        try:
            tasks = [task / "children" for task in (process / "task").iterdir()]
            todo += [int(child) for task in tasks for child in task.read_text().split()]
        except OSError:
            continue
        found.append(process)
    return found


def held() -> tuple[int, float, float]:
    """Open handles, shared memory in MiB, and memory that is not a file's in MiB."""
    count, shared, private = 0, 0, 0
    for process in family():
        with contextlib.suppress(OSError, KeyError):  # it has just ended
            count += len(list((process / "fd").iterdir()))
            lines = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
            private += int(lines["RssAnon"].split()[0])
            shared += int(lines["RssShmem"].split()[0])
    return count, shared / 2**10, private / 2**10


def clips(folder: Path, count: int) -> ClipTable:
    """Files of one second, 16 different ones under as many names as are asked for."""
    rng = np.random.default_rng(0)
    for k in range(16):
        tone = np.sin(2 * np.pi * (200 + 50 * k) * np.arange(16000) / 16000).astype(np.float32) / 2
        write_clip(
            folder / f"{k}.mp4", tone, rng.integers(0, 255, (10, 64, 64, 3), np.uint8), fps=10, sample_rate=16000
        )
    listed = []
    for k in range(count):
        path = folder / f"clip{k}.mp4"
        os.link(folder / f"{k % 16}.mp4", path)
        listed.append(Clip(path.stem, path, k % 2, "train"))
    return ClipTable("flat", ("a", "b"), tuple(listed), SPEC)


def watched(kind: str, steps: Iterable[object], every: int) -> bool:
    """Print what is held as the steps go; whether it stayed flat."""
    print(f"{kind:<14}{'handles':>10}{'shared MiB':>12}{'resident MiB':>14}")
    seen = []
    for at, _ in enumerate(steps, start=1):
        if at % every == 0:
            seen.append(held())
            print(f"{at:<14}{seen[-1][0]:>10}{seen[-1][1]:>12.1f}{seen[-1][2]:>14.1f}")
    quarter = len(seen) // 4
    second, last = np.median(seen[quarter : 2 * quarter], axis=0), np.median(seen[-quarter:], axis=0)
    flat = bool((last <= 1.05 * second + (2, 1, 2)).all())
    print(f"{'flat' if flat else 'GROWING'}\n")
    return flat


def decoded(table: ClipTable, jobs: int) -> Iterable[object]:
    """A step per decoded clip."""
    from counterpoint.data.cache.cache_keys import keys_of
    from counterpoint.data.cache.decode_pool import decode_all

    keys, failed = keys_of(table, ("audio", "visual"))
    assert not failed
    for _, answer in decode_all(list(keys.values()), SPEC, ("audio", "visual"), jobs=jobs, timeout=150.0):
        assert answer.arrays, answer.reason
        yield answer


def epochs(table: ClipTable, cache: Path, count: int) -> Iterable[object]:
    """A step per epoch; two processes load, started anew in each."""
    data = prepare(table, cache=cache).split("train")
    loader = DataLoader(data, 32, shuffle=True, collate_fn=collate, num_workers=2)
    for _ in range(count):
        for batch in loader:
            assert batch["audio"].shape[1] == SPEC.num_samples
        yield None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary, "clips"), Path(temporary, "cache")
        folder.mkdir()
        table, every = clips(folder, args.files), max(1, args.files // 20)
        flat = [
            watched("decoded here", decoded(table, 0), every),
            watched("decoded apart", decoded(table, 2), every),
            watched("epochs", epochs(table, cache, args.epochs), 1),
        ]
    raise SystemExit(0 if all(flat) else 1)


if __name__ == "__main__":
    main()
