"""Unpack zip archives from the network without trusting them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from counterpoint._atomic import replacing
from counterpoint.data.download.http import check_room
from counterpoint.errors import DownloadError, quoted

Place = Callable[[PurePosixPath], "PurePosixPath | None"]
"""Where a member goes, relative to the folder; None leaves it out."""

_MOST_MEMBERS = 1_000_000
_MOST_GROWTH = 200  # text alignments shrink 20-fold, video hardly at all
_ALWAYS_FINE = 64 << 20  # bytes; small archives may grow more


def member_names(archive: Path) -> list[PurePosixPath]:
    """Paths of all files in a zip archive.

    Raises:
        DownloadError: it is not a zip archive.
    """
    with _open(archive) as file:
        return [PurePosixPath(info.filename) for info in file.infolist() if not info.is_dir()]


def unpack(archive: Path, folder: Path, place: Place = lambda member: member) -> dict[str, int]:
    """Unpack a zip archive; each file appears under its name only when it is complete and its CRC is right.

    Args:
        archive: the zip file.
        folder: nothing is written outside of it.
        place: where each member goes; the default keeps the paths of the archive.

    Returns:
        path relative to `folder` -> size in bytes, of all files that were placed.

    Raises:
        DownloadError: not a zip archive, damaged, encrypted, a member that would land outside of `folder`, or one that
            unpacks to more than 200 times its size.
    """
    with _open(archive) as file:
        members = [
            (info, target)
            for info in file.infolist()
            if not info.is_dir() and (target := place(PurePosixPath(info.filename))) is not None
        ]
        for info, target in members:
            _check_inside(archive, info.filename, target)
        total = sum(info.file_size for info, _ in members)
        if len(members) > _MOST_MEMBERS or total > max(_ALWAYS_FINE, _MOST_GROWTH * archive.stat().st_size):
            raise DownloadError(
                f"{archive}: {len(members)} files of {total / 1e6:.0f} MB come out of "
                f"{archive.stat().st_size / 1e6:.1f} MB; that is no dataset, and it was not unpacked"
            )
        folder.mkdir(parents=True, exist_ok=True)
        check_room(folder, total, f"unpacking {archive.name}")
        for info, target in members:
            _extract(archive, file, info, folder / target)
    return {str(target): info.file_size for info, target in members}


def _open(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, OSError) as error:
        raise DownloadError(f"{archive}: not a readable zip archive ({error}); remove it and download again") from error


def _check_inside(archive: Path, name: str, target: PurePosixPath) -> None:
    odd = any(part in ("..", "") or "\\" in part or ":" in part or "\0" in part for part in target.parts)
    if odd or target.is_absolute() or not target.parts:
        raise DownloadError(
            f"{archive}: member {quoted(name)} would be written outside of the folder; it was not unpacked"
        )


def _extract(archive: Path, file: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    try:
        with replacing(path, shared=True) as part:
            written = 0
            with file.open(info) as source, part.open("wb") as sink:
                while chunk := source.read(1 << 20):
                    written += len(chunk)
                    if written > info.file_size:  # the header lies about the size
                        raise zipfile.BadZipFile(f"{quoted(info.filename)} is larger than it says")
                    sink.write(chunk)
            if written != info.file_size:
                raise zipfile.BadZipFile(f"{quoted(info.filename)} is cut short")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DownloadError(f"{archive}: damaged or encrypted ({error}); remove it and download again") from error
