"""Finds what a split's sides share: speakers or source videos, clips listed twice, and files of the same content."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from counterpoint.data.clip_table import SPLITS, ClipTable
from counterpoint.errors import DataError
from counterpoint.media.files import what_is_wrong

Progress = Callable[[int, int], None]
_HEAD = 2**16  # bytes that tell most files of one size apart


@dataclass(frozen=True)
class Entry:
    """One clip of a split.

    Attributes:
        id: its name; the same on both sides is the same clip.
        split: ``"train"``, ``"val"`` or ``"test"``.
        group: what must not stand on both sides; None where unknown.
        files: its media, where there are any.
    """

    id: str
    split: str
    group: str | None = None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Split:
    """All clips of a split.

    Attributes:
        name: what it is a split of.
        group_word: what a group is: ``"speaker"``, ``"source video"``.
        entries: the clips.
    """

    name: str
    group_word: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Overlap:
    """What two sides share of one kind.

    Attributes:
        what: the kind, e.g. ``"speaker"``, ``"clip"`` or ``"file content"``.
        sides: the two, e.g. ``("train", "test")``.
        shared: what stands on both, sorted.
        total: how many of the kind the second side has.
        clips: how many clips of the second side that touches.
        all_clips: how many clips the second side has.
        unit: what is counted in `clips`.
    """

    what: str
    sides: tuple[str, str]
    shared: tuple[str, ...]
    total: int
    clips: int
    all_clips: int
    unit: str = "clips"


@dataclass(frozen=True)
class LeakReport:
    """What was compared of a split, and what was found.

    Attributes:
        name: of the split.
        clips: split -> number of clips.
        overlaps: every comparison, those that found nothing included.
        notes: what a reader must know, e.g. what could not be compared.
    """

    name: str
    clips: dict[str, int]
    overlaps: tuple[Overlap, ...]
    notes: tuple[str, ...] = ()

    @property
    def leaks(self) -> tuple[Overlap, ...]:
        """The comparisons that found something."""
        return tuple(overlap for overlap in self.overlaps if overlap.shared)


def compare_lists(name: str, group_word: str, entries: Iterable[Entry]) -> list[LeakReport]:
    """The report on a split that is given out as lists; none where they list nothing."""
    listed = tuple(entries)
    return [find_leaks(Split(name, group_word, listed))] if listed else []


def split_of(table: ClipTable) -> Split:
    """The split of a listed dataset, with its media; features are not compared by content."""
    entries = []
    for clip in table.clips:
        files = () if table.features is not None else tuple(p for p in (clip.path, clip.audio) if p is not None)
        entries.append(Entry(clip.id, clip.split, clip.group, files))
    return Split(table.name, table.group_word, tuple(entries))


def find_leaks(split: Split, progress: Progress | None = None) -> LeakReport:
    """Compare every two sides of a split: groups, clips, and the content of the files that are there.

    Files are compared where one of the same size stands on another side, first by their beginning, then whole. Empty
    files and Git LFS pointers are not.

    Args:
        split: the clips.
        progress: called with (files read whole, files to read).

    Raises:
        DataError: the split has fewer than two sides.
    """
    sides: dict[str, list[Entry]] = {}
    for side in SPLITS:
        if entries := [entry for entry in split.entries if entry.split == side]:
            sides[side] = entries
    if len(sides) < 2:
        there = ", ".join(sides) or "no clip"
        raise DataError(f"{split.name}: only one split has clips ({there}); there is nothing to compare it with")
    content, compared = _content(split.entries, progress)
    overlaps = []
    for first, second in combinations(sides, 2):
        pair = (first, second)
        one, other = sides[first], sides[second]
        overlaps.append(_overlap("clip", pair, one, other, lambda entry: [entry.id]))
        if any(entry.group is not None for entry in split.entries):
            overlaps.append(_overlap(split.group_word, pair, one, other, _groups))
        if compared:
            overlaps.append(_overlap("file content", pair, one, other, lambda entry: content.get(entry.id, ())))
    unknown = sum(entry.group is None for entry in split.entries)
    notes = []
    if unknown:
        notes.append(f"The {split.group_word} of {unknown} of {len(split.entries)} clips is not known.")
    notes.append(
        f"{compared} files were compared by content."
        if compared
        else "No files were compared: none of the media is here."
    )
    return LeakReport(
        split.name, {side: len(entries) for side, entries in sides.items()}, tuple(overlaps), tuple(notes)
    )


def _groups(entry: Entry) -> Iterable[str]:
    return () if entry.group is None else (entry.group,)


def _overlap(
    what: str,
    sides: tuple[str, str],
    one: Sequence[Entry],
    other: Sequence[Entry],
    keys: Callable[[Entry], Iterable[str]],
) -> Overlap:
    first = {key for entry in one for key in keys(entry)}
    second = {key for entry in other for key in keys(entry)}
    shared = first & second
    touched = sum(not shared.isdisjoint(keys(entry)) for entry in other)
    return Overlap(what, sides, tuple(sorted(shared)), len(second), touched, len(other))


def _content(entries: Sequence[Entry], progress: Progress | None) -> tuple[dict[str, tuple[str, ...]], int]:
    """Clip id -> the names of the files with each content of its files; and how many files there are to compare.

    All files of the same content are named together, ``a = b``; contents that no other side can have are not read.
    """
    users: dict[Path, set[str]] = defaultdict(set)
    for entry in entries:
        for path in entry.files:
            users[path].add(entry.split)
    sizes = {path: size for path in users if (size := _size(path))}
    alike = _suspects(_by(sizes, lambda path: sizes[path]), users)
    heads = _by(alike, lambda path: (sizes[path], _digest(path, _HEAD)))
    suspects = _suspects(heads, users)
    key: dict[Path, Hashable] = {path: path for path in sizes}
    for done, path in enumerate(suspects, 1):
        key[path] = (sizes[path], _digest(path, None))
        if progress:
            progress(done, len(suspects))
    names = {one: " = ".join(map(str, same)) for one, same in _by(sorted(sizes), lambda path: key[path]).items()}
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        there = tuple(names[key[path]] for path in entry.files if path in sizes)
        found[entry.id] = (*found.get(entry.id, ()), *there)
    return found, len(sizes)


def _by(paths: Iterable[Path], of: Callable[[Path], Hashable]) -> Mapping[Hashable, list[Path]]:
    together: dict[Hashable, list[Path]] = defaultdict(list)
    for path in paths:
        together[of(path)].append(path)
    return together


def _suspects(together: Mapping[Hashable, list[Path]], users: Mapping[Path, set[str]]) -> list[Path]:
    """The files that look like another one on another side."""
    return [
        path
        for paths in together.values()
        if len(paths) > 1 and len(set().union(*(users[path] for path in paths))) > 1
        for path in paths
    ]


def _size(path: Path) -> int:
    """Bytes; 0 for what has no content of its own: missing, no file, a pointer."""
    return 0 if what_is_wrong(path) else path.stat().st_size


def _digest(path: Path, first: int | None) -> bytes:
    """Of the first bytes of a file, or of all of it."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            if first is not None:
                digest.update(file.read(first))
            else:
                while block := file.read(2**20):
                    digest.update(block)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    return digest.digest()
