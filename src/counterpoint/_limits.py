"""How much is taken of files and servers, so that none can fill the memory or keep a run for ever; all limits are here.

Each is far above what honest inputs need. (How large a picture may be, and how slow a file, `media.source` says.)
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from counterpoint.errors import CounterpointError, DataError

YAML_BYTES = 2**18
"""Of a configuration; PyYAML reads some 100 kB per second."""
YAML_VALUES = 2**16
"""Of a configuration, with every alias written out."""
JSON_BYTES = 2**26
TABLE_BYTES = 2**29
"""Of a CSV file or another list; VoxCeleb's longest have a tenth of it."""
FILES = 5_000_000
"""In a folder and those in it."""
DECODER_BYTES = 2**33
"""That a decoding process may ask for; headers can declare anything."""
ANSWER_BYTES = 2**24
"""Of what a server lists."""
SLOWEST = 1024
"""Bytes per second that a server must bring on average, after its first `PATIENCE` seconds."""
PATIENCE = 60.0


def read_bytes(path: Path, most: int, error: type[CounterpointError] = DataError) -> bytes:
    """A whole file of at most so many bytes. A pipe or a device, which may have no end, is not waited for.

    Args:
        path: of the file.
        most: bytes.
        error: what is raised.

    Raises:
        CounterpointError: of the kind `error`: it is larger, or no regular file.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise error(f"{path} is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1) if found.st_size <= most else b""
    finally:
        os.close(descriptor)
    if max(found.st_size, len(content)) > most:
        raise error(f"{path} has more than {most / 2**20:g} MiB, which no such file has; is it another one?")
    return content


def read_json(path: Path, error: type[CounterpointError] = DataError) -> Any:
    """The content of a JSON file.

    Raises:
        CounterpointError: of the kind `error`: it is no JSON, too large, or nested too deep.
        OSError: it cannot be read.
    """
    return parse_json(read_bytes(path, JSON_BYTES, error), str(path), error)


def parse_json(content: bytes, source: str, error: type[CounterpointError] = DataError) -> Any:
    """What a JSON text says.

    Args:
        content: the text.
        source: where it comes from, for messages.
        error: what is raised.

    Raises:
        CounterpointError: of the kind `error`: it is no JSON, or nested too deep.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise error(f"{source}: values are nested too deep") from None
    except ValueError as wrong:
        raise error(f"{source} is not JSON ({wrong})") from None
