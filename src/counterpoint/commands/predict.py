"""`counterpoint predict`."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.commands.options import Parser
from counterpoint.commands.output_files import Own, json_of, picture, require_own, subtitles
from counterpoint.commands.runs import allocate_largely, run_at
from counterpoint.commands.terminal import table, terminal
from counterpoint.errors import ConfigError, DataError, MediaError, RunError

if TYPE_CHECKING:
    from counterpoint.data.events import Event
    from counterpoint.predict import Timeline
    from counterpoint.training.load import Run

_OWN: dict[str, Own] = {
    "json": json_of("file", "seconds", "run", "model", "classes", "events"),
    "vtt": subtitles,
    "srt": subtitles,
    "png": picture,
}
_LONGEST = 200  # bytes of a name
_ROWS = 20  # events printed of a file; all are in the files


def main(words: list[str]) -> None:
    """Say what happens when in media files of any length, as JSON, subtitles and a picture."""
    parser = Parser("predict", main.__doc__)
    parser.add_argument("clips", type=str, nargs="+", help="media files")
    parser.add_argument("--run", type=str, required=True, help="its folder, or one with config.json and weights")
    parser.add_argument("--output", type=str, help="folder of what is written; default: predictions in the run's")
    parser.add_argument("--formats", type=list[str], help="of json, vtt, srt and png; default: all")
    parser.add_argument("--hop", type=float, help="from window to window, seconds; default: half, classifiers a whole")
    parser.add_argument("--truth", type=str, help="CSV file of true events (clip,start,end,class), for the picture")
    options = parser.parse(words)
    allocate_largely()
    predict_files(**options)


def predict_files(
    clips: Sequence[str],
    run: str,
    output: str | None = None,
    formats: Sequence[str] | None = None,
    hop: float | None = None,
    truth: str | None = None,
) -> None:
    """Predict file by file, write what was found, and print it; a file that cannot be read does not stop the others.

    Args:
        clips: media files.
        run: folder of a run, or of a model with its ``config.json``.
        output: folder; None: ``predictions`` in the run's.
        formats: of `FORMATS`; None: all.
        hop: see `predict`.
        truth: CSV file of true events, for the pictures.

    Raises:
        RunError: no such run; or, at the end, some of several files could not be read.
        MediaError: the only file cannot be read.
        ConfigError: options that do not fit, or a file to be written is there and another's.
        DataError: `truth` is wrong, or names none of the files.
    """
    from counterpoint.predict import FORMATS
    from counterpoint.predict.files import check_formats
    from counterpoint.training.load import load_run

    chosen = check_formats(FORMATS if formats is None else formats)
    if truth is not None and "png" not in chosen:
        raise ConfigError("--truth is shown in the picture; add png to --formats")
    paths = list(dict.fromkeys(Path(clip) for clip in clips))
    loaded = load_run(run_at(run))
    known = None if truth is None else _truth(Path(truth), paths, loaded)
    folder = loaded.folder / "predictions" if output is None else Path(output)
    names = _names(paths)
    for name in names.values() if output is not None else ():  # a run's own folder is the run's
        for suffix in chosen:
            require_own(folder / f"{name}.{suffix}", _OWN[suffix])
    failures = []
    for path, name in names.items():
        events = None if known is None else known[path]
        if (error := _one(loaded, path, folder / name, chosen, hop, events)) is not None:
            failures.append(error)
            if len(paths) > 1:
                print(f"counterpoint predict: {error}", file=sys.stderr)
    if failures:
        if len(paths) == 1:
            raise failures[0]
        raise RunError(f"{len(failures)} of {len(paths)} files could not be read; the others are done")


def _one(
    run: Run, path: Path, stem: Path, formats: Sequence[str], hop: float | None, truth: Sequence[Event] | None
) -> MediaError | None:
    from counterpoint._progress import ProgressDisplay
    from counterpoint.predict import predict, write

    try:
        with ProgressDisplay() as display:
            timeline = predict(run, path, hop=hop, progress=display.callback(path.name))
        written = write(timeline, stem, formats, truth)
    except MediaError as error:
        return error
    _print(timeline, written)
    return None


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """What the files of each clip are called: as short as keeps them apart."""
    for names in ([path.stem for path in paths], [path.name for path in paths]):
        if len(set(names)) == len(names):
            return dict(zip(paths, map(_short, names), strict=True))
    whole = [path.absolute() for path in paths]
    above = Path(os.path.commonpath([path.parent for path in whole]))
    return {path: _short("-".join(full.relative_to(above).parts)) for path, full in zip(paths, whole, strict=True)}


def _short(name: str) -> str:
    """A name that has room for a suffix: file systems take 255 bytes. A longer one ends in a digest of it."""
    whole = os.fsencode(name)
    if len(whole) <= _LONGEST:
        return name
    return f"{whole[: _LONGEST - 17].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:16]}"


def _truth(file: Path, paths: Sequence[Path], run: Run) -> Mapping[Path, tuple[Event, ...]]:
    """Per clip the true events; a clip is named by its path, the end of its path, its file name, with suffix or not."""
    from counterpoint.data.events import read_events

    events = read_events(file, lambda row: row["clip"], run.classes)

    def means(clip: str, path: Path) -> bool:
        return any(f"/{each.absolute().as_posix()}".endswith(f"/{clip}") for each in (path, path.with_suffix("")))

    found = {path: [clip for clip in events if means(clip, path)] for path in paths}
    if not any(found.values()):
        raise DataError(f"{file} names none of the files; its column 'clip' must hold names such as {paths[0].name}")
    return {path: tuple(event for clip in named for event in events[clip]) for path, named in found.items()}


def _print(timeline: Timeline, written: Sequence[Path]) -> None:
    console = terminal()
    title = f"{timeline.path.name}: {timeline.seconds:.2f} s by {timeline.model}"
    shown = table("start", "end", "class", "confidence", title=title, right=("start", "end", "confidence"))
    events = timeline.events
    for event in events[:_ROWS]:
        name = timeline.classes[event.label]
        shown.add_row(f"{event.start:.2f} s", f"{event.end:.2f} s", name, f"{event.confidence:.1%}")
    if events:
        console.print(shown)
    else:
        console.print(f"{title}: no event")
    if len(events) > _ROWS:
        console.print(f"and {len(events) - _ROWS} more")
    for part in timeline.undecodable:
        console.print(f"Undecodable: {part.start:.2f} to {part.end:.2f} s ({part.reason})", soft_wrap=True)
    for note in timeline.notes:
        console.print(f"Note: the file {note}")
    files = ", ".join(path.name for path in written)
    console.print(f"Written: {files} in {written[0].parent}\n", soft_wrap=True)
