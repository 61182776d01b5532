"""Draw MMCosine's figures from our runs: accuracy over epochs, norms, angles, the gap of the probes, and the scale s.

    python benchmarks/grid/mmcosine_figures.py runs/letters-mmcosine runs/letters-scale docs

Writes mmcosine.png (Fig. 3, a and c-d, Fig. 4 and Table 2 of MMCosine) and mmcosine-scale.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from markdown import Json, read
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from counterpoint.analysis.analyse_run import TRACE
from counterpoint.analysis.traces import load_trace
from counterpoint.report.history import mean_over_runs, read_history
from counterpoint.report.plotting import JOINT, PALETTE, STYLE

AUDIO, VISUAL = PALETTE[:2]
COLOURS = {"audio": AUDIO, "visual": VISUAL}
VANILLA, COSINE = "concat", "mmcosine"


def run_folders(folder: Path, comparison: Json, method: str) -> list[Path]:
    return [folder / run["folder"] for run in comparison["methods"][method]["runs"]]


def draw_epochs(axes: Axes, runs: list[Path], title: str) -> None:
    histories = [read_history(run).epochs for run in runs]
    lines = {"joint": ("val_accuracy", JOINT)}
    lines |= {modality: (f"val_accuracy_{modality}", colour) for modality, colour in COLOURS.items()}
    for label, (column, colour) in lines.items():
        series = mean_over_runs(histories, column)
        assert series is not None, f"{runs[0]} tells no {column}"
        mean, low, high = (100 * values for values in series)
        epochs = np.arange(1, len(mean) + 1)
        axes.plot(epochs, mean, color=colour, label=label, linestyle="-" if label == "joint" else "--")
        axes.fill_between(epochs, low, high, color=colour, alpha=0.12, lw=0)
    axes.set(title=title, xlabel="epoch", ylabel="validation top-1, %", ylim=(0, 101))
    axes.legend(frameon=False, loc="center right")


def draw_norms(axes: Axes, runs: list[Path], title: str) -> None:
    traces = [load_trace(run / TRACE) for run in runs]
    for modality, colour in COLOURS.items():
        norms = np.mean([trace.norms[modality] for trace in traces], axis=0)
        axes.plot(norms, ".-", color=colour, label=modality, linewidth=0.8)
    axes.set(title=title, xlabel="class", ylabel="norm of the class's weights")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc="lower right")


def draw_angles(axes: Axes, runs: Mapping[str, list[Path]], modality: str) -> None:
    bins = np.linspace(0, 130, 66)
    for (name, folders), colour in zip(runs.items(), (VISUAL, AUDIO), strict=True):  # blue and orange, as the paper's
        angles = np.concatenate([load_trace(folder / TRACE).angles[modality] for folder in folders])
        label = f"{name}: {np.median(angles):.0f} ± {np.std(angles):.0f}"
        axes.hist(angles, bins, density=True, color=colour, alpha=0.5, label=label)
    axes.set(title=f"angles to the true class, {modality}", xlabel="degrees (median ± standard deviation)")
    axes.set_yticks([])
    axes.set_ylim(top=1.4 * axes.get_ylim()[1])  # room for the legend
    axes.legend(frameon=False, loc="upper left")


def draw_gap(axes: Axes, comparison: Json) -> None:
    methods = comparison["methods"]
    for row, method in enumerate(methods.values()):
        probes = {m: 100 * method["modalities"][m]["probe"]["mean"] for m in COLOURS}
        axes.plot(list(probes.values()), [row, row], color=JOINT, alpha=0.3, zorder=1)
        for modality, value in probes.items():
            axes.scatter(value, row, color=COLOURS[modality], label=modality if row == 0 else None, zorder=2)
        gap = probes["audio"] - probes["visual"]
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(sum(probes.values()) / 2, row, f"{gap:.0f}", ha="center", va="center", bbox=box)
    for modality, alone in comparison["alone"].items():
        label = f"{modality} alone"
        axes.axvline(100 * alone["scores"]["accuracy"]["mean"], color=COLOURS[modality], linestyle=":", label=label)
    axes.set_yticks(range(len(methods)), list(methods))
    axes.set(title="linear probes of the encoders, and the gap between them", xlabel="test top-1, %", xlim=(0, 101))
    axes.set_ylim(len(methods) - 0.4, -0.7)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=4)


def draw_letters(folder: Path) -> Figure:
    comparison = read(folder)
    runs = {method: run_folders(folder, comparison, method) for method in (VANILLA, COSINE)}
    figure = Figure(figsize=(9, 12), layout="constrained")
    grid = figure.add_gridspec(4, 2, height_ratios=[1, 1, 1, 1.5])
    for draw, row in ((draw_epochs, 0), (draw_norms, 1)):
        pair = [figure.add_subplot(grid[row, 0])]
        pair.append(figure.add_subplot(grid[row, 1], sharey=pair[0]))
        for axes, (method, folders) in zip(pair, runs.items(), strict=True):
            draw(axes, folders, method)
    for column, modality in enumerate(COLOURS):
        draw_angles(figure.add_subplot(grid[2, column]), runs, modality)
    draw_gap(figure.add_subplot(grid[3, :]), comparison)
    return figure


def draw_scale(folder: Path) -> Figure:
    methods = read(folder)["methods"]
    scales = [float(name.removeprefix("scale-")) for name in methods]
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.add_subplot()
    lines = {"joint": ([m["scores"]["accuracy"] for m in methods.values()], JOINT, "-")}
    for modality, colour in COLOURS.items():
        for view, dash in (("decoupled", "-"), ("probe", ":")):
            values = [m["modalities"][modality][view] for m in methods.values()]
            lines[f"{modality}: {view}"] = (values, colour, dash)
    for label, (values, colour, dash) in lines.items():
        means, halves = (100 * np.array([v[key] for v in values]) for key in ("mean", "half_width"))
        axes.errorbar(scales, means, halves, color=colour, linestyle=dash, marker="o", markersize=4, label=label)
    for method, scale in zip(methods.values(), scales, strict=True):
        if "p = " in method["title"]:
            axes.axvline(scale, color=JOINT, alpha=0.25, linewidth=0.8)
            axes.text(scale, 104, method["title"].rsplit("for ", 1)[1], rotation=90, va="bottom", ha="center")
    axes.set_xscale("log")
    axes.set_xticks(scales, [f"{scale:g}" for scale in scales])
    axes.minorticks_off()
    axes.set(xlabel="scale s; upright lines: Eq. (4)", ylabel="test top-1, %", ylim=(0, 103))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("letters", type=Path, help="the comparison of letters_mmcosine.yaml")
    parser.add_argument("scale", type=Path, help="the comparison of scale.py")
    parser.add_argument("output", type=Path, help="folder of the pictures")
    options = parser.parse_args()
    with mpl.rc_context({**STYLE, "font.size": 9}):
        for name, draw, folder in (
            ("mmcosine.png", draw_letters, options.letters),
            ("mmcosine-scale.png", draw_scale, options.scale),
        ):
            draw(folder).savefig(options.output / name, dpi=110)


if __name__ == "__main__":
    main()
