"""Writes the folder of the dataset ``features``, clip by clip, so that whatever interrupts it costs one clip.

Until all clips are through, the rows stand in ``unfinished.h5``, which has room for every clip from the beginning: its
structure does not change any more, so a process that is killed cannot damage it. ``unfinished.csv`` says which rows
are written. The files that a reader looks for appear at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint._atomic import append_csv, replacing, write_csv
from counterpoint._lock import LOCK, locked
from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.datasets.feature_folder import CLIPS, EVENTS, FEATURES
from counterpoint.data.io.csv_tables import parse_csv, read_text
from counterpoint.data.io.hdf5 import import_h5py
from counterpoint.errors import DataError, quoted
from counterpoint.media.spec import FORMER_FIELDS

SKIPPED = "skipped.csv"
_ROWS, _JOURNAL = "unfinished.h5", "unfinished.csv"
_OURS = (_ROWS, _JOURNAL, FEATURES, CLIPS, EVENTS, SKIPPED)
_REASON = ("clip", "reason")

Features = Mapping[str, NDArray[np.float32]]


class FeatureWriter:
    """The folder while it is written; a context manager that keeps the file open.

    Args:
        folder: made where it is missing; one that was begun with the same arguments goes on.
        table: the clips, and what happens in them.
        seconds: length of a clip.
        made_by: modality -> what encodes it, in a few words; stands in the folder for whoever reads it.
        setting: everything else that the numbers depend on, as JSON knows it.
        overwrite: remove what `prepare` wrote there.

    Attributes:
        folder: as given.
        done: clip id -> why it was set aside; empty where its features are written. Of a finished folder, all clips.

    Raises:
        DataError: the folder holds features of other clips or made in another way, or something else; the file is
            damaged.
        InUseError: another process is at work in the folder.
    """

    def __init__(
        self,
        folder: str | Path,
        table: ClipTable,
        seconds: float,
        made_by: Mapping[str, str],
        setting: Mapping[str, Any],
        *,
        overwrite: bool = False,
    ) -> None:
        table = table.within(seconds)
        self.folder, self.table, self.seconds = Path(folder), table, seconds
        self._made_by = json.dumps(dict(made_by))
        self._setting: dict[str, Any] = json.loads(json.dumps({**setting, "clips": _digest(table), "seconds": seconds}))
        self._row = {clip.id: k for k, clip in enumerate(table.clips)}
        if self.folder.exists() and not self.folder.is_dir():
            raise DataError(f"{self.folder} is a file; name a folder")
        with contextlib.ExitStack() as held:
            held.enter_context(locked(self.folder))
            self._begin(overwrite)
            held.callback(self._file.close)
            self._held = held.pop_all()

    def _begin(self, overwrite: bool) -> None:
        table = self.table
        if overwrite:
            self._clear()
        self.done: dict[str, str] = {}
        self.finished = (self.folder / FEATURES).is_file()
        self._file = self._open()
        if self.finished:
            self.done = {clip.id: "" for clip in table.clips} | _read_reasons(self.folder / SKIPPED)
            for name in (_ROWS, _JOURNAL):  # of one who was killed in the very last moment
                (self.folder / name).unlink(missing_ok=True)
        elif (self.folder / _JOURNAL).is_file():
            self.done = _read_reasons(self.folder / _JOURNAL)
        self.done |= {clip.id: table.rejected[clip.id] for clip in table.clips if clip.id in table.rejected}

    def _clear(self) -> None:
        """Remove what was written here before. Tables without features are of others, and `_open` tells of them."""
        here = [path for name in (FEATURES, _ROWS) if (path := self.folder / name).is_file()]
        for path in here:
            try:
                with import_h5py(path).File(path, "r" if path.name == FEATURES else "r+") as file:
                    ours = path.name == _ROWS or "setting" in file.attrs
            except BlockingIOError:
                raise DataError(f"{path}: another process writes it") from None
            except OSError:  # nobody can read it any more
                continue
            if not ours:
                raise DataError(f"{path} was not made by prepare, and is not removed; name another folder")
        for name in _OURS if here else ():
            (self.folder / name).unlink(missing_ok=True)

    def _open(self) -> Any:
        path = self.folder / (FEATURES if self.finished else _ROWS)
        h5py = import_h5py(path)
        new = not path.exists()
        if new and any(each.name != LOCK for each in self.folder.iterdir()):
            raise DataError(f"{self.folder} holds something else; name a folder that is empty or not there")
        try:
            file = h5py.File(path, "w" if new else "r" if self.finished else "r+")
        except BlockingIOError:
            raise DataError(f"{path}: another process writes it") from None
        except OSError as error:
            raise DataError(f"{path} is damaged ({error}); --overwrite begins anew") from None
        if new:
            file.attrs["encoders"], file.attrs["setting"] = self._made_by, json.dumps(self._setting)
            file.flush()
            return file
        try:
            self._require_same(json.loads(file.attrs.get("setting", "{}")), path)
        except BaseException:
            file.close()
            raise
        return file

    def _require_same(self, before: Mapping[str, Any], path: Path) -> None:
        former = {f"media.{old}": f"media.{name}" for old, name in FORMER_FIELDS.items()}
        then, now = {former.get(name, name): value for name, value in _flat(before)}, dict(_flat(self._setting))
        for name in {**then, **now}:
            if then.get(name) == now.get(name):
                continue
            what = f"{name} was {quoted(then.get(name))} and is now {quoted(now.get(name))}"
            if name == "clips":
                what = "the clips are others now"
            raise DataError(f"{path} was made in another way: {what}. Name another folder, or give --overwrite")

    def __enter__(self) -> FeatureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    @property
    def pending(self) -> list[Clip]:
        """The clips that are neither written nor set aside, in table order."""
        return [clip for clip in self.table.clips if clip.id not in self.done]

    def write(self, clip: str, features: Features) -> None:
        """Keep the features of a clip: modality -> float32 ``(T, ...)``, of one shape for all clips.

        Raises:
            DataError: the disk has no room for all clips.
        """
        for modality, values in features.items():
            if modality not in self._file:
                self._make_room(modality, values.shape)
            self._file[modality][self._row[clip]] = values
        self._file.flush()
        self._note(clip, "")

    def skipped(self, clip: str, reason: str) -> None:
        """Go without a clip."""
        self._note(clip, " ".join(reason.split()))

    def write_skipped(self) -> None:
        """Write which clips have no features, and why."""
        reasons = {**self.table.rejected, **{clip: reason for clip, reason in self.done.items() if reason}}
        write_csv(self.folder / SKIPPED, map(_reason, reasons.items()), _REASON)

    def finish(self) -> None:
        """Write the tables, and make the features a dataset; there must be no pending clip.

        Raises:
            DataError: no clip could be used.
        """
        written = [clip for clip in self.table.clips if not self.done[clip.id]]
        if not written:
            first = next(iter(self.done.items()), ("", "there are none"))
            raise DataError(f"{self.table.name}: no clip can be used, e.g. {first[0]} {first[1]}")
        self.write_skipped()
        write_csv(self.folder / CLIPS, [self._described(clip) for clip in written])
        if self.table.events is not None:
            write_csv(self.folder / EVENTS, _events(self.table, written), ("clip", "start", "end", "class"))
        if len(written) < len(self.table.clips):
            with replacing(self.folder / FEATURES) as part:
                self._copy([self._row[clip.id] for clip in written], part)
                self._file.close()
        else:
            self._file.close()
            (self.folder / _ROWS).replace(self.folder / FEATURES)
        for name in (_ROWS, _JOURNAL):
            (self.folder / name).unlink(missing_ok=True)
        self.finished = True

    def _make_room(self, modality: str, shape: tuple[int, ...]) -> None:
        whole = (len(self.table.clips), *shape)
        needed, free = 4 * int(np.prod(whole)), shutil.disk_usage(self.folder).free
        if needed > free:
            raise DataError(
                f"The {modality} features of {len(self.table.clips)} clips need {needed / 1e9:.1f} GB, but "
                f"{self.folder} has {free / 1e9:.1f} GB left. Make room, or name another folder"
            )
        _dataset(self._file, modality, whole)

    def _described(self, clip: Clip) -> dict[str, str]:
        names = (*self.table.classes, "")
        return {
            "clip": clip.id,
            "class": names[clip.label],
            "seconds": f"{self.seconds:.10g}",
            "split": clip.split,
            "group": clip.group or "",
        }

    def _copy(self, rows: Sequence[int], path: Path) -> None:
        """These rows alone, one by one, into another file."""
        with import_h5py(path).File(path, "w") as file:
            for name, value in self._file.attrs.items():
                file.attrs[name] = value
            for modality, data in self._file.items():
                kept = _dataset(file, modality, (len(rows), *data.shape[1:]))
                for k, row in enumerate(rows):
                    kept[k] = data[row]

    def _note(self, clip: str, reason: str) -> None:
        append_csv(self.folder / _JOURNAL, [_reason((clip, reason))])
        self.done[clip] = reason


def _dataset(file: Any, name: str, shape: tuple[int, ...]) -> Any:
    """A dataset whose place in the file is settled now, and filled later."""
    h5py = import_h5py(Path(file.filename))
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    made = file.create_dataset(name, shape, np.float32, dcpl=layout)
    file.flush()
    return made


def _read_reasons(path: Path) -> dict[str, str]:
    """Clip id -> reason; of a last line that was cut off by a kill, nothing."""
    text = read_text(path)
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return {row["clip"]: row["reason"] for row in parse_csv(whole, str(path), _REASON)} if whole else {}


def _reason(clip_and_reason: tuple[str, str]) -> dict[str, str]:
    return dict(zip(_REASON, clip_and_reason, strict=True))


def _events(table: ClipTable, clips: Sequence[Clip]) -> Iterator[dict[str, str]]:
    for clip in clips:
        for event in (table.events or {}).get(clip.id, ()):
            times = {"start": f"{event.start:.10g}", "end": f"{event.end:.10g}"}
            yield {"clip": clip.id, **times, "class": table.classes[event.label]}


def _digest(table: ClipTable) -> str:
    """Of what the rows are: which clips, in which order, which stretch of their files."""
    rows = [(clip.id, clip.path.name, clip.start, clip.end) for clip in table.clips]
    return hashlib.sha256(json.dumps([table.name, rows]).encode()).hexdigest()[:16]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
