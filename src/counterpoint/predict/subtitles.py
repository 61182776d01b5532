"""Events as subtitles, which players show over the file: SRT and WebVTT."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from counterpoint.predict.timeline import Timeline

# SRT knows no escapes: players take these for the beginning of a tag, and show or hide what follows, each as it likes.
_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")"})


def srt(timeline: Timeline) -> str:
    """SubRip: numbered cues, times to the millisecond with a comma. UTF-8."""
    cues = []
    for number, (start, end, text) in enumerate(_cues(timeline), 1):
        cues.append(f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text.translate(_LOOKALIKES)}\n")
    return "\n".join(cues)


def webvtt(timeline: Timeline) -> str:
    """WebVTT: as browsers take it in a ``<track>``. UTF-8."""
    cues = ["WEBVTT\n"]
    for start, end, text in _cues(timeline):
        cues.append(f"{_clock(start, '.')} --> {_clock(end, '.')}\n{escape(text, quote=False)}\n")
    return "\n".join(cues)


def _cues(timeline: Timeline) -> Iterator[tuple[int, int, str]]:
    """Start and end in milliseconds, and one line of text; cues follow one another without overlap."""
    after = 0
    for event in timeline.events:
        start, end = max(after, round(event.start * 1000)), round(event.end * 1000)
        if start < end:
            name = " ".join(timeline.classes[event.label].split())  # an empty line would end the cue
            yield start, end, f"{name} ({event.confidence:.0%})"
            after = end


def _clock(milliseconds: int, mark: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{milliseconds:03}"
