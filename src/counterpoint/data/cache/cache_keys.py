"""Which files, and which segment of them, each clip of a table is decoded from."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator, Sequence
from pathlib import Path

from counterpoint.data.cache.shards import File, Key
from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.media.files import what_is_wrong


def keys_of(table: ClipTable, modalities: Sequence[str]) -> tuple[dict[str, Key], dict[str, str]]:
    """What each clip of a table is decoded from, with its files as they are now.

    Args:
        table: the clips.
        modalities: what is wanted of them.

    Returns:
        Clip id -> key, and clip id -> reason for files that need not be opened to know that they are no media.
    """
    keys: dict[str, Key] = {}
    failed: dict[str, str] = {}
    look = functools.cache(_look_at)  # several clips may be stretches of one file
    for clip in table.clips:
        keys[clip.id] = Key(
            *look(clip.path)[0],
            start=float(clip.start),
            end=None if clip.end is None else float(clip.end),
            audio=None if clip.audio is None else look(clip.audio)[0],
            landmarks=None if clip.landmarks is None else look(clip.landmarks)[0],
            landmarks_size=clip.landmarks_size,
        )
        for what, path in _needed(clip, modalities):
            if reason := look(path)[1]:
                failed.setdefault(clip.id, f"its {what} {path.name}: {reason}" if what else reason)
    return {clip: key for clip, key in keys.items() if clip not in failed}, failed


def _needed(clip: Clip, modalities: Sequence[str]) -> Generator[tuple[str, Path]]:
    """The files that must be there, and what each is beside the clip's own."""
    if "visual" in modalities or clip.audio is None:
        yield "", clip.path
    if "audio" in modalities and clip.audio is not None:
        yield "sound", clip.audio
    if "visual" in modalities and clip.landmarks is not None:
        yield "landmarks", clip.landmarks


def _look_at(path: Path) -> tuple[File, str]:
    """A file, and why it cannot be used, if so."""
    wrong, size, changed = what_is_wrong(path), -1, 0
    with contextlib.suppress(OSError, ValueError):
        if path.is_file():
            found = path.stat()
            size, changed = found.st_size, found.st_mtime_ns
    return File(str(path.absolute()), size, changed), wrong
