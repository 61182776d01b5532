"""Finds media files by their names, in whatever folders they lie."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from counterpoint._limits import FILES
from counterpoint.errors import DataError
from counterpoint.media.clip import STILLS

VIDEOS = frozenset({".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"})
SOUNDS = frozenset({".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"})
PICTURES = STILLS


def files_by_name(root: Path, suffixes: Collection[str], doubles: list[Path] | None = None) -> dict[str, Path]:
    """Every file with one of the suffixes in a folder and the folders in it: name without suffix -> path.

    Hidden folders are passed over. Of several with one name, that whose path sorts first counts.

    Args:
        root: the folder.
        suffixes: in small letters, with their dots.
        doubles: to which the others of one name are added.
    """
    found: dict[str, Path] = {}
    for path in files_below(root):
        if path.suffix.lower() in suffixes and found.setdefault(path.stem, path) != path and doubles is not None:
            doubles.append(path)
    return found


def note_doubles(doubles: Sequence[Path], root: Path) -> tuple[str, ...]:
    """A note on files that share their name with another, which is read instead; none where there are none."""
    if not doubles:
        return ()
    return (f"Left out: {len(doubles)} files that share their name with another, e.g. {doubles[0].relative_to(root)}.",)


def files_below(root: Path) -> Iterator[Path]:
    """Every file in a folder and the folders in it, in order of name; nothing hidden, and no folder behind a link.

    Raises:
        DataError: there are more than any dataset has.
    """
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        count += len(names) + len(folders)
        if count > FILES:
            raise DataError(f"{root} has more than {FILES:,} files, which no dataset has; is it another folder?")
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def first_spelling(names: Iterable[str], files: Mapping[str, Path]) -> Path | None:
    """The file that is there under the first of several names."""
    return next((files[name] for name in names if name in files), None)


def cut_names(video: str, start: int, end: int) -> tuple[str, ...]:
    """How tools that cut seconds `start` to `end` out of the online video `video` name the result."""
    return (
        f"{video}_{start:06d}",  # VGGSound
        f"{video}_{start:06d}_{end:06d}",  # Kinetics
        f"{video}_{start}",
        f"{video}_{start}_{end}",
        f"{video}_{start * 1000}_{end * 1000}",  # milliseconds, as the AudioSet tools write
    )


def find_list(root: Path, given: str | None, names: Collection[str]) -> Path | None:
    """A list file: that which the user gave, else one of the names in `root` or a folder in it.

    Args:
        root: folder of the dataset.
        given: path of the file, or of a folder that holds it; None: look for it.
        names: what it may be called.
    """
    if given is not None:
        path = Path(given).expanduser()
        places = [path] if not path.is_dir() else [path / name for name in names]
    else:
        folders = [root, *sorted(p for p in root.iterdir() if p.is_dir())] if root.is_dir() else []
        places = [folder / name for folder in folders for name in names]
    return next((place for place in places if place.is_file()), None)
