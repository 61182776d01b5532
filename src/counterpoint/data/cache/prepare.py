"""Decodes each clip of a table once, into shards, and sets aside what cannot be read."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.data.alterations import Alteration, of_media, of_skipped
from counterpoint.data.cache.cache_keys import keys_of
from counterpoint.data.cache.decode_pool import decode_all
from counterpoint.data.cache.shards import SHARD_BYTES, Array, Facts, Key, Place, ShardFolder, array_shapes, clip_bytes
from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.events import segment_classes
from counterpoint.data.io.paths import cache_root
from counterpoint.data.quality import check_max_bad, check_usable, usable_clips
from counterpoint.errors import ConfigError, DataError, quoted
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

if TYPE_CHECKING:
    from counterpoint.data.cache.shard_dataset import ClipDataset

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PreparedClips:
    """A table whose clips are decoded.

    Attributes:
        table: as listed, with the clips that were set aside; events are cut where clips are.
        spec: shape of the decoded clips.
        modalities: what was decoded of them.
        skipped: clip id -> why it is not used; includes what the table rejected before decoding.
        decoded: clips that were opened in this call; the others were in the cache, read or set aside before.
        segments: into how many parts the clips of `split` are cut to say when something happens in them; None:
            each has one class.
    """

    table: ClipTable
    spec: MediaSpec
    modalities: tuple[str, ...]
    skipped: dict[str, str]
    decoded: int
    places: dict[str, Place] = field(repr=False)
    segments: int | None = None

    @property
    def alterations(self) -> list[Alteration]:
        """What was cut, padded, skipped or otherwise changed."""
        facts, same = [place.facts for place in self.places.values()], len(self.places) - len(set(self.places.values()))
        twice = [Alteration("that are the same stretch of a file as another", same, len(self.places))] if same else []
        total = len({clip.id for clip in self.table.clips} | self.skipped.keys())
        return [*of_media(facts, self.spec, self.modalities), *twice, *of_skipped(self.skipped, total)]

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
        from counterpoint.data.cache.shard_dataset import ClipDataset

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
        max_bad: share of unusable clips, 0 to 1, above which the table is rejected; includes ``table.rejected``.
        modalities: ``"audio"``, ``"visual"`` or both; a file may lack what is not asked for.
        progress: called with (clips done, clips to do) before the first and after each clip that has to be decoded.
        jobs: decoding processes; None: one per core; 0: in this process, where a crash of the decoder is not caught.
        timeout: seconds after which a clip is given up.

    Raises:
        UnusableError: more than `max_bad` of the clips, or all clips of a class in training, cannot be used.
        DataError: all events begin after what is read of the clips; the disk is full.
        ConfigError: a value outside its range.
    """
    spec = table.media if spec is None else spec
    table = table.within(spec.seconds)
    modalities = _check(max_bad, modalities, jobs, timeout)
    store = ShardFolder(cache_root(cache).absolute(), spec)
    keys, failed = keys_of(table, modalities)
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
    skipped = {**table.rejected, **{clip.id: failed[clip.id] for clip in table.clips if clip.id in failed}}
    found = {clip: places[key] for clip, key in keys.items() if key in places}
    check_usable(table, found, skipped, max_bad)
    return PreparedClips(table, spec, modalities, skipped, decoded, found)


def _check(max_bad: float, modalities: Sequence[str], jobs: int | None, timeout: float) -> tuple[str, ...]:
    known = tuple(array_shapes(MediaSpec()))
    if isinstance(modalities, str) or not modalities:
        raise ConfigError(f"modalities is {quoted(modalities)}; give a list with one or more of {', '.join(known)}")
    for modality in modalities:
        if modality not in known:
            raise ConfigError(f"modalities: unknown modality {quoted(modality)}.{did_you_mean(modality, known)}")
    check_max_bad(max_bad)
    if jobs is not None and jobs < 0:
        raise ConfigError(f"jobs is {jobs}; it must be 0 or more")
    if not timeout > 0:
        raise ConfigError(f"timeout is {timeout}; it must be greater than 0 seconds")
    return tuple(modality for modality in known if modality in modalities)


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
    store.require_writable()
    _check_room(store, len(pending) * clip_bytes(store.spec, modalities))
    rows_per_shard = max(1, SHARD_BYTES // clip_bytes(store.spec, modalities))
    rows: list[tuple[Key, Mapping[str, Array], Facts]] = []
    lasting: dict[Key, str] = {}

    def flush() -> None:
        places.update(store.write(rows, lasting, modalities))
        rows.clear()
        lasting.clear()

    if progress:
        progress(0, len(pending))
    try:
        with contextlib.closing(decode_all(pending, store.spec, modalities, jobs=jobs, timeout=timeout)) as answers:
            for done, (key, answer) in enumerate(answers, start=1):
                if answer.arrays:
                    rows.append((key, answer.arrays, answer.facts))
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


def _check_room(store: ShardFolder, needed: int) -> None:
    free = shutil.disk_usage(store.folder).free
    if needed > free:
        raise DataError(
            f"The decoded clips need {needed / 1e9:.1f} GB, but {store.folder} has {free / 1e9:.1f} GB left. "
            "Make room, choose a smaller shape (data.media), or name another folder (data.cache, or the environment "
            "variable COUNTERPOINT_CACHE)"
        )
