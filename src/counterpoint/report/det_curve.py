"""Detection error tradeoff: misses against false alarms, several systems in one picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterpoint.errors import ConfigError
from counterpoint.metrics import ErrorCurve
from counterpoint.report.plotting import INK, PALETTE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Rates at which an axis may begin, end and be marked; where marks are close, the earlier in this list stays.
_DECADES = tuple(10.0**-k for k in range(1, 9))
_TICKS = (*_DECADES, 0.4, 0.9, 0.2, 0.6, 0.8, 0.98, *(d * 2 for d in _DECADES[1:]), *(d * 5 for d in _DECADES[1:]))
_APART = 1 / 11  # of an axis, from mark to mark
_SHOWN = 0.01, 0.4  # an axis covers at least these
_FINENESS = 200  # points that are kept per standard deviation


def normal_deviate(rate: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The standard normal quantile of a rate from 0 to 1, which at the ends is infinite.

    On such axes a system whose scores are normally distributed is a straight line.
    """
    deviates: NDArray[np.float64] = torch.special.ndtri(torch.as_tensor(rate, dtype=torch.float64)).numpy()
    return deviates


def det_points(curve: ErrorCurve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False positive and false negative rates that make a difference to the eye, of millions if need be.

    Returns:
        Both ``(P,)``, from FPR 1 and FNR 0 to FPR 0 and FNR 1; neighbours that fall on one pixel are left out.
    """
    fpr, fnr = curve.fpr, curve.fnr
    pixels = np.stack([np.clip(normal_deviate(rate), -9, 9) * _FINENESS for rate in (fpr, fnr)]).round()
    keep = np.ones(len(fpr), np.bool_)
    keep[1:-1] = (np.diff(pixels)[:, :-1] != 0).any(0)
    return fpr[keep], fnr[keep]


def draw_det(
    axes: Axes,
    systems: Mapping[str, ErrorCurve],
    *,
    p_target: float = 0.01,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> None:
    """Draw one curve per system, with a circle where its EER is and a diamond where its minDCF is.

    Args:
        axes: where to draw; scales, limits, ticks and legend are set.
        systems: name to its errors, one or more.
        p_target: prior of a target trial in the detection cost; see `ErrorCurve.min_dcf`.
        c_miss: cost of a miss.
        c_fa: cost of a false alarm.

    Raises:
        ConfigError: no systems, or costs out of their range.
    """
    if not systems:
        raise ConfigError("a DET picture needs at least one system")
    costs = {"p_target": p_target, "c_miss": c_miss, "c_fa": c_fa}
    marked = [(curve.eer(), curve.min_dcf(**costs)) for curve in systems.values()]
    lines = [det_points(curve) for curve in systems.values()]
    points = [point for pair in marked for point in pair]
    right, top = _end(point.fpr for point in points), _end(point.fnr for point in points)
    across = _begin(fpr[fnr <= top] for fpr, fnr in lines), right
    upwards = _begin(fnr[fpr <= right] for fpr, fnr in lines), top
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.6, alpha=0.4)
    for k, (name, line, (equal, cheapest)) in enumerate(zip(systems, lines, marked, strict=True)):
        label = f"{name}: EER {100 * equal.value:.2f} %, minDCF {cheapest.value:.3f}"
        style: Any = {"color": PALETTE[k % len(PALETTE)], "zorder": 3}
        # What is 0 leaves the picture at its edge, and does not break off.
        rates = (rate.clip(_DECADES[-1] / 10, 1 - _DECADES[-1] / 10) for rate in line)
        axes.plot(*map(normal_deviate, rates), label=label, linestyle="-" if k < len(PALETTE) else "--", **style)
        for point, marker in ((equal, "o"), (cheapest, "D")):
            x, y = (normal_deviate(np.clip(r, *ends)) for r, ends in ((point.fpr, across), (point.fnr, upwards)))
            axes.plot(x, y, marker, markersize=5.5, markerfacecolor="white", clip_on=False, **style)
    for marker, text in (("o", "EER"), ("D", f"minDCF at a prior of {p_target:g}")):
        axes.plot([], [], marker, color=INK, markersize=5.5, markerfacecolor="white", label=text)
    for axis, ends in ((axes.xaxis, across), (axes.yaxis, upwards)):
        axis.set_ticks(*_marks(*ends))
    axes.set(xlim=normal_deviate(np.array(across)), ylim=normal_deviate(np.array(upwards)), aspect="equal")
    axes.set(xlabel="False alarms, %", ylabel="Misses, %")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize="small", frameon=False)


def save_det(path: Path, systems: Mapping[str, ErrorCurve], **costs: float) -> None:
    """Write the picture of `draw_det` to a file, of the format its name ends in: png, svg, pdf.

    Args:
        path: the file; its folder exists.
        systems: name to its errors, one or more.
        costs: ``p_target``, ``c_miss`` and ``c_fa``, see `draw_det`.

    Raises:
        ConfigError: no systems, costs out of their range, or a format that matplotlib cannot write.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "svg.fonttype": "path"}):
        figure = Figure(figsize=(5.2, 6.4), layout="constrained")
        formats = figure.canvas.get_supported_filetypes()
        if path.suffix.removeprefix(".") not in formats:
            raise ConfigError(
                f"{path}: matplotlib writes {', '.join(sorted(formats))}, not {path.suffix or 'files without a suffix'}"
            )
        draw_det(figure.add_subplot(), systems, **costs)
        names_us = {"Software": "counterpoint"} if path.suffix == ".png" else None
        figure.savefig(path, dpi=200, bbox_inches="tight", metadata=names_us)


def _begin(rates: Iterable[NDArray[np.float64]]) -> float:
    """Where an axis begins: below all rates that the picture shows, but for 0."""
    least = min(rate[rate > 0].min(initial=1) for rate in rates)
    return min(_SHOWN[0], max((tick for tick in _TICKS if tick <= least), default=min(_TICKS)))


def _end(rates: Iterable[float]) -> float:
    """Where an axis ends: above all rates that are marked in the picture."""
    most = max(rates)
    return max(_SHOWN[1], min((tick for tick in _TICKS if tick > most), default=max(_TICKS)))


def _marks(lowest: float, highest: float) -> tuple[list[float], list[str]]:
    """Where an axis is marked, and with what: per cent, so far apart that no two run into each other."""
    ends = normal_deviate(np.array([lowest, highest]))
    marks: dict[float, str] = {}
    for tick in _TICKS:
        place = float(normal_deviate(tick))
        if lowest <= tick <= highest and all(abs(place - other) >= _APART * (ends[1] - ends[0]) for other in marks):
            marks[place] = f"{100 * tick:g}"
    return list(marks), list(marks.values())
