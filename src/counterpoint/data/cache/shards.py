"""The cache of decoded clips: shards of raw arrays with an index, shared by all tasks that use the same files.

A folder belongs to one `MediaSpec`. A shard is one ``.npy`` file per modality, mapped into memory when read, and
one ``.json`` that says which clip each row is. The index is written last and moved into place in one step: a shard is
there whole or not at all, whatever interrupts the writer, and several processes may add shards side by side. The index
has a checksum of itself and of each array: a process checks a shard when it first meets it. What was damaged since is
told, and decoded anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import logging
import os
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from counterpoint._atomic import fsync, replacing
from counterpoint._limits import read_json
from counterpoint._lock import locked
from counterpoint.errors import DataError
from counterpoint.media.spec import FORMER_FIELDS, MediaSpec

Array = NDArray[Any]

log = logging.getLogger(__name__)

_FORMAT = 2  # raise it when shards, or what decoding means, change: older ones are then left unread
_ALWAYS = {"sample_rate", "seconds", "fps", "size", "gray", "crop"}  # fields of the spec that every index names
_PATIENCE = 86_400.0  # seconds that another process may decode before this one gives up
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


class Facts(NamedTuple):
    """What was seen of a clip while it was decoded.

    Attributes:
        seconds: length of its stretch of the file, of which the shard may hold less, or a padded more; None where the
            file does not say.
        silent: it has a sound, in which nothing is louder than one step of 16 bits.
        gap: no sound is stored somewhere within it.
    """

    seconds: float | None = None
    silent: bool = False
    gap: bool = False


class Place(NamedTuple):
    """Where a decoded clip is: the shard (its path without ``.MODALITY.npy``) and the row; and what was seen of it."""

    shard: str
    row: int
    facts: Facts


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
    except Exception as error:  # its header is parsed as Python, and whatever that raises comes out
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

        Shards that hold more modalities than asked for will do. A damaged one is told, and is as if it were not there.
        """
        wanted = set(keys)
        places: dict[Key, Place] = {}
        bad: dict[Key, str] = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                index = _read_index(path)
            except DataError as error:
                _give_up(path, error)
                continue
            if index is None:
                continue
            if index.decoder == decoder_version() and set(index.modalities) <= set(modalities):
                bad.update((key, reason) for key, reason in index.bad.items() if key in wanted)
            if set(modalities) <= set(index.modalities):
                shard = str(path.with_suffix(""))
                rows = {
                    key: Place(shard, row, index.facts[row]) for row, key in enumerate(index.clips) if key in wanted
                }
                try:
                    if rows:
                        self._check(path, index)
                        places.update(rows)
                except DataError as error:
                    _give_up(path, error)
        return places, {key: reason for key, reason in bad.items() if key not in places}

    def write(
        self, clips: Sequence[tuple[Key, Mapping[str, Array], Facts]], bad: Mapping[Key, str], modalities: Sequence[str]
    ) -> dict[Key, Place]:
        """Add a shard with these clips, and remember these unreadable ones.

        Raises:
            DataError: the cache cannot be written, e.g. because the disk is full.
        """
        if not clips and not bad:
            return {}
        shard = self.folder / uuid.uuid4().hex[:16]
        made = [shard.with_suffix(f".{modality}.npy") for modality in modalities] if clips else []
        sums = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for modality, path in zip(modalities, made, strict=False):
                shape, dtype = array_shapes(self.spec)[modality]
                with path.open("wb") as file:
                    into = _Summed(file)
                    header = {"descr": dtype.str, "fortran_order": False, "shape": (len(clips), *shape)}
                    np.lib.format.write_array_header_1_0(into, header)
                    for _, arrays, _ in clips:  # row by row: no second copy of the shard in memory
                        into.write(np.ascontiguousarray(arrays[modality], dtype).data)
                    fsync(file.fileno())
                sums[modality] = into.sum
            content = {
                "format": _FORMAT,
                "spec": _described(self.spec),
                "decoder": decoder_version(),
                "modalities": list(modalities),
                "clips": [key.as_row() for key, _, _ in clips],
                "facts": [list(facts) for _, _, facts in clips],
                "bad": [[*key.as_row(), reason] for key, reason in bad.items()],
            }
            _write_index(shard.with_suffix(".json"), content, sums)
        except OSError as error:
            for path in made:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            raise self._unwritable(error) from None
        return {key: Place(str(shard), row, facts) for row, (key, _, facts) in enumerate(clips)}

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
        """Held by one process at a time, so that two do not decode the same clips; gives whether it is really held.

        Where the file system has no locks it is not held, and the work is done twice, without harm.

        Raises:
            InUseError: another process has decoded into it for a day.
            DataError: the folder cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                held = stack.enter_context(locked(self.folder, patience=_PATIENCE, waiting=_tell_of_waiting))
            except OSError as error:
                raise self._unwritable(error) from None
            yield held

    def sweep(self) -> None:
        """Remove what killed writers left behind; only for the holder of the lock."""
        whole = {path.stem for path in self.folder.glob("*.json")}
        for path in self.folder.glob("*.*"):
            if path.suffix in (".npy", ".part", ".tmp") and path.name.split(".")[0] not in whole:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _check(self, path: Path, index: _Index) -> None:
        """Hold the arrays of a shard against its index.

        Raises:
            DataError: they are not what was written.
        """
        for modality in index.modalities:
            shape, dtype = array_shapes(self.spec)[modality]
            file = path.with_suffix(f".{modality}.npy")
            if index.sums.get(modality) != _sum_of_file(file):
                raise DataError(f"{file}: its checksum is another than when it was written")
            rows = open_shard(path.with_suffix(""), modality)
            if rows.shape != (len(index.clips), *shape) or rows.dtype != dtype:
                raise DataError(f"{file}: it holds {rows.dtype} {rows.shape}, not what its index says")


def _tell_of_waiting(in_use: str) -> None:
    log.warning("%s, which decodes; this one goes on when it is done", in_use)


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
    facts: list[Facts]
    bad: dict[Key, str]
    sums: dict[str, int]  # modality -> CRC-32 of its file


class _Summed:
    """A file that is written, with the CRC-32 of what went in: quick to find, and enough against accidents."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sum = file, 0

    def write(self, data: bytes | memoryview) -> None:
        self.sum = zlib.crc32(data, self.sum)
        self.file.write(data)


