"""A timeline to files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from counterpoint._atomic import to_json, write_text
from counterpoint.data.events import Event
from counterpoint.errors import ConfigError
from counterpoint.predict.subtitles import srt, webvtt
from counterpoint.predict.timeline import Timeline
from counterpoint.registry import did_you_mean

_TEXT: dict[str, Callable[[Timeline], str]] = {
    "json": lambda timeline: to_json(timeline.to_dict()) + "\n",
    "vtt": webvtt,
    "srt": srt,
}
FORMATS = (*_TEXT, "png")
"""Names of files that a timeline can be written to."""


def check_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """The names, each once.

    Raises:
        ConfigError: none, or one that is not known.
    """
    chosen = tuple(dict.fromkeys(formats))
    for name in chosen:
        if name not in FORMATS:
            raise ConfigError(f"There is no format {name!r}.{did_you_mean(name, FORMATS)}")
    if not chosen:
        raise ConfigError(f"no formats are asked for; choose among {', '.join(FORMATS)}")
    return chosen


def write(
    timeline: Timeline, stem: Path, formats: Iterable[str] = FORMATS, truth: Iterable[Event] | None = None
) -> list[Path]:
    """Write ``<stem>.json`` and so on; existing files are replaced, folders made.

    Args:
        timeline: of a file that is still there, if a picture is asked for.
        stem: the files' path without suffix.
        formats: of `FORMATS`.
        truth: events to be shown beside the predicted ones in the picture.

    Returns:
        The paths written.

    Raises:
        ConfigError: a format that is not known.
        MediaError: the timeline's file cannot be read again for the picture.
    """
    formats = check_formats(formats)
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for name in formats:
        path = stem.with_name(f"{stem.name}.{name}")
        if name in _TEXT:
            # A file's name may hold bytes that are no text.
            write_text(path, _TEXT[name](timeline).encode("utf-8", "replace").decode("utf-8"), shared=True)
        else:
            from counterpoint.predict.picture import draw

            draw(timeline, path, truth)
        written.append(path)
    return written
