"""Every error that Counterpoint raises on purpose derives from `CounterpointError`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_QUOTED = 100  # characters of a value that a message shows
_LINE = 400  # of what others say
_MESSAGE = 4000
_ENDLESS = re.compile(r"\S{1000,}")

# Control characters but for line feed and tab; marks that turn the direction of what follows; lone surrogates.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """A text that does nothing to a terminal but stand there: an escape is written as in Python, ``\\x1b``."""
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def moderate(text: str) -> str:
    """A `printable` text in which words longer than any path are cut in the middle."""
    return _ENDLESS.sub(lambda found: _cut(found[0], _QUOTED), printable(text))


def one_line(said: object) -> str:
    """What another library, a server or a file says, in one line of moderate length."""
    return _cut(moderate(" ".join(str(said).split())), _LINE)


def quoted(value: object) -> str:
    """A value as messages show it: its `repr`, cut in the middle where it is long."""
    return _cut(repr(value), _QUOTED)


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} ... {text[-half // 2 :]} ({len(text):,} characters)"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`" Did you mean 'concat'?"` where something near enough is known, else the list of what is known."""
    known = list(known)
    return nearest(name, known) or f" Known: {', '.join(sorted(known)) or 'none'}."


def nearest(name: object, known: Iterable[str], end: str = "") -> str:
    """`" Did you mean 'concat'?"`, with the `end` of a sentence before, where something near is known; else nothing."""
    near = difflib.get_close_matches(str(name)[:_QUOTED], list(known), n=1)
    return f"{end} Did you mean {near[0]!r}?" if near else ""


class CounterpointError(Exception):
    """Base of all errors raised on purpose: says what is wrong, where, and what to do.

    Whatever a message has of names and of what others say, it is `printable`, and of moderate length.
    """

    def __str__(self) -> str:
        """The message."""
        return _cut(moderate(super().__str__()), _MESSAGE)


class ShapeError(CounterpointError, ValueError):
    """A tensor has another shape, or another kind of numbers, than the part needs."""


class UnknownNameError(CounterpointError, LookupError):
    """A name that no registry knows; the message proposes the nearest one."""


class ConfigError(CounterpointError, ValueError):
    """Options that do not fit together, or a value outside its range."""


class UntrustedCodeError(ConfigError):
    """A file of a run, a model or a recipe names code that the user has not named; see `counterpoint.guests`."""


class DataError(CounterpointError, ValueError):
    """A dataset's files do not say what its layout promises."""


class DatasetNotFoundError(CounterpointError, FileNotFoundError):
    """A dataset is not where it was looked for; the message says where to get it and how its folder must look."""


class MediaError(CounterpointError):
    """A media file that cannot be read.

    Args:
        path: the file.
        reason: why, in words a user can act on.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[MediaError], tuple[Path, str]]:
        return type(self), (self.path, self.reason)  # errors travel from worker processes by pickle


class DownloadError(CounterpointError):
    """A download that failed; what has arrived so far is kept for the next try."""


class RunError(CounterpointError):
    """A run folder that cannot be used: not a run, of another configuration, or not finished."""


class DivergedError(RunError):
    """A training whose loss, gradients or weights are no finite numbers any more.

    Args:
        message: says in which step, what, and what to do.
        found: the same as plain values: ``epoch`` and ``step`` from 0, ``loss`` and ``reason``.
    """

    def __init__(self, message: str, found: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.found = dict(found or {})

    def __reduce__(self) -> tuple[type[DivergedError], tuple[str, dict[str, Any]]]:
        return type(self), (str(self), self.found)  # errors travel from worker processes by pickle


class InUseError(RunError):
    """A folder in which another process is at work; the message says which."""


class DamagedFileError(RunError, ConfigError):
    """A file that is not as it was written."""


class WriteError(RunError, OSError):
    """A file that cannot be written: the disk is full or read-only, or its folder is gone.

    Args:
        message: which file, why, and what it needs.
        number: of the operating system's error.
    """

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.errno = number
