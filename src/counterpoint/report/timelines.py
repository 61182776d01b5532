"""What localisers found in a few test clips, segment by segment, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from counterpoint.analysis.traces import Trace
from counterpoint.report.plotting import Figure, Mark, panel

_CLIPS = 6
# White text stands on them, on light pages and on dark ones.
_TRUE, _FOUND = "#5b6472", {True: "#1b7f5c", False: "#b3443c"}


def timelines(traces: Mapping[str, Sequence[Trace]], classes: Sequence[str]) -> Figure:
    """Strips of segments, a panel per clip: the true events above, and below what each method's first run found.

    The clips are spread evenly over the test split, so that nobody has chosen them. Without panels where nothing is
    localised.

    Args:
        traces: method -> its runs.
        classes: names, background not counted.
    """
    first = {name: runs[0] for name, runs in traces.items() if runs and runs[0].target.ndim == 2}
    background = len(classes)
    names = [*classes, "background"]
    panels = []
    for clips, k in _spread(first):
        rows = {"truth": clips.target[k], **{name: trace.found[k] for name, trace in first.items()}}
        said = "; ".join(f"{name}: {', '.join(names[c] for c in row)}" for name, row in rows.items())
        with panel(f"Segments of clip {clips.ids[k]}. {said}", width=4.6, height=0.7 + 0.3 * len(rows)) as drawn:
            axes = drawn.axes
            for y, row in enumerate(rows.values()):
                for x, label in enumerate(row.tolist()):
                    if label == background:
                        continue
                    right = label == rows["truth"][x]
                    axes.barh(y, 1, left=x, height=0.78, color=_TRUE if y == 0 else _FOUND[bool(right)], linewidth=0)
                    if x == 0 or row[x - 1] != label:
                        axes.text(x + 0.08, y, names[label], color="white", fontsize=7, va="center", clip_on=True)
            axes.set_yticks(range(len(rows)), list(rows))
            axes.set_xlim(0, len(rows["truth"]))
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_xlabel("segment")
        panels.append((str(clips.ids[k]), drawn))
    return Figure(
        "What was found when",
        f"{len(panels)} test clips, spread evenly over the split. Above what happens, below what each method's first "
        "run finds; empty is background.",
        panels,
        [Mark("true", _TRUE, "s"), Mark("found, right", _FOUND[True], "s"), Mark("found, wrong", _FOUND[False], "s")],
        wide=True,
    )


def _spread(first: Mapping[str, Trace]) -> list[tuple[Trace, int]]:
    """Clips of the split, which all methods have alike."""
    clips = next(iter(first.values()), None)
    if clips is None:
        return []
    return [(clips, k) for k in dict.fromkeys(np.linspace(0, len(clips.ids) - 1, _CLIPS).astype(int).tolist())]
