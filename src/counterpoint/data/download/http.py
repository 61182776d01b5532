"""Fetch one file over HTTP: resumable, verified, patient with bad connections. Standard library only.

A server may be slow, but not without end: see `counterpoint._limits`. What it says is shown as `quoted` text.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from counterpoint._limits import ANSWER_BYTES, PATIENCE, SLOWEST, parse_json
from counterpoint.errors import DownloadError, quoted

Progress = Callable[[str, int, int], None]
"""Called with (file name, bytes there, bytes in all) as they arrive."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as cut."""
TRIES = 5
"""Connections in a row that may bring nothing before a file is given up."""
PAUSE = 1.0
"""Seconds before the second try; doubled for each further one, at most a minute."""

_CHUNK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses that another try may not meet
_CUT = (OSError, http.client.HTTPException)  # of a connection: rejected, reset, timed out, badly encrypted, cut short
_HEADERS = {"User-Agent": "counterpoint (dataset download)", "Accept-Encoding": "identity"}


class _Passing(Exception):
    """A failure that another try may not meet.

    Args:
        reason: what happened.
        wait: seconds that the server asks for, or None.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch_json(url: str, what: str) -> Any:
    """Read a JSON document.

    Args:
        url: http or https.
        what: of what it is the listing, for messages.

    Raises:
        DownloadError: it cannot be had, or is not JSON.
    """

    for tries in range(1, TRIES + 1):
        body, failure = _read(url, what)
        if body is not None:
            break
        if tries < TRIES:
            _pause(tries, failure.wait if failure else None)
    else:
        raise DownloadError(f"{what}: {failure} ({url}, {TRIES} tries); try again later")
    return parse_json(body, f"{what}: what the server at {url} answered", DownloadError)


def fetch_file(url: str, path: Path, *, size: int, md5: str, progress: Progress | None = None) -> bool:
    """Fetch a file whose size and MD5 are known; what an earlier try left in ``NAME.part`` is continued.

    Args:
        url: http or https.
        path: where the complete and verified file goes; nothing is there before.
        size: bytes.
        md5: checksum, 32 hexadecimal digits.
        progress: told about arriving bytes.

    Returns:
        True if bytes were fetched, False if the file was already there and is right.

    Raises:
        DownloadError: no such file, no connection after several tries, no room on the disk, or a wrong checksum.
            After a cut connection the part that has arrived is kept.
    """
    if path.exists() and path.stat().st_size == size and _md5(path) == md5.lower():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    there = _size(part)
    check_room(path.parent, size - min(there, size), path.name)
    resumed = 0 < there <= size
    _fill(url, part, size, progress)
    if _md5(part) != md5.lower():
        part.unlink()
        if not resumed:
            raise DownloadError(
                f"{path.name}: what {url} sent has another MD5 checksum than the listing says ({md5}); it was removed. "
                "Try again; if it stays so, the file on the server is damaged or was changed on the way."
            )
        # The beginning was from an earlier try, perhaps of another version of the file: once more from scratch.
        return fetch_file(url, path, size=size, md5=md5, progress=progress)
    part.replace(path)
    return True


def _read(url: str, what: str) -> tuple[bytes | None, _Passing | None]:
    """The whole answer, or why there is none yet."""
    try:
        with _open(url, {"Accept": "application/json"}, what) as answer:
            body: bytes = answer.read(ANSWER_BYTES + 1)
    except _Passing as failure:
        return None, failure
    except _CUT as error:
        return None, _Passing(f"the connection was cut ({_words(error)})")
    if len(body) > ANSWER_BYTES:
        raise DownloadError(f"{what}: {url} answered with more than {ANSWER_BYTES / 2**20:g} MiB, which is no listing")
    return body, None


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        DownloadError: fewer than `needed` bytes are free where `folder` is.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"{what} needs {needed / 1e6:.0f} MB in {folder}, but only {free / 1e6:.0f} MB are free; "
            "make room or choose another folder"
        )


def _fill(url: str, part: Path, size: int, progress: Progress | None) -> None:
    """Bring `part` up to `size` bytes, over as many connections as that takes."""
    name = part.name.removesuffix(".part")
    barren = 0
    if _size(part) > size:
        part.unlink()
    while (before := _size(part)) < size or not part.exists():
        if progress is not None:
            progress(name, before, size)
        wait = None
        try:
            _receive(url, part, size, progress)
            reason = "the connection was cut"
        except _Passing as failure:
            reason, wait = str(failure), failure.wait
        if _size(part) >= size:
            break
        barren = 0 if _size(part) >= before + _CHUNK else barren + 1  # one that brings a byte each time ends as well
        if barren >= TRIES:
            raise DownloadError(
                f"{name}: {reason} ({url}), {barren} times in a row. {_size(part)} of {size} bytes have arrived and "
                "are kept; run the same command again to continue."
            )
        _pause(max(1, barren), wait)
    if progress is not None:
        progress(name, size, size)


def _receive(url: str, part: Path, size: int, progress: Progress | None) -> None:
    """One connection: append what it brings to `part` as it comes, never more than `size` bytes in all."""
    name = part.name.removesuffix(".part")
    start = _size(part)
    with _open(url, {"Range": f"bytes={start}-"} if start else {}, name) as answer:
        if answer.status == 206 and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
            raise _Passing(f"the server sent another part than the one asked for from byte {start}")
        continues = answer.status == 206
        there = start if continues else 0  # a server that ignores Range sends the file from its beginning
        with part.open("ab" if continues else "wb") as file:
            while there < size:
                try:
                    chunk = answer.read1(min(_CHUNK, size - there))
                except _CUT as error:
                    raise _Passing(f"the connection was cut ({_words(error)})") from error
                if not chunk:
                    return
                file.write(chunk)
                there += len(chunk)
                if progress is not None:
                    progress(name, there, size)


def _open(url: str, headers: dict[str, str], what: str) -> Any:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{what}: {quoted(url)} is not an http or https address")
    try:
        opener = urllib.request.build_opener(_Http, _Https, _Redirect)
        return opener.open(urllib.request.Request(url, headers={**_HEADERS, **headers}), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            said = f"the server answered {error.code} {_words(error.reason)}"
            if error.code in _PASSING:
                wait = error.headers.get("Retry-After") or ""
                raise _Passing(said, _seconds(wait)) from error
            if 300 <= error.code < 400:
                raise DownloadError(f"{what}: {url} leads in a circle, or to where nothing is fetched") from error
            if error.code == 416:  # nothing is left from there on: what is kept belongs to another file
                raise DownloadError(
                    f"{what}: the server has no more bytes at {url} than are kept from an earlier try, but the listing "
                    "says it should; remove the .part file and try again"
                ) from error
            hint = "; it may have been renamed or withdrawn" if error.code in (404, 410) else ""
            raise DownloadError(f"{what}: {said} for {url}{hint}") from error
    except (*_CUT, ValueError) as error:  # a ValueError: of an address that a server leads on to
        raise _Passing(f"no connection ({_words(getattr(error, 'reason', None) or error)})") from error


def _words(error: object) -> str:
    """An error whose text may be bytes of a server, or several lines."""
    text = str(error)
    return text if text.isprintable() and len(text) < 200 else quoted(text)


class _Paced(io.RawIOBase):
    """What a connection brings; one that brings too little for too long counts as cut, headers included."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw, self._began, self._bytes = raw, time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        got = self._raw.readinto(buffer)  # within TIMEOUT
        self._bytes += got or 0
        spent = time.monotonic() - self._began
        if spent > PATIENCE and self._bytes < SLOWEST * (spent - PATIENCE):
            raise TimeoutError(f"{self._bytes} bytes in {spent:.0f} s")
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp = io.BufferedReader(_Paced(self.fp.detach()))


class _Connection(http.client.HTTPConnection):
    response_class = _Answer


class _SafeConnection(http.client.HTTPSConnection):
    response_class = _Answer


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SafeConnection, req)


class _Redirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _pause(tries: int, wait: float | None) -> None:
    time.sleep(min(60.0, PAUSE * 2.0 ** (tries - 1) if wait is None else wait))


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        _feed(file, digest.update)
    return digest.hexdigest()


def _feed(file: IO[bytes], take: Callable[[bytes], None]) -> None:
    while chunk := file.read(1 << 20):
        take(chunk)
