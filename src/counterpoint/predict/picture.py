"""The timeline as a picture: frames, spectrogram, predicted events and, where they are known, the true ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from counterpoint._atomic import writing
from counterpoint.data.events import Event
from counterpoint.media.decode import probe
from counterpoint.predict.overview import aspect, frames_at, spectrogram
from counterpoint.predict.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_WIDTH, _RIGHT, _TOP, _BOTTOM, _GAP = 10.0, 0.3, 0.42, 0.55, 0.08
_FRAMES, _SOUND, _LANE = 0.75, 1.1, 0.3
_LETTER = 0.075  # about as wide as a letter of a label

_MOST_FRAMES = 12
_PREDICTED, _TRUE, _MISSING = "#2f86c9", "#d9730d", "#b0b0b0"
_STYLE: Any = {
    "font.size": 9,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "text.parse_math": False,  # a class may be called "$1"
    "hatch.linewidth": 0.6,
}


def draw(timeline: Timeline, path: Path, truth: Iterable[Event] | None = None) -> None:
    """Write a PNG file.

    Every class that occurs has a line. Predicted events are filled, the paler the less confident; true ones are
    outlined below them. What could not be decoded is hatched.

    Args:
        timeline: of a file that is still there; it is read again, for a few frames and its sound.
        path: of the PNG file.
        truth: events of the file, labels being those of the timeline's classes; None: not known.

    Raises:
        MediaError: the file cannot be read again.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = None if truth is None else [event for event in truth if event.start < timeline.seconds]
    shown = sorted({event.label for event in (*timeline.events, *(known or ()))})
    names = [_short(timeline.classes[label]) for label in shown]
    info = probe(timeline.path)
    heights = {"lanes": _LANE * (1.5 if known else 1) * max(1, len(shown)) + 0.1}
    if info.audio_codec is not None:
        heights["sound"] = _SOUND
    if info.video_codec is not None:
        heights["frames"] = _FRAMES
    height = sum(heights.values()) + _GAP * (len(heights) - 1) + _TOP + _BOTTOM
    left = 0.35 + _LETTER * max([6, *(len(name) for name in names)])

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), dpi=150)
        FigureCanvasAgg(figure)
        axes, bottom = {}, _BOTTOM
        for name, high in heights.items():
            box = (left / _WIDTH, bottom / height, (_WIDTH - left - _RIGHT) / _WIDTH, high / height)
            axes[name] = figure.add_axes(box)
            axes[name].set_xlim(0, timeline.seconds)
            axes[name].set_yticks([])
            bottom += high + _GAP
        for name in heights.keys() - {"lanes"}:
            axes[name].set_xticks([])
        _draw_lanes(axes["lanes"], timeline, known, shown, names)
        _title(figure, timeline, known, left, height)
        if "sound" in axes:
            _draw_sound(axes["sound"], timeline)
        if "frames" in axes:
            _draw_frames(axes["frames"], timeline, (_WIDTH - left - _RIGHT) / _FRAMES)
        for name in axes.keys() - {"frames"}:
            for part in timeline.undecodable:
                axes[name].axvspan(
                    part.start, part.end, facecolor="white", edgecolor=_MISSING, hatch="////", linewidth=0
                )
        with writing(path, shared=True) as unfinished:
            figure.savefig(unfinished, format="png", metadata={"Software": "counterpoint"})


def _title(figure: Figure, timeline: Timeline, truth: Sequence[Event] | None, left: float, height: float) -> None:
    from matplotlib.patches import Patch

    number = len(timeline.events)
    what = f"{number} event{'s' * (number != 1)}" if timeline.task == "localise" else "classified"
    figure.text(
        left / _WIDTH,
        1 - _TOP / 2 / height,
        f"{_short(timeline.path.name, 60)}  ·  {timeline.model}: {what}",
        va="center",
        weight="bold",
    )
    handles = [Patch(color=_PREDICTED, label="predicted")]
    if truth is not None:
        handles.append(Patch(facecolor="none", edgecolor=_TRUE, linewidth=1.2, label="true"))
    if timeline.undecodable:
        handles.append(Patch(facecolor="white", edgecolor=_MISSING, hatch="////", label="could not be decoded"))
    figure.legend(
        handles=handles,
        loc="center right",
        bbox_to_anchor=(1 - _RIGHT / _WIDTH, 1 - _TOP / 2 / height),
        ncols=len(handles),
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.4,
    )


