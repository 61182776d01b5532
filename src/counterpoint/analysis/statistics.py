"""What a difference between methods is worth.

Two things vary between one figure and the next: the seed of the training run, and which clips happened to be in the
test split. A method is compared with the baseline on the same seeds and the same test clips; the table of differences,
a row per seed and a column per clip, is of a design with two crossed random factors (Brennan 2001, Generalizability
Theory, ch. 2; Owen 2007, The Pigeonhole Bootstrap)::

    d[s, c] = mean + seed[s] + clip[c] + rest[s, c]

**One model gives both the interval and the p-value** (`Crossed`). The variance of the mean is the sum of two parts
that the two-way analysis of variance estimates: what seeds add, MS_seeds / (S C), with S - 1 degrees of freedom, and
what clips add, (MS_clips - MS_rest) / (S C), with C - 1. Each part has a Student's t interval of its own, and the
interval of the mean is theirs joined in quadrature (Howe 1974, Approximate Confidence Limits on the Mean of X + Y),
which keeps its level with three seeds beside hundreds of clips. The p-value is one less the level at which that
interval just reaches zero, so that p < 0.05 exactly where the 95 % interval leaves out zero. With one seed the interval
is the paired t interval over clips, and says nothing of other seeds.

Clips of one speaker resemble each other. Where no speaker (or source: group) of test clips is in training, the claim is
about new speakers, and speakers take the place of clips wherever that is the wider interval. Folds are pooled before:
each clip was tested once per seed, and what folds of one seed have in common is part of what seeds add. What other
training clips would change is in none of these figures.

Several methods against one baseline are several chances to be fooled: Holm's step-down rule tests the k-th smallest of
m p-values at 0.05 / (m - k + 1), and stops at the first that fails. Beside a corrected p-value stands the interval at
the level at which the rule tested that method, or at which it stopped; it leaves out zero exactly where the corrected p
is below 0.05, and where the method is said to differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
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
class Crossed:
    """A mean over two crossed random factors, and what it is known by.

    Attributes:
        mean: of the table.
        seeds: variance of the mean that seeds add, and its degrees of freedom; None with one seed.
        units: the same of clips, or of groups of clips.
    """

    mean: float
    seeds: tuple[float, int] | None
    units: tuple[float, int]

    @classmethod
    def of(cls, table: NDArray[np.float64]) -> Crossed:
        """Fit by a two-way analysis of variance.

        Args:
            table: ``(seeds, units)``, at least two units.
        """
        seeds, units = table.shape
        mean = float(table.mean())
        rows, columns = table.mean(axis=1) - mean, table.mean(axis=0) - mean
        of_units = float((columns**2).sum()) / (units - 1)
        if seeds == 1:
            return cls(mean, None, (of_units / units, units - 1))
        of_seeds = float((rows**2).sum()) / (seeds - 1)
        rest = float(((table - mean - rows[:, None] - columns) ** 2).sum()) / ((seeds - 1) * (units - 1))
        return cls(mean, (of_seeds / seeds, seeds - 1), (max(0.0, of_units - rest / seeds) / units, units - 1))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Lower and upper end at a level between 0 and 1."""
        half = math.sqrt(self._square(1 - level))
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Two-sided: one less the level at which the interval just reaches zero."""
        from scipy.optimize import bisect

        def beyond(log_p: float) -> float:
            return self._square(math.exp(log_p)) - self.mean**2

        least = -300.0  # of less the square may not fit a float
        if not self.mean:
            return 1.0
        return 0.0 if beyond(least) < 0 else math.exp(bisect(beyond, least, 0.0, xtol=1e-12))

    def _square(self, outside: float) -> float:
        """Of the half-width of the interval that leaves out as much probability."""
        from scipy.special import stdtrit  # Student's t

        parts = [part for part in (self.seeds, self.units) if part is not None and part[0] > 0]
        return sum(variance * float(stdtrit(freedom, outside / 2)) ** 2 for variance, freedom in parts)


@dataclass(frozen=True)
class Difference:
    """A method less the baseline, on the same test clips.

    Attributes:
        mean: over clips and seeds, -1 to 1.
        low: lower end of the 95 % interval; it leaves out zero, with `high`, exactly where `p` is below 0.05.
        high: its upper end.
        p: two-sided, of the same model.
        p_holm: the same, corrected for the number of methods compared; None before `correct_holm`.
        low_holm: lower end of the interval at the level of that correction, which fits `p_holm`.
        high_holm: its upper end.
        seeds: how many seeds both have; with one, nothing here says what another would change.
        clips: how many test clips.
        groups: of how many groups, taken as drawn at random beside clips; None: clips alone were.
        identical: both score the same on every clip, with every seed.
        models: what it is known by: over clips and, where there are groups, over these; the wider interval counts.
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float | None
    low_holm: float | None
    high_holm: float | None
    seeds: int
    clips: int
    groups: int | None
    identical: bool
    models: tuple[Crossed, ...]

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"`` or ``"no clear difference"``."""
        if (self.p if self.p_holm is None else self.p_holm) >= 1 - LEVEL:
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


