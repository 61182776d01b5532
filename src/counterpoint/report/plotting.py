"""Matplotlib figures as inline SVG that follows the page's colours and pulls in nothing from outside.

Every panel is a picture of its own, and the page lays panels out, so that they stand side by side on a wide screen and
below each other on a phone without their text shrinking. Legends are text of the page for the same reason.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010203"  # stands for the page's text colour; no other part of a figure may use it
JOINT = INK
PALETTE = ("#d9730d", "#2f86c9", "#3c9a5f", "#a05fb4", "#b58900", "#c94f6d")
DASHES = ("-", "--", ":", "-.")

_numbers = itertools.count(1)
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, sharp, and can be searched
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,  # a class may be called "$1"
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.6,
}


def modality_colour(position: int) -> str:
    """The colour of the modality at that position; the joint model has the colour of the text."""
    return PALETTE[position % len(PALETTE)]


class Panel:
    """One small figure: draw on `axes`; the rest is there when that is done.

    Attributes:
        alt: what it shows, for those who do not see it.
        axes: to draw on.
        view_box: of the SVG.
        width: pixels that it takes at most.
        elements: what is inside the ``<svg>``; its text is escaped.
    """

    axes: Axes
    view_box: str
    width: int
    elements: str

    def __init__(self, alt: str) -> None:
        self.alt = alt


class Mark(NamedTuple):
    """An entry of a legend.

    Attributes:
        label: what is marked so.
        colour: of the mark.
        mark: a dash (``"-"``, ``"--"``, ``":"``, ``"-."``) or a marker (``"o"``, ``"s"``, ``"^"``, ``"D"``, or ``"|"``
            for a dashed upright line).
    """

    label: str
    colour: str
    mark: str


class Figure(NamedTuple):
    """A figure of several panels.

    Attributes:
        title: its heading.
        caption: what it shows and how to read it.
        panels: title and drawing of each.
        legend: may be empty.
        wide: panels need more room than usual.
    """

    title: str
    caption: str
    panels: Sequence[tuple[str, Panel]]
    legend: Sequence[Mark] = ()
    wide: bool = False


@contextmanager
def panel(alt: str, *, width: float = 3.6, height: float = 2.3) -> Iterator[Panel]:
    """Make a panel.

    Args:
        alt: what the picture shows, for those who do not see it.
        width: inches, at 96 pixels each before the page scales it.
        height: inches.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing

    with matplotlib.rc_context(STYLE):
        figure = Drawing(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        made = Panel(alt)
        made.axes = figure.add_subplot()
        yield made
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
        made.view_box, made.elements = _inline(file.getvalue())
        made.width = round(float(made.view_box.split()[2]) * 4 / 3)


def draw_line(axes: Axes, x: Sequence[float], y: Sequence[float], **style: Any) -> None:
    """Draw a line; of a single point, which makes none, a dot."""
    axes.plot(x, y, marker="o" if len(x) == 1 else None, markersize=4, **style)


def _inline(svg: str) -> tuple[str, str]:
    """The view box of an SVG file, and its elements for an HTML page: no metadata, no addresses, ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href", "href").replace(INK, "currentColor")
    mark = f"f{next(_numbers)}-"
    svg = re.sub(r'\bid="', f'id="{mark}', svg)
    svg = re.sub(r"url\(#", f"url(#{mark}", svg)
    svg = re.sub(r'href="#', f'href="#{mark}', svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)  # the family comes from the page
    svg = re.sub(r"(\d\.\d{2})\d+", r"\1", svg)  # a hundredth of a point is finer than any screen
    head = re.match(r"<svg[^>]*>", svg)
    assert head is not None
    size = re.search(r'viewBox="([^"]*)"', head[0])
    assert size is not None
    return size[1], re.sub(r"\n\s*", "\n", svg[head.end() :]).strip()


def thin(values: Sequence[float], most: int = 150) -> tuple[list[float], list[float]]:
    """Positions and means of at most `most` equal segments of a long series; NaN is left out of the means."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    edges = np.linspace(0, len(array), min(most, len(array)) + 1).round().astype(int)
    centres, means = [], []
    for start, stop in itertools.pairwise(edges):
        part = array[start:stop]
        part = part[np.isfinite(part)]
        if part.size:
            centres.append((start + stop - 1) / 2)
            means.append(float(part.mean()))
    return centres, means
