"""The lists of Kinetics, and those of its part that OGM-GE trains and tests on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from counterpoint.data.io.csv_tables import parse_csv, read_text
from counterpoint.data.io.media_files import files_below
from counterpoint.errors import quoted

_SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
_COLUMNS = ("youtube_id", "time_start", "time_end")
OGM_GE = {"train": "my_train.txt", "test": "my_test.txt"}
"""Split -> OGM-GE's list, in its folder data/KineticSound."""


@dataclass(frozen=True)
class Listed:
    """A line of a list of Kinetics: seconds `start` to `end` of an online video."""

    video: str
    start: int
    end: int
    label: str
    split: str

    @property
    def id(self) -> str:
        """As its file is called."""
        return f"{self.video}_{self.start:06d}_{self.end:06d}"


def find_lists(folder: Path) -> dict[Path, str]:
    """The CSV lists of Kinetics in a folder and the folders in it: path -> split.

    They are known by their names, such as ``train.csv``, ``kinetics_val.csv``, ``kinetics-400_test.csv``.
    """
    found = {}
    for path in files_below(folder):
        side = split_of_name(path.stem) if path.suffix == ".csv" else None
        if side is not None:
            found[path] = side
    return found


def read_list(path: Path, split: str) -> list[Listed]:
    """The lines of one list of Kinetics; none of a test list without labels, as it was given out for a challenge.

    Raises:
        DataError: a line that does not fit, with its number; the file cannot be read.
    """
    listed = []
    for row in parse_csv(read_text(path), str(path), _COLUMNS, ("label", "split", "is_cc")):
        if "label" not in row.cells and split == "test":
            break
        if not row["label"]:
            raise row.error("label", "is empty")
        start, end = row.integer("time_start"), row.integer("time_end")
        if not row["youtube_id"] or end <= start:
            raise row.error("youtube_id", f"no clip: {quoted(row['youtube_id'])} from {start} to {end} s")
        listed.append(Listed(row["youtube_id"], start, end, row["label"], split))
    return listed


def split_of_name(name: str) -> str | None:
    """``"val"`` for ``kinetics_val``, ``videos_val``, ``val_256``; None for other names."""
    parts = re.split(r"[-_ .]", name.lower())
    return next((_SPLITS[part] for part in parts if part in _SPLITS), None)


def read_ogm_ge(folder: Path) -> dict[tuple[str, int], tuple[str, str]] | None:
    """OGM-GE's lists, lines such as ``-3Mwkq-7TV4_2,10,23``: video and second, length, number of the class.

    Returns:
        (video, second) -> split and number; None where the lists are not in the folder.

    Raises:
        DataError: a line that does not fit, with its number.
    """
    if not all((folder / name).is_file() for name in OGM_GE.values()):
        return None
    listed: dict[tuple[str, int], tuple[str, str]] = {}
    for side, name in OGM_GE.items():
        path = folder / name
        for row in parse_csv(read_text(path), str(path), ("clip", "seconds", "class"), header=False):
            match = re.fullmatch(r"(.+)_([0-9]{1,7})", row["clip"])
            if match is None:
                raise row.error("clip", f"{quoted(row['clip'])} is no video and second such as '-3Mwkq-7TV4_2'")
            row.integer("class")
            if listed.setdefault((match[1], int(match[2])), (side, row["class"])) != (side, row["class"]):
                raise row.error("clip", f"{row['clip']} is listed already, otherwise")
    return listed
