"""What a difference between methods is worth.

Two things vary between one figure and the next: the seed of the training run, and which clips happened to be in the
test split. The interval of a mean (`mean_interval`) is over seeds. A method is compared with the baseline on the
same test clips (`compare_paired`), in two ways that guard against different mistakes:

- the **p-value** is of a sign-flip permutation test over clips: for each clip the difference of correctness, averaged
  over seeds; if the methods were equally good, each clip's difference could as well have had the other sign. It
  answers whether the difference would hold on other clips, for these very models;
- the **interval** is of a bootstrap that draws clips and seeds anew, both with replacement and in pairs, so a
  difference that stems from one lucky seed widens it. With one seed only clips are drawn, and it says nothing of seeds.

Several methods against one baseline are several chances to be fooled: p-values are corrected by Holm's step-down rule.
A method is said to differ only where the corrected p is below 0.05 and the interval leaves out zero. Clips of one
speaker resemble each other, so where a test split has few speakers both are optimistic about speakers not in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
RESAMPLES = 9999
UNCLEAR = "no clear difference"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: over the values that are there; None where there are none.
        half_width: of the 95 % interval of the mean (Student's t); None with fewer than two values: one run
            says nothing about the next.
        values: one per seed.
    """

    mean: float | None
    half_width: float | None
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Difference:
    """A method less the baseline, in top-1 accuracy on the same test clips.

    Attributes:
        mean: over clips and seeds, -1 to 1.
        low: lower end of the 95 % bootstrap interval over clips and seeds.
        high: its upper end.
        p: of the sign-flip permutation test over clips, two-sided.
        p_holm: the same, corrected for the number of methods compared; None before `correct_holm`.
        seeds: how many seeds both have; with one, the interval is over clips only.
        clips: how many test clips.
        identical: both are right and wrong on the very same clips, with every seed.
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float | None
    seeds: int
    clips: int
    identical: bool = False

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"`` or ``"no clear difference"``."""
        p = self.p if self.p_holm is None else self.p_holm
        if p >= 1 - LEVEL or self.low <= 0 <= self.high:
            return UNCLEAR
        return "better" if self.mean > 0 else "worse"


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean and half-width of its 95 % interval by Student's t with n - 1 degrees of freedom.

    Args:
        values: one per seed; NaN counts as missing.
    """
    from scipy import stats

    present = tuple(float(v) for v in values if not math.isnan(v))
    if not present:
        return Estimate(None, None)
    mean = float(np.mean(present))
    if len(present) == 1:
        return Estimate(mean, None, present)
    error = float(np.std(present, ddof=1)) / math.sqrt(len(present))
    return Estimate(mean, float(stats.t.ppf((1 + LEVEL) / 2, len(present) - 1)) * error, present)


def sign_flip_p(differences: ArrayLike, *, seed: int = 0) -> float:
    """Two-sided p-value of a mean of paired differences under exchange of signs.

    All 2^n assignments of signs are counted where these are no more than 9999; else 9999 are drawn from `seed`, and
    the p-value is at least 1/10000.

    Args:
        differences: one per clip, ``(n,)``.
        seed: of the drawn assignments.
    """
    from scipy import stats

    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]  # a zero keeps the mean under either sign; without them small samples are exact
    if values.size < 2:
        return 1.0  # with the other sign, one value is as far from zero
    result = stats.permutation_test(
        (values,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        alternative="two-sided",
        batch=max(1, 2_000_000 // values.size),  # bounds the memory of large test splits
        random_state=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def bootstrap_interval(differences: NDArray[np.float64], *, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean of ``(seeds, clips)`` differences, both axes drawn with replacement."""
    rng = np.random.default_rng(seed)
    seeds, clips = differences.shape
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 500):
        size = min(500, RESAMPLES - start)
        # How often each is drawn, rather than which: a product of matrices in place of a gather.
        drawn_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=size) / seeds
        drawn_clips = rng.multinomial(clips, np.full(clips, 1 / clips), size=size) / clips
        means[start : start + size] = np.einsum("bs,bs->b", drawn_seeds, drawn_clips @ differences.T)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def compare_paired(method: ArrayLike, baseline: ArrayLike, *, seed: int = 0) -> Difference:
    """A method against the baseline on the same test clips.

    Args:
        method: 1 where a clip was classified rightly, else 0, ``(seeds, clips)``.
        baseline: the same of the baseline, with the same seeds and clips in the same order.
        seed: of the resampling.
    """
    a, b = np.asarray(method, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.size == 0:
        raise ValueError(f"method has shape {a.shape} and baseline {b.shape}; both must be the same (seeds, clips)")
    differences = a - b
    low, high = bootstrap_interval(differences, seed=seed)
    return Difference(
        mean=float(differences.mean()),
        low=low,
        high=high,
        p=sign_flip_p(differences.mean(axis=0), seed=seed),
        p_holm=None,
        seeds=a.shape[0],
        clips=a.shape[1],
        identical=bool((differences == 0).all()),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the k-th smallest of m times (m - k + 1), made monotone and cut at one."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def correct_holm(differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """The same differences with `p_holm` filled in over all of them."""
    corrected = holm([d.p for d in differences.values()])
    return {name: replace(d, p_holm=p) for (name, d), p in zip(differences.items(), corrected, strict=True)}
