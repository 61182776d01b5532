"""One process at a time in a folder: a lock of the operating system, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from counterpoint._atomic import telling
from counterpoint.errors import InUseError

LOCK = ".lock"

_held: ContextVar[frozenset[Path]] = ContextVar("_held", default=frozenset())
_open: set[int] = set()


def _close_in_fork() -> None:
    """A forked process, such as one that loads data, may live a little longer, and would hold what it inherited."""
    for descriptor in _open:
        os.close(descriptor)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_fork)


@contextlib.contextmanager
def locked(folder: Path, *, patience: float = 0.0, waiting: Callable[[str], None] | None = None) -> Iterator[bool]:
    """A context in which this process alone works in a folder; whoever holds it already just goes on.

    It gives whether the folder is really held.

    The folder is made where it is missing, and removed at the end if nothing has come into it. Where the file system
    has no locks, or nothing can be written, there is none.

    Args:
        folder: to be held.
        patience: seconds to wait for a holder that may be about to end.
        waiting: told once, before the first wait, who holds the folder.

    Raises:
        InUseError: another process, or another thread of this one, holds it; the message says which.
        WriteError: the folder cannot be made, or the disk is full.
    """
    key = folder.resolve()
    if key in _held.get():
        yield True
        return
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    with telling(folder):
        descriptor = _take(folder, patience, waiting)
    token = _held.set(_held.get() | {key})
    try:
        yield descriptor is not None
    finally:
        _held.reset(token)
        with contextlib.suppress(OSError):
            if descriptor is not None:
                (folder / LOCK).unlink(missing_ok=True)
            for each in missing:
                each.rmdir()  # only what is empty
        if descriptor is not None:
            _open.discard(descriptor)
            os.close(descriptor)


def _take(folder: Path, patience: float, waiting: Callable[[str], None] | None) -> int | None:
    """The descriptor of the lock; None where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    path, until = folder / LOCK, time.monotonic() + patience
    while True:
        folder.mkdir(parents=True, exist_ok=True)  # a holder that ends removes an empty one
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):  # nobody else can write here either
                return None
            if error.errno == errno.ENOENT and time.monotonic() < until:
                continue
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0)
            os.close(descriptor)
            in_use = f"{folder} is in use by {_named(holder)}"
            if time.monotonic() >= until:
                raise InUseError(f"{in_use}; wait for it to end, or name another") from None
            if waiting is not None:
                waiting(in_use)
                waiting = None
            time.sleep(0.1)
            continue
        except OSError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            with contextlib.suppress(OSError):  # on a full disk it is held without a name
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _me(), 0)
            _open.add(descriptor)
            return descriptor
        os.close(descriptor)  # its holder has ended, and removed it, since it was opened


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _me() -> bytes:
    words = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:500]
    return json.dumps(
        {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time(), "command": words}
    ).encode()


def _named(holder: bytes) -> str:
    try:
        of = json.loads(holder)
        since = time.strftime("%H:%M:%S", time.localtime(of["since"]))
        return f"process {of['pid']} on {of['host']} since {since} ({of['command']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