def compare_paired(method: ArrayLike, baseline: ArrayLike, groups: Sequence[str] | None = None) -> Difference:
    """A method against the baseline on the same test clips.

    Args:
        method: 1 where a clip was classified rightly, else 0, ``(seeds, clips)``; or any other score of a clip from 0
            to 1. Of a score that is no mean over clips, its `pseudo_values`.
        baseline: the same of the baseline, with the same seeds and clips in the same order.
        groups: speaker or source of each clip, where the difference is to hold for others than these; None: for other
            clips of the same.
    """
    a, b = np.asarray(method, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.size == 0:
        raise ValueError(f"method has shape {a.shape} and baseline {b.shape}; both must be the same (seeds, clips)")
    seeds, clips = a.shape
    if groups is not None and len(groups) != clips:
        raise ValueError(f"groups has {len(groups)} entries for {clips} clips; it must have one for each")
    table = a - b
    models = [Crossed.of(_with_pseudo_clips(table))]
    if groups is not None and 1 < len(set(groups)) < clips:
        models.append(Crossed.of(_by_group(table, groups)))
    low, high = _interval(models, LEVEL)
    return Difference(
        mean=float(table.mean()),
        low=low,
        high=high,
        p=max(model.p for model in models),
        p_holm=None,
        low_holm=None,
        high_holm=None,
        seeds=seeds,
        clips=clips,
        groups=models[-1].units[1] + 1 if len(models) > 1 else None,
        identical=not table.any(),
        models=tuple(models),
    )


def _interval(models: Sequence[Crossed], level: float) -> tuple[float, float]:
    """What all of the intervals cover."""
    lows, highs = zip(*(model.interval(level) for model in models), strict=True)
    return min(lows), max(highs)


def _with_pseudo_clips(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two clips more, one that speaks for the method and one for the baseline, as strongly as any other with all seeds.

    Without them few clips that all say the same would have an interval without width. Bonett and Price (2012,
    Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data) add them to a table
    of one seed.
    """
    most = np.abs(table.mean(axis=0)).max() or 1.0
    return np.concatenate([table, np.full((len(table), 1), most), np.full((len(table), 1), -most)], axis=1)


def _by_group(table: NDArray[np.float64], groups: Sequence[str]) -> NDArray[np.float64]:
    """Groups in place of clips, ``(seeds, groups)``: linearised, so that a row's mean stays the mean over its clips."""
    _, index, sizes = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    means = table.mean(axis=1, keepdims=True)
    sums = np.stack([np.bincount(index, weights=row) for row in table - means])
    found: NDArray[np.float64] = means + sums * len(sizes) / table.shape[1]
    return found


def pseudo_values(score: Callable[[NDArray[np.intp]], float], clips: int) -> NDArray[np.float64]:
    """What each clip contributes to a score that is no mean over clips, ``(clips,)``.

    The jackknife's (Tukey 1958; Efron and Stein 1981): how much the score of all clips exceeds that of all but one.
    Their mean is the score, less most of its bias; of a mean over clips they are the clips' own values.

    Args:
        score: of the clips of those indices, such as an equal error rate or F1 of events.
        clips: how many there are, at least 2.

    Example:
        >>> values = np.array([0.0, 1.0, 1.0])
        >>> pseudo_values(lambda chosen: values[chosen].mean(), 3).round(6).tolist()
        [0.0, 1.0, 1.0]
    """
    every = np.arange(clips)
    without = np.array([score(np.delete(every, clip)) for clip in every])
    found: NDArray[np.float64] = clips * score(every) - (clips - 1) * without
    return found


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
    """The same differences with `p_holm`, and the interval that fits it, filled in over all of them."""
    corrected = holm([d.p for d in differences.values()])
    found = {}
    for (name, d), p in zip(differences.items(), corrected, strict=True):
        # The rule has let those pass that differ and are clearer than this one.
        before = sum(q < 1 - LEVEL and other.p < d.p for q, other in zip(corrected, differences.values(), strict=True))
        low, high = _interval(d.models, 1 - (1 - LEVEL) / (len(corrected) - before))
        found[name] = replace(d, p_holm=p, low_holm=low, high_holm=high)
    return found
