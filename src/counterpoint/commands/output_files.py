"""Files that users have a verb write: what stands there is replaced if that verb wrote it, and kept otherwise."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from counterpoint._limits import JSON_BYTES, read_bytes, read_json
from counterpoint.errors import ConfigError, CounterpointError

Own = Callable[[Path], bool]
"""Whether a file is of the kind that a verb writes; may raise `CounterpointError`, `OSError` and `ValueError`."""

_CUE = rb"[\d:,.]+ --> [\d:,.]+\n[^\n]* \(\d+%\)\n"
_SUBTITLES = re.compile(rb"(?:WEBVTT\n(?:\n%b)*|\d+\n%b(?:\n\d+\n%b)*)" % (_CUE, _CUE, _CUE))
_PICTURE = re.compile(rb"\x89PNG\r\n.{25}.{,200}tEXtSoftware\0counterpoint", re.DOTALL)


def csv_of(*columns: str) -> Own:
    """A table that begins with these columns."""
    begins = ",".join(columns).encode()

    def own(path: Path) -> bool:
        with path.open("rb") as file:
            return file.readline(2**16).startswith((begins + b",", begins + b"\n"))

    return own


def json_of(*keys: str) -> Own:
    """A mapping that has these keys."""

    def own(path: Path) -> bool:
        values = read_json(path)
        return isinstance(values, dict) and values.keys() >= set(keys)

    return own


def subtitles(path: Path) -> bool:
    """Every cue ends with a confidence."""
    return _SUBTITLES.fullmatch(read_bytes(path, JSON_BYTES)) is not None


def picture(path: Path) -> bool:
    """A PNG file that names us."""
    with path.open("rb") as file:
        return _PICTURE.match(file.read(1024)) is not None


def require_own(path: Path, own: Own) -> None:
    """Refuse to replace a file that is another's. An empty one, and one that is not there, are nobody's.

    Raises:
        ConfigError: there is something else, or something that cannot be read.
    """
    if not os.path.lexists(path):
        return
    try:
        if path.is_file() and (path.stat().st_size == 0 or own(path)):
            return
    except (CounterpointError, OSError, ValueError):
        pass  # whatever it is, it is not known
    raise ConfigError(f"{path} is there already and was not written by this command; move it, or name another --output")