def _sum_of_file(path: Path) -> int:
    """CRC-32 of a file; found once in a process while the file is the same.

    Raises:
        DataError: it cannot be read.
    """
    try:
        state = path.stat()
        return _sum_once(path, state.st_ino, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


@functools.cache
def _sum_once(path: Path, *state: int) -> int:
    del state
    found, block = 0, memoryview(bytearray(2**20))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            found = zlib.crc32(block[:size], found)
    return found


def _sum_of(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _write_index(path: Path, content: Mapping[str, Any], sums: Mapping[str, int]) -> None:
    whole = {**content, "checksums": dict(sums)}
    with replacing(path, shared=True, sync=True) as part:
        part.write_text(json.dumps({**whole, "checksum": _sum_of(whole)}), encoding="utf-8")


def _read_index(path: Path) -> _Index | None:
    """None for one of another format, whose clips are decoded anew.

    Raises:
        DataError: it is damaged.
    """
    try:
        content = read_json(path)
        if content.pop("checksum") != _sum_of(content):
            raise ValueError("its checksum is another than when it was written")
        if content["format"] != _FORMAT:
            return None
        return _Index(
            tuple(content["modalities"]),
            content["decoder"],
            [Key.of_row(row) for row in content["clips"]],
            [Facts(*row) for row in content["facts"]],
            {Key.of_row(row[:-1]): str(row[-1]) for row in content["bad"]},
            content["checksums"],
        )
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _give_up(path: Path, error: DataError) -> None:
    """Say what is wrong with a shard, and take its index away, so that its clips are decoded anew and it is swept."""
    log.warning("%s. The shard is left out, and its clips are decoded again", error)
    if not isinstance(error.__cause__, OSError) or isinstance(error.__cause__, FileNotFoundError):  # others may pass
        with contextlib.suppress(OSError):
            path.unlink()
