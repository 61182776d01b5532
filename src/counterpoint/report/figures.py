"""The figures of a report: each function draws one; without panels where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from counterpoint.analysis.results import Comparison
from counterpoint.analysis.traces import ZETA_EDGES, Trace
from counterpoint.report.history import History, Series, mean_over_runs
from counterpoint.report.plotting import (
    DASHES,
    INK,
    JOINT,
    Figure,
    Mark,
    Panel,
    draw_line,
    modality_colour,
    panel,
    thin,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Histories = Mapping[str, Sequence[History]]
Traces = Mapping[str, Sequence[Trace]]

_ABILITIES = {"joint": "D", "decoupled": "o", "ablated": "s", "probe": "^"}
_Line = tuple[str, str, str, str]  # label, column, colour and dash
_Band = tuple[Series, Series, Series]
_MOST_NAMED_CLASSES = 12  # more names than these would overlap below a panel


def abilities(comparison: Comparison) -> Figure:
    """What each modality can do, beside the joint model and the modality trained alone."""
    from matplotlib.ticker import MaxNLocator

    names = list(comparison.methods)
    values = {m: {name: _ability(comparison, name, m) for name in names} for m in comparison.modalities}
    means = {m: alone.accuracy.mean for m, alone in comparison.alone.items()}
    alone = {m: 100 * mean for m, mean in means.items() if mean is not None}
    # What guessing reaches: one of the classes, or background throughout.
    chance = 100 * comparison.protocol.get("background", 1 / len(comparison.classes))
    shown = [chance, *alone.values(), *(v for by in values.values() for found in by.values() for v in found.values())]
    margin = 0.04 * (max(shown) - min(shown)) + 1
    panels = []
    for position, (modality, by_name) in enumerate(values.items()):
        colour = modality_colour(position)
        alt = f"Test accuracy of {modality} alone per method: " + "; ".join(
            f"{name} " + ", ".join(f"{key} {value:.1f}" for key, value in found.items())
            for name, found in by_name.items()
        )
        with panel(alt, width=4.6, height=0.9 + 0.34 * len(names)) as drawn:
            axes = drawn.axes
            if modality in alone:
                axes.axvline(alone[modality], color=colour, linestyle="--", linewidth=1.2)
            axes.axvline(chance, color=INK, linestyle=":", linewidth=1.2)
            for row, found in enumerate(by_name.values()):
                axes.plot([min(found.values()), max(found.values())], [row, row], color=INK, alpha=0.25)
                for key, value in found.items():
                    face = INK if key == "joint" else colour
                    axes.plot(value, row, _ABILITIES[key], color=face, markersize=6, alpha=0.9)
            axes.set_yticks(range(len(names)), [_short(n) for n in names])
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.set_xlim(min(shown) - margin, max(shown) + margin)
            axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
            axes.set_xlabel(f"test {comparison.metrics['accuracy'].heading.lower()}, %")
        panels.append((modality, drawn))
    measured = {key for by_name in values.values() for found in by_name.values() for key in found}
    marks = [Mark(key, INK, marker) for key, marker in _ABILITIES.items() if key in measured]
    marks += [Mark("trained alone", INK, "|")] if comparison.alone else []
    marks += [Mark("always background" if comparison.task == "localise" else "chance", INK, ":")]
    return Figure(
        "Was each modality learnt?",
        "Diamonds are the joint model; the other marks are what one modality of it can do alone: by its share of the "
        "logits, with the others ablated, and by a linear probe of its encoder. A probe far left of the dashed line "
        "is an encoder that joint training left behind. Means over seeds.",
        panels,
        marks,
        wide=True,
    )


def accuracy_over_epochs(histories: Histories, modalities: Sequence[str], what: str = "top-1") -> Figure:
    """Validation accuracy, joint and per modality (Fig. 3, a, of MMCosine); `what` it is the accuracy of."""
    lines = _joint_and_own("val_accuracy", modalities)
    title = "Validation accuracy of {} over epochs; at the last epoch, in percent: {}"
    return Figure(
        "Accuracy over epochs",
        f"Validation accuracy ({what}) of the joint logits and of each modality's own share of them, where there is "
        "one. Lines are means over runs, bands reach from the lowest to the highest run.",
        _over_epochs(histories, lines, title, f"{what}, %", share=True),
        [Mark(label, colour, dash) for label, _, colour, dash in lines],
    )


def logits_over_epochs(histories: Histories, modalities: Sequence[str]) -> Figure:
    """Mean logit of the true class in training, joint and per modality (Fig. 3, b, of MMCosine)."""
    lines = _joint_and_own("train_logit", modalities)
    title = "Mean logit of the true class of {} over epochs; at the last epoch: {}"
    return Figure(
        "Logits of the true class over epochs",
        "Mean over training clips, as they were trained on, of the joint logit of the true class and of each "
        "modality's own: a modality whose line stays low adds nothing to the answer. Lines are means over runs, bands "
        "reach from the lowest to the highest run.",
        _over_epochs(histories, lines, title, "logit of the true class"),
        [Mark(label, colour, dash) for label, _, colour, dash in lines],
    )


def _joint_and_own(column: str, modalities: Sequence[str]) -> list[_Line]:
    own = [(m, f"{column}_{m}", modality_colour(i), DASHES[i % 2]) for i, m in enumerate(modalities)]
    return [("joint", column, JOINT, "-"), *own]


def _over_epochs(
    histories: Histories, lines: Sequence[_Line], title: str, label: str, *, share: bool = False
) -> list[tuple[str, Panel]]:
    """A panel for each method.

    Args:
        histories: by method.
        lines: to draw.
        title: has places for the method's name and for what its lines end at.
        label: of the vertical axis.
        share: the values are from 0 to 1, drawn in percent, all panels to one scale.
    """
    from matplotlib.ticker import MaxNLocator

    scale, panels = 100 if share else 1, []
    series = {name: _of_lines([h.epochs for h in runs], lines) for name, runs in histories.items()}
    highest = max((float(high.max()) for found in series.values() for _, (_, _, high) in found), default=1.0)
    for name, found in series.items():
        if not found:
            continue
        ends = ", ".join(f"{line[0]} {scale * mean[-1]:.1f}" for line, (mean, _, _) in found)
        with panel(title.format(name, ends)) as drawn:
            for (_, _, colour, dash), (mean, low, high) in found:
                epochs = np.arange(1, len(mean) + 1)
                draw_line(drawn.axes, epochs.tolist(), (scale * mean).tolist(), color=colour, linestyle=dash)
                drawn.axes.fill_between(epochs, scale * low, scale * high, color=colour, alpha=0.15, lw=0)
            drawn.axes.set_xlabel("epoch")
            drawn.axes.set_ylabel(label)
            drawn.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if share:
                drawn.axes.set_ylim(0, min(100.0, 10 * np.ceil(10 * highest + 0.2)) + 1)
        panels.append((name, drawn))
    return panels


def balance_over_steps(histories: Histories, modalities: Sequence[str]) -> Figure:
    """The discrepancy ratio and the coefficients that follow from it (OGM-GE; Eq. (11) of SimAM²)."""
    panels = []
    for name, runs in histories.items():
        for column, label in (("ratio", "discrepancy ratio"), ("coefficient", "coefficient")):
            lines = [(m, f"{column}_{m}", modality_colour(i), DASHES[i % 2]) for i, m in enumerate(modalities)]
            found = _of_lines([h.steps for h in runs], lines)
            if not found:
                continue
            means = ", ".join(f"{line[0]} {np.nanmean(mean):.2f}" for line, (mean, _, _) in found)
            with panel(f"{label} of {name} over training steps; means over all steps: {means}") as drawn:
                for (_, _, colour, dash), (mean, _, _) in found:
                    draw_line(drawn.axes, *thin(mean.tolist()), color=colour, linestyle=dash, linewidth=1.2)
                drawn.axes.set_xlabel("step")
                if column == "ratio":
                    drawn.axes.set_yscale("log")
                    drawn.axes.axhline(1, color=INK, linewidth=0.8, linestyle=":")
                    _plain_log_labels(drawn.axes)
                else:
                    drawn.axes.set_ylim(-0.03, 1.05)
            panels.append((f"{name}: {label}", drawn))
    return Figure(
        "Discrepancy ratio and coefficients over steps",
        "A ratio above one means that the modality runs ahead of the others; the coefficient is what its gradient is "
        "multiplied by (under G-Blending, what the loss of its own head is; the joint head has the rest). Means over "
        "runs; long runs are averaged over segments of steps. Methods that do not modulate gradients have none.",
        panels,
        _modalities_legend(modalities),
    )


def class_norms(traces: Traces, modalities: Sequence[str], classes: Sequence[str]) -> Figure:
    """Length of the weight vector of each class, per modality (Fig. 3, c-d, of MMCosine)."""
    panels = []
    for name, runs in traces.items():
        found = {
            m: np.mean([t.norms[m] for t in runs if m in t.norms], axis=0) for m in modalities if _has(runs, "norms", m)
        }
        if not found:
            continue
        means = ", ".join(f"{m} {v.mean():.2f}" for m, v in found.items())
        with panel(f"Norms of class weights of {name}; means over classes: {means}") as drawn:
            positions = np.arange(len(classes))
            for i, modality in enumerate(modalities):
                if modality in found and len(classes) > _MOST_NAMED_CLASSES:
                    drawn.axes.plot(positions, found[modality], ".-", color=modality_colour(i), linewidth=0.6)
                elif modality in found:
                    width = 0.8 / len(modalities)
                    offset = (i - (len(modalities) - 1) / 2) * width
                    drawn.axes.bar(positions + offset, found[modality], width * 0.92, color=modality_colour(i))
            drawn.axes.set_ylim(bottom=0)
            if len(classes) <= _MOST_NAMED_CLASSES:
                labels = [_short(c, 10) for c in classes]
                long = sum(map(len, labels)) > 34
                drawn.axes.set_xticks(positions, labels, rotation=45 if long else 0, ha="right" if long else "center")
                drawn.axes.tick_params(axis="x", length=0)
            else:
                drawn.axes.set_xlabel("class")
            drawn.axes.grid(False, axis="x")
            drawn.axes.set_ylabel("norm of weights")
        panels.append((name, drawn))
    return Figure(
        "Weight norms per class and modality",
        "How long the head's weight vector of each class is in each modality, at the chosen epoch. Under a linear "
        "head, the modality with the longer weights rules the joint logits; under cosine logits (MMCosine) the length "
        "has no say. Means over runs. Methods whose head does not keep modalities apart are left out.",
        panels,
        _modalities_legend(modalities, solid=True),
    )


def angle_distributions(traces: Traces, modalities: Sequence[str]) -> Figure:
    """Angles between test features and the weights of their true class (Fig. 4 of MMCosine)."""
    panels = []
    edges = np.linspace(0, 180, 73)
    centres = (edges[1:] + edges[:-1]) / 2
    for position, modality in enumerate(modalities):
        colour = modality_colour(position)
        angles = {name: _angles(runs, modality) for name, runs in traces.items()}
        found = {name: values for name, values in angles.items() if values.size}
        if not found:
            continue
        densities = {name: _smooth(np.histogram(values, edges)[0] / values.size) for name, values in found.items()}
        tallest = max(d.max() for d in densities.values())
        medians = {name: float(np.median(values)) for name, values in found.items()}
        alt = f"Angles of {modality} features to their class centres, medians in degrees: " + ", ".join(
            f"{name} {median:.0f}" for name, median in medians.items()
        )
        with panel(alt, width=4.6, height=0.9 + 0.42 * len(found)) as drawn:
            axes = drawn.axes
            for row, (name, density) in enumerate(densities.items()):
                top, middle = row - 0.85 * density / tallest, medians[name]
                axes.fill_between(centres, row, top, color=colour, alpha=0.35, lw=0)
                axes.plot(centres, top, color=colour, linewidth=1)
                end = row - 0.85 * float(np.interp(middle, centres, density)) / tallest
                axes.plot([middle, middle], [row, end], color=INK, linewidth=1)
            axes.set_yticks(range(len(found)), [_short(n) for n in found])
            axes.set_ylim(len(found) - 0.7, -1)
            shown = np.flatnonzero(sum(densities.values()) > 1e-4)
            axes.set_xlim(max(0, edges[shown[0]] - 5), min(180, edges[shown[-1] + 1] + 5))
            axes.set_xlabel("angle to the true class, degrees")
        panels.append((modality, drawn))
    return Figure(
        "Angles to the class centres",
        "Distribution over test clips and runs of the angle between a modality's features and the head's weight "
        "vector of the true class; the upright line is the median. Smaller and narrower is more distinct; 90 "
        "degrees is no relation. Methods whose head has no weights for the modality's own features are left out.",
        panels,
        wide=True,
    )


def zeta_distributions(traces: Traces, modalities: Sequence[str]) -> Figure:
    """Superposition weights zeta of Eq. (4) of SimAM², where they are learned."""
    panels = []
    centres = (ZETA_EDGES[1:] + ZETA_EDGES[:-1]) / 2
    shown = modalities[:1] if len(modalities) == 2 else modalities  # of two, the other is one minus the first
    for name, runs in traces.items():
        found = {m: np.sum([t.zeta[m] for t in runs if m in t.zeta], axis=0) for m in shown if _has(runs, "zeta", m)}
        if not found:
            continue
        means = ", ".join(f"{m} {np.average(centres, weights=counts):.2f}" for m, counts in found.items())
        with panel(f"Distribution of zeta of {name}; means: {means}") as drawn:
            for i, m in enumerate(modalities):
                if m in found:
                    share = 100 * found[m] / found[m].sum()
                    drawn.axes.stairs(share, ZETA_EDGES, fill=True, color=modality_colour(i), alpha=0.35)
                    drawn.axes.stairs(share, ZETA_EDGES, color=modality_colour(i), linewidth=1)
            drawn.axes.axvline(1 / len(modalities), color=INK, linewidth=0.8, linestyle=":")
            drawn.axes.set_xlim(0, 1)
            drawn.axes.set_xlabel("zeta")
            drawn.axes.set_ylabel("% of weights")
        panels.append((name, drawn))
    other = f" ({modalities[1]} has one minus it)" if len(modalities) == 2 else ""
    return Figure(
        "Distribution of zeta",
        f"The learned weight of {' and '.join(shown)} in the superposition{other}, over test clips, channels and "
        "runs. The dotted line is an even share.",
        panels,
        _modalities_legend(shown, solid=True),
    )


def _of_lines(histories: Sequence[Mapping[str, Series]], lines: Sequence[_Line]) -> list[tuple[_Line, _Band]]:
    """The lines whose column any run has, with the mean, lowest and highest over runs."""
    found = [(line, mean_over_runs(histories, line[1])) for line in lines]
    return [(line, band) for line, band in found if band is not None]


def _ability(comparison: Comparison, name: str, modality: str) -> dict[str, float]:
    """Percentages of what was measured."""
    method = comparison.methods[name]
    means = {key: e.mean for key, e in {"joint": method.accuracy, **method.modalities.get(modality, {})}.items()}
    return {key: 100 * mean for key in _ABILITIES if (mean := means.get(key)) is not None}


def _angles(runs: Sequence[Trace], modality: str) -> Series:
    values: Series = np.concatenate([np.empty(0), *(t.angles[modality] for t in runs if modality in t.angles)])
    return values[np.isfinite(values)]


def _has(runs: Iterable[Trace], kind: str, modality: str) -> bool:
    return any(modality in getattr(trace, kind) for trace in runs)


def _modalities_legend(modalities: Sequence[str], *, solid: bool = False) -> list[Mark]:
    return [Mark(m, modality_colour(i), "s" if solid else DASHES[i % 2]) for i, m in enumerate(modalities)]


def _short(name: str, most: int = 26) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _smooth(density: np.ndarray, width: int = 2) -> np.ndarray:
    """A Gaussian of `width` bins over a histogram, its sum kept."""
    offsets = np.arange(-3 * width, 3 * width + 1)
    kernel = np.exp(-0.5 * (offsets / width) ** 2)
    return np.convolve(density, kernel / kernel.sum(), mode="same")


def _plain_log_labels(axes: Axes) -> None:
    """Ticks of a logarithmic axis as plain numbers; closer together where the axis spans little."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    wide = high > 6 * low
    axes.set_ylim(min(low, 0.9), max(high, 1.1))
    axes.yaxis.set_major_locator(
        LogLocator(base=10, subs=(1, 2, 5) if wide else (1, 1.25, 1.5, 2, 3, 4, 6, 8), numticks=12)
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_tick_params(which="minor", length=0)
