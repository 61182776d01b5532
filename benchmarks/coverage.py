"""How often intervals of a difference hold the true one, and how often p < 0.05 where there is none, on made tables.

python benchmarks/coverage.py [REPEATS]

One line per number of seeds and test clips; of 100 intervals 95 should hold the truth.
"""

import sys

import numpy as np
from scipy.stats import norm

from counterpoint.analysis.statistics import compare_paired

SCATTER = {"neither": (0.0, 0.0), "seeds": (0.3, 0.0), "clips": (0.0, 0.7), "both": (0.3, 0.7)}
"""Standard deviations of what seeds and clips add to a method's ease, beside clips' own of 1."""


def covered(rng: np.random.Generator, seeds: int, clips: int, of_seeds: float, of_clips: float, speakers: int) -> bool:
    """Whether the interval holds the true difference of two methods, one of which scatters, once."""
    true = norm.cdf(1 / np.sqrt(2 + of_seeds**2 + of_clips**2)) - norm.cdf(1 / np.sqrt(2))
    ease = rng.normal(1, 1, clips)
    groups = None
    if speakers:  # what clips add is their speaker's
        groups = np.arange(clips) % speakers
        added = rng.normal(0, of_clips, speakers)[groups]
    else:
        added = rng.normal(0, of_clips, clips)
    method = norm.cdf(ease + added + rng.normal(0, of_seeds, (seeds, 1)))
    right = [rng.random((seeds, clips)) < p for p in (method, norm.cdf(np.tile(ease, (seeds, 1))))]
    found = compare_paired(*right, None if groups is None else groups.astype(str))
    assert (not found.low <= 0 <= found.high) == (found.p < 0.05)
    return bool(found.low <= true <= found.high)


def main(repeats: int = 2000) -> None:
    rng = np.random.default_rng(0)
    print("seeds clips speakers " + " ".join(f"{name:>8}" for name in SCATTER))
    for seeds in (1, 2, 3, 5, 10):
        for clips, speakers in ((20, 0), (120, 0), (400, 0), (400, 5), (400, 40)):
            cells = []
            for of_seeds, of_clips in SCATTER.values():
                if seeds == 1 and of_seeds:  # no interval of one seed knows of it
                    cells.append("n/a")
                    continue
                hits = sum(covered(rng, seeds, clips, of_seeds, of_clips, speakers) for _ in range(repeats))
                cells.append(f"{100 * hits / repeats:.1f}")
            print(f"{seeds:5} {clips:5} {speakers or '-':>8} " + " ".join(f"{cell:>8}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
