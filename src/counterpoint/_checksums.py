"""Digests of the files of a folder, kept beside them; `sha256sum -c` checks the same file.

A file and its digest cannot change in one step. So the new digest is written beside the old one, the file is moved into
place, and then the old digest goes: whenever a process is killed, what stands there has a digest that is known.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from counterpoint.errors import DamagedFileError

CHECKSUMS = "checksums.sha256"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()


def is_known(path: Path) -> bool:
    """Whether a digest of the file is kept: it is one that was written here."""
    return path.name in _read(path.parent)


def is_whole(path: Path) -> bool:
    """Whether the file is there as it was written; one of which no digest is kept is taken as it is."""
    known = _read(path.parent).get(path.name)
    return path.is_file() and (known is None or digest(path) in known)


def require_whole(path: Path) -> None:
    """Refuse a file that is not as it was written; one that is not there is not looked at.

    Raises:
        DamagedFileError: its digest is another.
    """
    if path.is_file() and not is_whole(path):
        raise DamagedFileError(
            f"{path} is damaged: it is not what was written there (see {CHECKSUMS}). train --resume makes anew what "
            f"follows from the rest of a run; if the file was changed on purpose, remove its line from {CHECKSUMS}"
        )


@contextlib.contextmanager
def moving(part: Path, path: Path) -> Iterator[None]:
    """A context in which `part` takes the place of `path`, whose digest is right before, within and after.

    Raises:
        OSError: the digests cannot be written.
    """
    folder, name, new = path.parent, path.name, digest(part)
    sums = _read(folder)
    before = sums.get(name, ())
    if len(before) > 1 and path.is_file():  # a writer was killed in here
        before = (digest(path),)
    both = tuple(dict.fromkeys((*before, new)))
    if both != before:
        _write(folder, {**sums, name: both})
    yield
    if both != (new,):
        _write(folder, {**sums, name: (new,)})


def forget(path: Path) -> None:
    """Keep no digest of a file that is going to change without one."""
    sums = _read(path.parent)
    if sums.pop(path.name, None) is not None:
        _write(path.parent, sums)


def _read(folder: Path) -> dict[str, tuple[str, ...]]:
    """File name -> its digests; of a line that is none, nothing."""
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    sums: dict[str, tuple[str, ...]] = {}
    for found, gap, name in (line.partition("  ") for line in lines):
        if gap:
            sums[name] = (*sums.get(name, ()), found)
    return sums


def _write(folder: Path, sums: Mapping[str, Sequence[str]]) -> None:
    part = folder / f"{CHECKSUMS}.part"
    with part.open("w", encoding="utf-8") as file:
        file.writelines(f"{found}  {name}\n" for name, digests in sums.items() for found in digests)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / CHECKSUMS)
