"""Fetch datasets from Zenodo, through its public listing of each record's files with their sizes and checksums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterpoint._atomic import write_json
from counterpoint._limits import read_json
from counterpoint._lock import locked
from counterpoint.data.download.http import Progress, fetch_file, fetch_json
from counterpoint.data.download.zenodo_records import ZENODO_RECORDS, Part, ZenodoRecord
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import DATASETS
from counterpoint.errors import DownloadError, UnknownNameError, quoted
from counterpoint.registry import did_you_mean

ZENODO = "https://zenodo.org"
"""Where the records are; a mirror answers to the same paths."""

_ARCHIVES = "archives"  # folder under the dataset's root that archives arrive in
_DONE = "unpacked.json"  # in that folder: archive -> its MD5 and the files that came out of it


@dataclass(frozen=True)
class Download:
    """What a download did.

    Attributes:
        root: the dataset's folder.
        fetched: archives that were fetched.
        skipped: archives that were there already.
        licence: under which the files may be used.
        layout: what the folder looks like.
    """

    root: Path
    fetched: tuple[str, ...]
    skipped: tuple[str, ...]
    licence: str
    layout: str


@dataclass(frozen=True)
class _Listed:
    """A file as the record lists it."""

    name: str
    size: int
    md5: str
    url: str


def download(
    record_name: str,
    root: str | Path | None = None,
    *,
    parts: Sequence[Part] = (),
    extras: Sequence[str] = (),
    base_url: str = ZENODO,
    progress: Progress | None = None,
    announce: Callable[[str], None] | None = None,
) -> Download:
    """Fetch, verify and unpack a dataset. Calling it again continues where it was cut off, and fetches nothing twice.

    Args:
        record_name: name in `ZENODO_RECORDS`, e.g. ``"grid"``.
        root: folder of the dataset; None: where the dataset is looked for when no root is given.
        parts: which parts of it; for grid numbers of speakers, for ravdess numbers of actors or ``"all"``.
        extras: what else to fetch; for ravdess, ``"landmarks"``. Without parts, this alone.
        base_url: server of the listing.
        progress: called with (file name, bytes there, bytes in all).
        announce: called with the title and licence before anything is fetched, e.g. ``print``.

    Raises:
        UnknownNameError: no such record or extra, or the record has no file of that name any more.
        ConfigError: no such part.
        DownloadError: not reachable, damaged or no room; what has arrived is kept for the next try.
        InUseError: another process downloads into the folder.
    """
    record = _find(record_name)
    records = [_extra(record_name, record, extra) for extra in extras]
    if parts or not extras:
        records.insert(0, record)
    root = default_root(record_name) if root is None else Path(root).expanduser()
    files = [
        (each, each.files(parts)) for each in records
    ]  # a part that there is not is told before anything is fetched
    fetched: list[str] = []
    skipped: list[str] = []
    with locked(root / _ARCHIVES):
        for each, names in files:
            if announce is not None:
                announce(f"{each.title}\nZenodo record {each.record}, licence: {each.licence}\nInto {root}")
            listing = _list_record(each, base_url)
            for name in names:
                new = _fetch(each, _pick(listing, name, each), root, parts, progress)
                (fetched if new else skipped).append(name)
    licences = dict.fromkeys(each.licence for each in records)
    layout = "; ".join(each.layout for each in records)
    return Download(root, tuple(fetched), tuple(skipped), "; ".join(licences), layout)


def _fetch(record: ZenodoRecord, file: _Listed, root: Path, parts: Sequence[Part], progress: Progress | None) -> bool:
    """Bring one archive and unpack it; False where nothing had to be fetched."""
    archives = root / _ARCHIVES
    done = _read_done(archives)
    if file.name not in record.kept and _is_done(done.get(file.name), file, root):
        return False
    path = archives / file.name
    new = fetch_file(file.url, path, size=file.size, md5=file.md5, progress=progress)
    placed = record.unpack(path, root, parts)
    if file.name not in record.kept:
        done[file.name] = {"md5": file.md5, "files": placed}
        write_json(archives / _DONE, done, shared=True)
        path.unlink()
    return new


def _find(name: str) -> ZenodoRecord:
    if name in DATASETS and (elsewhere := DATASETS.get(name).elsewhere):
        raise DownloadError(f"{name} cannot be downloaded by this command. {elsewhere}")
    try:
        return ZENODO_RECORDS[name]
    except KeyError:
        message = f"No dataset that can be downloaded is called {quoted(name)}.{did_you_mean(name, ZENODO_RECORDS)}"
        raise UnknownNameError(message) from None


def _extra(name: str, record: ZenodoRecord, extra: str) -> ZenodoRecord:
    try:
        return record.extras[extra]
    except KeyError:
        raise UnknownNameError(
            f"{name} has no {quoted(extra)} to download.{did_you_mean(extra, record.extras)}"
        ) from None


def _list_record(record: ZenodoRecord, base_url: str) -> dict[str, _Listed]:
    """The record's files, from ``GET {base_url}/api/records/{number}``."""
    url = f"{base_url.rstrip('/')}/api/records/{record.record}"
    answer = fetch_json(url, f"Zenodo record {record.record}")
    try:
        return {entry["key"]: _listed(entry, url) for entry in answer["files"]}
    except (KeyError, TypeError, ValueError) as error:
        raise DownloadError(
            f"Zenodo record {record.record}: the listing at {url} lacks what it should have ({quoted(error)}); "
            "the server's interface may have changed"
        ) from error


def _listed(entry: dict[str, Any], url: str) -> _Listed:
    name, size = str(entry["key"]), int(entry["size"])
    kind, _, digest = str(entry["checksum"]).partition(":")
    if kind != "md5" or len(digest) != 32 or size < 0:
        raise ValueError(f"checksum {quoted(entry['checksum'])}, size {size} of {quoted(name)}")
    return _Listed(name, size, digest.lower(), str(entry["links"]["self"]))


def _pick(listing: dict[str, _Listed], name: str, record: ZenodoRecord) -> _Listed:
    try:
        return listing[name]
    except KeyError:
        message = f"Zenodo record {record.record} has no file {quoted(name)}.{did_you_mean(name, listing)}"
        raise UnknownNameError(message) from None


def _is_done(note: Any, file: _Listed, root: Path) -> bool:
    """Whether this very archive was unpacked and all that came out of it is still there."""
    if not isinstance(note, dict) or note.get("md5") != file.md5:
        return False
    paths = {root / name: size for name, size in note["files"].items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _read_done(archives: Path) -> dict[str, Any]:
    try:
        content = read_json(archives / _DONE)
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
