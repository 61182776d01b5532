"""The cache of decoded clips: shards of raw arrays with an index, shared by all tasks that use the same files.

A folder belongs to one `MediaSpec`. A shard is one ``.npy`` file per modality, mapped into memory when read, and
one ``.json`` that says which clip each row is. The index is written last and moved into place in one step: a shard is
there whole or not at all, whatever interrupts the writer, and several processes may add shards side by side.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from counterpoint._atomic import fsync, replacing
from counterpoint.errors import DataError
from counterpoint.media.spec import FORMER_FIELDS, MediaSpec

Array = NDArray[Any]

_FORMAT = 1  # raise it when shards, or what decoding means, change: older ones are then left unread
_ALWAYS = {"sample_rate", "seconds", "fps", "size", "gray", "crop"}  # fields of the spec that every index names
SHARD_BYTES = 64 * 2**20  # held in memory until written, and lost if the process is killed outright


class File(NamedTuple):
    """A file as it is; what is not there has size -1."""

    path: str
    size: int
    mtime_ns: int


class Key(NamedTuple):
    """What a decoded clip depends on besides the spec: the files as they are, and the stretch of them.

    The last three are of clips whose sound lies in another file, or whose frames are cropped to a face.
    """

    path: str
    size: int
    mtime_ns: int
    start: float
    end: float | None
    audio: File | None = None
    landmarks: File | None = None
    landmarks_size: tuple[int, int] | None = None

    def as_row(self) -> list[Any]:
        """For JSON; keys of one plain file look as they did before there were others."""
        return list(self if any(self[5:]) else self[:5])

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Key:
        """The key of `as_row`, back from JSON.

        Raises:
            ValueError: it is none.
            TypeError: it is none.
        """
        path, file_size, mtime_ns, start, end = row[:5]
        audio, landmarks, size = row[5:] or (None, None, None)
        return cls(
            path,
            file_size,
            mtime_ns,
            start,
            end,
            None if audio is None else File(*audio),
            None if landmarks is None else File(*landmarks),
            None if size is None else (size[0], size[1]),
        )


class Place(NamedTuple):
    """Where a decoded clip is: the shard (its path without ``.MODALITY.npy``) and the row."""

    shard: str
    row: int


def array_shapes(spec: MediaSpec) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of one clip, by modality: audio ``(num_samples,)`` int16, visual ``(T, H, W, C)`` uint8."""
    frames = (spec.num_frames, spec.size, spec.size, spec.channels)
    return {"audio": ((spec.num_samples,), np.dtype(np.int16)), "visual": (frames, np.dtype(np.uint8))}


def clip_bytes(spec: MediaSpec, modalities: Iterable[str]) -> int:
    """Bytes of one decoded clip."""
    shapes = array_shapes(spec)
    return sum(int(np.prod(shapes[m][0])) * shapes[m][1].itemsize for m in modalities)


def open_shard(shard: str | Path, modality: str) -> Array:
    """The rows of one shard, mapped into memory, read-only.

    Raises:
        DataError: the file is gone or damaged.
    """
    path = Path(f"{shard}.{modality}.npy")
    try:
        # The plain view: a memmap runs Python on every slice.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); prepare the data again") from None


def decoder_version() -> str:
    """What decoded: a clip that one version of PyAV cannot read is tried again by another."""
    try:
        return f"PyAV {version('av')}"
    except PackageNotFoundError:
        return "PyAV is not installed"


