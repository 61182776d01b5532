"""How windows lie on segments, and one probability per segment out of all windows that hold it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.errors import ConfigError

# Times that differ by less, relative to a segment, are the same: nobody types a third of a second exactly.
_SAME = 1e-3


@dataclass(frozen=True)
class Grid:
    """Windows of whole segments, that begin whole segments apart.

    Attributes:
        window: length of a window, seconds.
        parts: segments per window.
        step: segments from the beginning of a window to that of the next.
    """

    window: float
    parts: int
    step: int

    @property
    def segment(self) -> float:
        """Seconds."""
        return self.window / self.parts

    @property
    def hop(self) -> float:
        """Seconds from the beginning of a window to that of the next, at most a window's length."""
        return min(self.window, self.window * self.step / self.parts)

    @classmethod
    def of_localiser(cls, window: float, parts: int, hop: float | None) -> Grid:
        """For windows that the model cuts into `parts` segments; without a hop they overlap by half.

        Raises:
            ConfigError: the hop is no whole number of segments, or longer than a window.
        """
        if hop is None:
            return cls(window, parts, max(1, parts // 2))
        segment = window / parts
        step = min(parts, max(1, round(_checked(hop, window) / segment)))
        if abs(hop - step * segment) > _SAME * segment:
            raise ConfigError(
                f"hop is {hop:g} s; it must be a multiple of a segment, {segment:g} s; {step * segment:g} would do"
            )
        return cls(window, parts, step)

    @classmethod
    def of_classifier(cls, window: float, hop: float | None) -> Grid:
        """For windows of one class: with a hop shorter than a window, segments are as long as the hop.

        Raises:
            ConfigError: a window is no whole number of hops.
        """
        if hop is None:
            return cls(window, 1, 1)
        parts = round(window / _checked(hop, window))
        if abs(window / hop - parts) > _SAME:
            raise ConfigError(
                f"hop is {hop:g} s; a window, {window:g} s, must be a multiple of it; {window / parts:g} would do"
            )
        return cls(window, parts, 1)


def _checked(hop: float, window: float) -> float:
    if not 0 < hop <= window * (1 + _SAME):
        raise ConfigError(f"hop is {hop:g} s; it must be greater than 0 and at most a window's length, {window:g} s")
    return hop


class Mean:
    """Mean over windows per segment: inside a file each segment has about ``parts / step`` of them.

    The first and the last segments of a file lie in one window alone, and no window counts more than another.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._sums: list[NDArray[np.float64]] = []
        self._counts: list[int] = []

    @property
    def empty(self) -> bool:
        """No window was taken in."""
        return not self._sums

    def add(self, window: int, values: NDArray[np.float64]) -> None:
        """Take in the `window`-th window's values, ``(parts, K)``."""
        first = window * self.grid.step
        missing = first + len(values) - len(self._sums)
        self._sums += [np.zeros(values.shape[1]) for _ in range(missing)]
        self._counts += [0] * missing
        for k, row in enumerate(values, first):
            self._sums[k] += row
            self._counts[k] += 1

    def result(self, seconds: float) -> NDArray[np.float64]:
        """``(S, K)``, NaN where there was no window; without segments that lie mostly beyond the end of the file."""
        length = max(1, round(seconds / self.grid.segment))
        values = np.full((length, len(self._sums[0])), np.nan)
        for k, count in enumerate(self._counts[:length]):
            if count:
                values[k] = self._sums[k] / count
        return values
