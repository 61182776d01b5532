"""Decodes each clip of a table once, into shards, and sets aside what cannot be read."""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.data import decode_worker
from counterpoint.data.clips import Clip, ClipTable
from counterpoint.data.cores import cores
from counterpoint.data.csvfile import is_lfs_pointer
from counterpoint.data.decode_worker import Answer
from counterpoint.data.decoders import decode_apart, decode_here
from counterpoint.data.events import segment_classes
from counterpoint.data.judge import check_max_bad, judge, usable_clips
from counterpoint.data.places import cache_root
from counterpoint.data.shards import SHARD_BYTES, Array, File, Key, Place, ShardFolder, array_shapes, clip_bytes
from counterpoint.errors import ConfigError, DataError
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

if TYPE_CHECKING:
    from counterpoint.data.torch_dataset import ClipDataset

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
_LFS_BYTES = 1024  # pointers are smaller; larger files need not be opened to know


@dataclass(frozen=True)
class PreparedClips:
    """A table whose clips are decoded.

    Attributes:
        table: as listed, with the clips that were set aside.
        spec: shape of the decoded clips.
        modalities: what was decoded of them.
        set_aside: clip id -> why it is not used; includes what the table refused before decoding.
        decoded: clips that were opened in this call; the others were in the cache, read or set aside before.
        segments: into how many parts the clips of :meth:`split` are cut to say when something happens in them; None:
            each has one class.
    """

    table: ClipTable
    spec: MediaSpec
    modalities: tuple[str, ...]
    set_aside: dict[str, str]
    decoded: int
    places: dict[str, Place] = field(repr=False)
    segments: int | None = None

    def clips(self, split: str) -> Sequence[Clip]:
        """The usable clips of a split, in table order.

        Raises:
            DataError: there is no such split, or it is empty.
        """
        return usable_clips(self.table, self.places, split)

    def split(self, split: str) -> ClipDataset:
        """The usable clips of a split as a torch dataset.

        Raises:
            DataError: there is no such split, or it is empty.
        """
        from counterpoint.data.torch_dataset import ClipDataset

        clips, table, classes = self.clips(split), self.table, None
        if self.segments is not None:
            events = table.events or {}
            each = (events.get(clip.id, ()) for clip in clips)
            classes = [segment_classes(e, self.spec.seconds, self.segments, table.background) for e in each]
        return ClipDataset(clips, self.places, self.spec, self.modalities, classes)


def prepare(
    table: ClipTable,
    spec: MediaSpec | None = None,
    *,
    cache: str | Path | None = None,
    max_bad: float = 0.05,
    modalities: Sequence[str] = ("audio", "visual"),
    progress: Progress | None = None,
    jobs: int | None = None,
    timeout: float = 150.0,
) -> PreparedClips:
    """Decode every clip of a table once, into a cache on disk; a second call, or another task, decodes nothing.

    What is cached is a stretch of a file as it is (path, size, time of change) in one shape. An interrupted call has
    lost little: the next goes on. Several processes may prepare at once. A clip that cannot be read, that crashes the
    decoder or that keeps it busy too long is set aside with its reason, and the others go on.

    Args:
        table: the clips.
        spec: shape of the decoded clips; None: the table's own.
        cache: folder of the cache; None: ``$COUNTERPOINT_CACHE`` or ``~/.cache/counterpoint``.
        max_bad: share of unusable clips, 0 to 1, above which the table is refused; includes ``table.refused``.
        modalities: ``"audio"``, ``"visual"`` or both; a file may lack what is not asked for.
        progress: called with (clips done, clips to do) before the first and after each clip that has to be decoded.
        jobs: decoding processes; None: one per core; 0: in this process, where a crash of the decoder is not caught.
        timeout: seconds after which a clip is given up.

    Raises:
        DataError: more than `max_bad` of the clips, or all clips of a class in training, cannot be used; the disk is
            full.
        ConfigError: a value outside its range.
    """
    spec = table.media if spec is None else spec
    modalities = _check(max_bad, modalities, jobs, timeout)
    store = ShardFolder(cache_root() if cache is None else Path(cache).expanduser().absolute(), spec)
    keys, failed = _keys(table, modalities)
    unique = dict.fromkeys(keys.values())  # two clips of a table may be the same stretch
    places, bad = store.find(unique, modalities)
    decoded = 0
    if any(key not in places and key not in bad for key in unique):
        log.info("%s: decoding into %s", table.name, store.folder)
        with store.lock() as held:
            if held:
                store.sweep()
            places, bad = store.find(unique, modalities)  # another process may have been at it meanwhile
            pending = [key for key in unique if key not in places and key not in bad]
            decoded = len(pending)
            new_places, new_bad = _decode(store, pending, modalities, progress, jobs, timeout)
        places.update(new_places)
        bad.update(new_bad)
    failed.update((clip, bad[key]) for clip, key in keys.items() if key not in places)
    set_aside = {**table.refused, **{clip.id: failed[clip.id] for clip in table.clips if clip.id in failed}}
    found = {clip: places[key] for clip, key in keys.items() if key in places}
    judge(table, found, set_aside, max_bad)
    return PreparedClips(table, spec, modalities, set_aside, decoded, found)