class ShardFolder:
    """All shards of one spec.

    Args:
        cache: the cache, in which the folder is made.
        spec: the shape of the decoded clips.
    """

    def __init__(self, cache: Path, spec: MediaSpec) -> None:
        self.spec = spec
        text = json.dumps([_FORMAT, _described(spec)], sort_keys=True)
        pictures = f"{spec.fps:g}fps" if spec.frames is None else f"{spec.frames}frames"
        readable = f"{spec.sample_rate}hz-{spec.seconds:g}s-{pictures}-{spec.size}px"
        self.folder = cache / "shards" / f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def find(self, keys: Iterable[Key], modalities: Sequence[str]) -> tuple[dict[Key, Place], dict[Key, str]]:
        """Which of the clips are here, and which are known to be unreadable (with the reason).

        Shards that hold more modalities than asked for will do; a damaged shard counts as not there.
        """
        wanted = set(keys)
        places: dict[Key, Place] = {}
        bad: dict[Key, str] = {}
        for path in sorted(self.folder.glob("*.json")):
            index = _read_index(path)
            if index is None:
                continue
            if index.decoder == decoder_version() and set(index.modalities) <= set(modalities):
                bad.update((key, reason) for key, reason in index.bad.items() if key in wanted)
            if set(modalities) <= set(index.modalities):
                shard = str(path.with_suffix(""))
                rows = {key: Place(shard, row) for row, key in enumerate(index.clips) if key in wanted}
                if rows and self._is_whole(shard, index):
                    places.update(rows)
        return places, {key: reason for key, reason in bad.items() if key not in places}

    def write(
        self, clips: Sequence[tuple[Key, Mapping[str, Array]]], bad: Mapping[Key, str], modalities: Sequence[str]
    ) -> dict[Key, Place]:
        """Add a shard with these clips, and remember these unreadable ones.

        Raises:
            DataError: the cache cannot be written, e.g. because the disk is full.
        """
        if not clips and not bad:
            return {}
        shard = self.folder / uuid.uuid4().hex[:16]
        made = [shard.with_suffix(f".{modality}.npy") for modality in modalities] if clips else []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for modality, path in zip(modalities, made, strict=False):
                shape, dtype = array_shapes(self.spec)[modality]
                with path.open("wb") as file:
                    header = {"descr": dtype.str, "fortran_order": False, "shape": (len(clips), *shape)}
                    np.lib.format.write_array_header_1_0(file, header)
                    for _, arrays in clips:  # row by row: no second copy of the shard in memory
                        file.write(np.ascontiguousarray(arrays[modality], dtype).data)
                    fsync(file.fileno())
            text = json.dumps(
                {
                    "format": _FORMAT,
                    "spec": _described(self.spec),
                    "decoder": decoder_version(),
                    "modalities": list(modalities),
                    "clips": [key.as_row() for key, _ in clips],
                    "bad": [[*key.as_row(), reason] for key, reason in bad.items()],
                }
            )
            with replacing(shard.with_suffix(".json"), sync=True) as part:
                part.write_text(text, encoding="utf-8")
        except OSError as error:
            for path in made:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            raise self._unwritable(error) from None
        return {key: Place(str(shard), row) for row, (key, _) in enumerate(clips)}

    def require_writable(self) -> None:
        """Make the folder, before hours of decoding are found to have nowhere to go.

        Raises:
            DataError: it cannot be made, or nothing can be written into it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> DataError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return DataError(
            f"Cannot write decoded clips to {self.folder}: {error.strerror or error}. "
            f"{'Make room there, or name' if full else 'Name'} another folder (data.cache, or the environment variable "
            "COUNTERPOINT_CACHE)"
        )

    @contextlib.contextmanager
    def lock(self) -> Iterator[bool]:
        """Held by one process at a time, so that two do not decode the same clips; True if it is really held.

        Where the file system has no locks it is not held, and the work is done twice, without harm.
        """
        try:
            import fcntl

            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / ".lock").open("w")
        except (ImportError, OSError):
            yield False
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                yield False
                return
            yield True  # closing the file, or the end of the process, gives it back

    def sweep(self) -> None:
        """Remove what killed writers left behind; only for the holder of the lock."""
        whole = {path.stem for path in self.folder.glob("*.json")}
        for path in self.folder.glob("*.*"):
            if path.suffix in (".npy", ".part", ".tmp") and path.name.split(".")[0] not in whole:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _is_whole(self, shard: str, index: _Index) -> bool:
        for modality in index.modalities:
            shape, dtype = array_shapes(self.spec)[modality]
            try:
                rows = open_shard(shard, modality)
            except DataError:
                return False
            if rows.shape != (len(index.clips), *shape) or rows.dtype != dtype:
                return False
        return True


def _described(spec: MediaSpec) -> dict[str, Any]:
    """The spec by field; those that the first shards did not know only where they ask for something."""
    fields = {field.name: field.default for field in dataclasses.fields(spec)}
    values = dataclasses.asdict(spec)
    kept = {name: value for name, value in values.items() if name in _ALWAYS or value != fields[name]}
    former = {name: old for old, name in FORMER_FIELDS.items()}  # by these the folders of caches are called
    return {former.get(name, name): value for name, value in kept.items()}


class _Index(NamedTuple):
    modalities: tuple[str, ...]
    decoder: str
    clips: list[Key]
    bad: dict[Key, str]


def _read_index(path: Path) -> _Index | None:
    """None for an index that is damaged or of another format: its clips are decoded anew."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            return None
        return _Index(
            tuple(content["modalities"]),
            content["decoder"],
            [Key.of_row(row) for row in content["clips"]],
            {Key.of_row(row[:-1]): str(row[-1]) for row in content["bad"]},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
