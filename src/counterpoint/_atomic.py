"""Files whole or absent: written beside their place and moved there. All that is written so goes through here."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from counterpoint.errors import RunError


@contextlib.contextmanager
def replacing(path: Path, *, shared: bool = False, sync: bool = False) -> Iterator[Path]:
    """A context that gives the path of a file to write, beside `path`, which takes the place of `path` at the end.

    Where the block fails, that file is removed, and what stood at `path` stays.

    Args:
        path: of the file; its folder is made where it is missing.
        shared: several processes or threads may write it at once: each writes a file of its own.
        sync: have it on the disk before it is moved.

    Raises:
        OSError: the folder cannot be made, or the file not be moved.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part" if shared else f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if sync:
            with part.open("rb") as file:
                fsync(file.fileno())
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def fsync(descriptor: int) -> None:
    """Have an open file on the disk, where the file system can; some network file systems refuse."""
    with contextlib.suppress(OSError):
        os.fsync(descriptor)


def write_text(path: Path, text: str, *, shared: bool = False) -> None:
    """Write a file whole or not at all; its folder is made where it is missing.

    Args:
        path: of the file.
        text: what goes in.
        shared: several processes may write it at once.

    Raises:
        RunError: it cannot be written.
    """
    with _telling(path), replacing(path, shared=shared) as part:
        part.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Iterable[str] | None = None) -> None:
    """Write rows, as they come, under one header: `columns`, or the keys of the first row."""
    rows = iter(rows)
    first = next(rows, None)
    names = list(columns) if columns is not None else list(first or ())
    with _telling(path), replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(itertools.chain([first] if first is not None else [], rows))


def append_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows; a file with other columns is written anew with both, and what it lacks is empty."""
    if not rows:
        return
    columns, header = list(rows[0]), None
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            header = next(csv.reader(file), None)
    if header not in (None, columns):
        write_csv(path, [*read_csv(path), *rows], dict.fromkeys([*columns, *header]))
        return
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if header is None:
            writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows as written, every value a string; empty where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
