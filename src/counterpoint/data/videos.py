"""Videos of which nothing but the file is known, as clips."""

from __future__ import annotations

import math
from pathlib import Path

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.datasets.folder import SUFFIXES
from counterpoint.data.io.media_files import files_below
from counterpoint.errors import DatasetNotFoundError, MediaError
from counterpoint.media.measure import measure
from counterpoint.media.spec import MediaSpec


def list_videos(root: Path, media: MediaSpec) -> ClipTable:
    """Every video in a folder and the folders in it, cut into clips one after the other; their classes are unknown.

    Args:
        root: the folder.
        media: of it the length of a clip counts here; the last clip of a video may be shorter.

    Raises:
        DatasetNotFoundError: there is none.
    """
    files = sorted(path for path in files_below(root) if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise DatasetNotFoundError(f"There is no video in {root}; known are {', '.join(sorted(SUFFIXES))}")
    clips, notes, seconds = [], [], media.seconds
    for path in files:
        name = path.relative_to(root).as_posix()
        try:
            measured = measure(path)
        except MediaError:  # told when it is its turn
            clips.append(Clip(name, path, 0, "test", name))
            continue
        notes += [f"{name}: {remark}" for remark in measured.remarks]
        count = max(1, math.ceil(measured.seconds / seconds - 0.01))  # a few frames too long is no further clip
        for k in range(count):
            title = name if count == 1 else f"{name}@{k * seconds:g}"
            end = min((k + 1) * seconds, measured.seconds) or None
            clips.append(Clip(title, path, 0, "test", name, k * seconds, end))
    return ClipTable(f"videos/{root.resolve().name}", (), tuple(clips), media, tuple(notes))