def _draw_lanes(
    axes: Axes, timeline: Timeline, truth: Sequence[Event] | None, shown: Sequence[int], names: Sequence[str]
) -> None:
    lane = {label: len(shown) - 1 - k for k, label in enumerate(shown)}
    axes.set_ylim(-0.5, max(1, len(shown)) - 0.5)
    low, tall = (-0.04, 0.42) if truth is not None else (-0.36, 0.72)
    inches = axes.get_window_extent().width / axes.get_figure().dpi  # type: ignore[union-attr]
    for event in timeline.events:
        length = event.end - event.start
        pale = 0.25 + 0.75 * event.confidence
        at = lane[event.label] + low
        axes.broken_barh([(event.start, length)], (at, tall), color=_PREDICTED, alpha=pale, linewidth=0.5)
        if length / timeline.seconds * inches > 0.42:
            axes.text(
                event.start + length / 2,
                at + tall / 2 - 0.02,
                f"{event.confidence:.0%}",
                ha="center",
                va="center",
                size=7.5,
                color="white" if pale > 0.6 else "black",
            )
    for known in truth or ():
        length = min(known.end, timeline.seconds) - known.start
        axes.broken_barh(
            [(known.start, length)],
            (lane[known.label] - 0.38, 0.26),
            facecolor="none",
            edgecolor=_TRUE,
            linewidth=1.2,
        )
    axes.set_yticks([lane[label] for label in shown], names)
    axes.tick_params(axis="y", length=0)
    for edge in range(len(shown) - 1):
        axes.axhline(edge + 0.5, color="0.9", linewidth=0.6, zorder=0)
    if not shown:
        axes.text(timeline.seconds / 2, 0, "no event", ha="center", va="center", color="0.4")
    _time_axis(axes, timeline.seconds)


def _time_axis(axes: Axes, seconds: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
    step = next((step for step in steps if seconds / step <= 14), seconds / 10)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    if seconds <= 60:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: f"{time:g}"))
        axes.set_xlabel("seconds")
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: f"{int(time) // 60}:{int(time) % 60:02}"))
        axes.set_xlabel("minutes:seconds")


def _draw_sound(axes: Axes, timeline: Timeline) -> None:
    power = spectrogram(timeline.path, timeline.seconds)
    heard = power[np.isfinite(power)]
    loudest = float(np.percentile(heard, 99.5)) if heard.size else 0.0
    axes.imshow(
        power,
        origin="lower",
        aspect="auto",
        extent=(0, timeline.seconds, 0, 1),
        cmap="magma",
        vmin=loudest - np.log(1e6),  # 60 dB
        vmax=loudest,
        interpolation="nearest",
    )
    axes.set_ylabel("sound", rotation=0, ha="right", va="center")


def _draw_frames(axes: Axes, timeline: Timeline, room: float) -> None:
    """As many frames as stand side by side in `room` heights of one, each above its moment."""
    axes.axis("off")
    shape = aspect(timeline.path)
    number = max(1, min(_MOST_FRAMES, int(room / (shape * 1.04))))
    times = [(k + 0.5) * timeline.seconds / number for k in range(number)]
    wide = shape / room * timeline.seconds
    for time, frame in zip(times, frames_at(timeline.path, times), strict=True):
        if frame is not None:
            axes.imshow(frame, extent=(time - wide / 2, time + wide / 2, 0, 1), aspect="auto", interpolation="bilinear")
    axes.set_xlim(0, timeline.seconds)
    axes.set_ylim(0, 1)


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
