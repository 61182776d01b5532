"""200 damaged copies of real clips through `prepare`: how many are read, how many are skipped and why.

Each copy is a clip of GRID with bytes flipped, its end cut off, or a stretch zeroed, from a seed. None may crash or
hang the run, and each must be accounted for. Run: ``python benchmarks/damaged.py``
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from counterpoint.data import Clip, ClipTable, prepare
from counterpoint.data.cache.prepare import kind_of_reason
from counterpoint.media.spec import MediaSpec

SHARED = Path(os.environ.get("COUNTERPOINT_SHARED", Path(__file__).parents[2] / "shared" / "data"))
KINDS = ("bytes flipped", "cut", "zeroed")


def damage(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A damaged copy of a file."""
    data = np.frombuffer(content, np.uint8).copy()
    if kind == "bytes flipped":  # from one byte to a tenth of all
        count = max(1, int(len(data) * 10 ** rng.uniform(-5, -1)))
        data[rng.integers(0, len(data), count)] ^= rng.integers(1, 256, count, dtype=np.uint8)
    elif kind == "cut":
        data = data[: rng.integers(0, len(data))]
    else:
        start = rng.integers(0, len(data))
        data[start : start + int(len(data) * 10 ** rng.uniform(-3, -0.3))] = 0
    return data.tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    originals = sorted((SHARED / "grid_s1" / "clips").glob("*.mp4"))
    if not originals:
        raise SystemExit(f"no clips under {SHARED}; set COUNTERPOINT_SHARED")
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips, kinds = [], {}
        for k in range(args.copies):
            kind = KINDS[k % len(KINDS)]
            path = folder / f"{k:04}.mp4"
            path.write_bytes(damage(originals[rng.integers(len(originals))].read_bytes(), kind, rng))
            clips.append(Clip(path.stem, path, 0, "train"))
            kinds[path.stem] = kind
        table = ClipTable("damaged", ("any",), tuple(clips), MediaSpec(size=48, crop=(0.25, 0.52, 0.80, 0.97)))
        start = time.perf_counter()
        prepared = prepare(table, cache=folder / "cache", max_bad=1.0)
        seconds = time.perf_counter() - start
        read = [clip.id for clip in prepared.clips("train")]
        prepared.split("train").batch(range(len(read)))  # what counts as read is really there
    for kind in KINDS:
        print(f"{kind:<14} {sum(kinds[i] == kind for i in read):>4} read")
        reasons = Counter(kind_of_reason(reason) for clip, reason in prepared.skipped.items() if kinds[clip] == kind)
        for reason, count in reasons.most_common():
            print(f"{'':<14} {count:>4} skipped: {reason}")
    accounted = len(read) + len(prepared.skipped)
    crashed = sum("crashed" in reason or "longer than" in reason for reason in prepared.skipped.values())
    print(
        f"{args.copies} copies (seed {args.seed}) in {seconds:.1f} s: {len(read)} read, {len(prepared.skipped)} "
        f"skipped ({crashed} of them because the decoder crashed or hung), {args.copies - accounted} unaccounted for"
    )
    if accounted != args.copies:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