def _check(max_bad: float, modalities: Sequence[str], jobs: int | None, timeout: float) -> tuple[str, ...]:
    known = tuple(array_shapes(MediaSpec()))
    if isinstance(modalities, str) or not modalities:
        raise ConfigError(f"modalities is {modalities!r}; give a list with one or more of {', '.join(known)}")
    for modality in modalities:
        if modality not in known:
            raise ConfigError(f"No modality is called {modality!r}.{did_you_mean(modality, known)}")
    check_max_bad(max_bad)
    if jobs is not None and jobs < 0:
        raise ConfigError(f"jobs is {jobs}; it must be 0 or more")
    if not timeout > 0:
        raise ConfigError(f"timeout is {timeout}; it must be greater than 0 seconds")
    return tuple(modality for modality in known if modality in modalities)


def _keys(table: ClipTable, modalities: Sequence[str]) -> tuple[dict[str, Key], dict[str, str]]:
    """Clip id -> key, and clip id -> reason for files that need not be opened to know that they are no media."""
    keys: dict[str, Key] = {}
    failed: dict[str, str] = {}
    look = functools.cache(_look_at)  # several clips may be stretches of one file
    for clip in table.clips:
        keys[clip.id] = Key(
            *look(clip.path)[0],
            start=float(clip.start),
            end=None if clip.end is None else float(clip.end),
            sound=None if clip.sound is None else look(clip.sound)[0],
            landmarks=None if clip.landmarks is None else look(clip.landmarks)[0],
            landmarks_size=clip.landmarks_size,
        )
        for what, path in _needed(clip, modalities):
            if reason := look(path)[1]:
                failed.setdefault(clip.id, f"its {what} {path.name}: {reason}" if what else reason)
    return {clip: key for clip, key in keys.items() if clip not in failed}, failed


def _needed(clip: Clip, modalities: Sequence[str]) -> Generator[tuple[str, Path]]:
    """The files that must be there, and what each is beside the clip's own."""
    if "visual" in modalities or clip.sound is None:
        yield "", clip.path
    if "audio" in modalities and clip.sound is not None:
        yield "sound", clip.sound
    if "visual" in modalities and clip.landmarks is not None:
        yield "landmarks", clip.landmarks


def _look_at(path: Path) -> tuple[File, str]:
    """A file, and why it cannot be used, if so."""
    name = str(path.absolute())
    missing = File(name, -1, 0)
    try:
        stat = path.stat()
        file = File(name, stat.st_size, stat.st_mtime_ns)
        if path.is_dir():
            return missing, "it is a folder, not a file"
        if stat.st_size == 0:
            return file, "the file is empty"
        if stat.st_size < _LFS_BYTES and is_lfs_pointer(path):
            return file, "it is a Git LFS pointer, not the file itself; run `git lfs pull`"
    except FileNotFoundError:
        return missing, "the file is missing"
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        return missing, f"the file cannot be opened ({getattr(error, 'strerror', None) or error})"
    return file, ""


def _decode(
    store: ShardFolder,
    pending: Sequence[Key],
    modalities: tuple[str, ...],
    progress: Progress | None,
    jobs: int | None,
    timeout: float,
) -> tuple[dict[Key, Place], dict[Key, str]]:
    places: dict[Key, Place] = {}
    bad: dict[Key, str] = {}
    if not pending:
        return places, bad
    _check_room(store, len(pending) * clip_bytes(store.spec, modalities))
    rows_per_shard = max(1, SHARD_BYTES // clip_bytes(store.spec, modalities))
    rows: list[tuple[Key, Mapping[str, Array]]] = []
    lasting: dict[Key, str] = {}

    def flush() -> None:
        places.update(store.write(rows, lasting, modalities))
        rows.clear()
        lasting.clear()

    if progress:
        progress(0, len(pending))
    try:
        with contextlib.closing(_answers(store.spec, pending, modalities, jobs, timeout)) as answers:
            for done, (key, answer) in enumerate(answers, start=1):
                if answer.arrays:
                    rows.append((key, answer.arrays))
                else:
                    bad[key] = answer.reason
                    if answer.lasting:
                        lasting[key] = answer.reason
                if len(rows) >= rows_per_shard:
                    flush()
                if progress:
                    progress(done, len(pending))
    finally:
        flush()  # also on Ctrl-C: what is decoded need not be decoded again
    return places, bad


def _answers(
    spec: MediaSpec, pending: Sequence[Key], modalities: tuple[str, ...], jobs: int | None, timeout: float
) -> Generator[tuple[Key, Answer]]:
    reader = decode_worker.READER
    if jobs == 0:
        return decode_here(pending, spec, modalities, reader)
    # Starting a process costs about as much as decoding a few dozen clips.
    jobs = min(jobs or cores(), max(1, len(pending) // 8))
    return decode_apart(pending, spec, modalities, reader, jobs=jobs, timeout=timeout)


def _check_room(store: ShardFolder, needed: int) -> None:
    existing = next((p for p in (store.folder, *store.folder.parents) if p.exists()), None)
    free = shutil.disk_usage(existing).free if existing else needed
    if needed > free:
        raise DataError(
            f"The decoded clips need {needed / 1e9:.1f} GB, but {store.folder} has {free / 1e9:.1f} GB left. "
            "Make room, choose a smaller shape (data.media), or name another folder (data.cache, or the environment "
            "variable COUNTERPOINT_CACHE)"
        )
