"""VGGSound: 200 thousand online videos of 10 s in 309 classes of what is heard and seen, by its list and split.

Chen, Xie, Vedaldi, Zisserman: "VGGSound: A Large-scale Audio-Visual Dataset", ICASSP (2020).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.io.csv_tables import Row, parse_csv, read_text
from counterpoint.data.io.media_files import VIDEOS, cut_names, files_by_name, find_list, first_spelling, note_doubles
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import hold_out_validation
from counterpoint.data.splits.leaks import Entry, LeakReport, compare_lists
from counterpoint.data.splits.published import published
from counterpoint.errors import DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

WHERE = "VGGSound (Chen et al. 2020), the list under CC BY 4.0; the videos are their owners'"
_GET = (
    "Its list is at www.robots.ox.ac.uk/~vgg/data/vggsound (CC BY 4.0); the videos are fetched from "
    "where they are online, and cut to the 10 s that it names"
)
CLASSES = 309
SECONDS = 10

_COLUMNS = ("video", "start", "label", "split")
_LAYOUT = """its folder must look like this:
  vggsound.csv                     lines such as ---g-f_I2yQ,1,people marching,test
  video/---g-f_I2yQ_000001.mp4     any folders; also ---g-f_I2yQ_1, ---g-f_I2yQ_1000_11000, ---g-f_I2yQ"""


@dataclass(frozen=True)
class Listed:
    """A line of the list: seconds `start` to `start` + 10 of an online video."""

    video: str
    start: int
    label: str
    split: str

    @property
    def id(self) -> str:
        """As its file is called."""
        return f"{self.video}_{self.start:06d}"


@dataset("vggsound", tasks=("sound",), where=WHERE, elsewhere=_GET)
def load_vggsound(root: Path | None, task: str, seed: int, *, csv: str | None = None, val: float = 0.1) -> ClipTable:
    """List the clips of VGGSound by its ``vggsound.csv``.

    A listed clip whose video is not there (links rot) is rejected with that reason, so that ``max_bad`` says how many
    may be missing. Classes are those of the list, sorted by name.

    Args:
        root: the folder with the videos, cut to 10 s; None: ``datasets/vggsound`` in the cache.
        task: ``sound``.
        seed: of which training clips are held out for validation.
        csv: the list; None: ``vggsound.csv`` in `root` or a folder in it.
        val: share of the training clips held out for validation, whole online videos; the list has none.

    Raises:
        DatasetNotFoundError: no list, or none of its videos.
        DataError: a line of the list that does not fit, with its number.
        ConfigError: a value outside its range.
    """
    root = default_root("vggsound") if root is None else root
    path = find_list(root, csv, ("vggsound.csv",))
    if path is None:
        where = f"{root} or a folder in it" if csv is None else csv
        raise DatasetNotFoundError(f"There is no vggsound.csv in {where}. {_GET}; {_LAYOUT}")
    rows = read_list(path)
    doubles: list[Path] = []
    files = _find(root, rows, doubles)
    there = {row.id: row for row in rows if row.id in files}
    if not there:
        raise DatasetNotFoundError(f"None of the {len(rows)} videos of {path} is in {root}; {_LAYOUT}")
    drawn = hold_out_validation(
        "vggsound",
        {name: row.split for name, row in there.items()},
        {name: row.label for name, row in there.items()},
        {name: row.video for name, row in there.items()},
        val=val,
        seed=seed,
        group_word="source video",
    )
    classes = tuple(sorted({row.label for row in rows}))
    number = {label: k for k, label in enumerate(classes)}
    return ClipTable(
        name=f"vggsound/{task}",
        classes=classes,
        clips=tuple(
            Clip(name, files[name], number[row.label], drawn.sides[name], row.video) for name, row in there.items()
        ),
        media=MediaSpec(sample_rate=16000, seconds=float(SECONDS), frames=3, size=224, gray=False),
        notes=(
            WHERE + ".",
            *_shortfall(rows, there),
            *note_doubles(doubles, root),
            *([f"The list has {len(classes)} classes, not the {CLASSES} of VGGSound."] * (len(classes) != CLASSES)),
            "Recommended: the whole clip of 10 s and three frames spread over it. Published methods hear 5 s of it: "
            "the sound's transform has crop_seconds for that.",
            *drawn.notes,
        ),
        rejected={
            row.id: f"{path.name} lists it for {row.split}, but its video is missing"
            for row in rows
            if row.id not in files
        },
        group_word="source video",
    )


def read_list(path: Path) -> list[Listed]:
    """The lines of ``vggsound.csv``: video, second, label (which may hold commas, in quotes or not), split.

    Raises:
        DataError: a line that does not fit, with its number; the file cannot be read.
    """
    rows = parse_csv(read_text(path), str(path), _COLUMNS, header=False, commas_in="label")
    if rows and not rows[0]["start"].isdigit() and rows[0]["split"] not in ("train", "test"):
        rows = rows[1:]  # some copies name their columns
    if not rows:
        raise DataError(f"{path} lists no clip; its lines must be such as ---g-f_I2yQ,1,people marching,test")
    listed = [_read(row) for row in rows]
    first: dict[str, Row] = {}
    for row, entry in zip(rows, listed, strict=True):
        if entry.id in first:
            raise row.error("video", f"{entry.id} is listed already, in line {first[entry.id].line}")
        first[entry.id] = row
    return listed


def _read(row: Row) -> Listed:
    if row["split"] not in ("train", "test"):
        raise row.error("split", f"{quoted(row['split'])} is no split.{did_you_mean(row['split'], ('train', 'test'))}")
    for column in ("video", "label"):
        if not row[column]:
            raise row.error(column, "is empty")
    return Listed(row["video"], row.integer("start"), row["label"], row["split"])


def _find(root: Path, rows: Sequence[Listed], doubles: list[Path]) -> dict[str, Path]:
    """Clip id -> its file; those of a name that is there twice are added to `doubles`."""
    files = files_by_name(root, VIDEOS, doubles)
    times = Counter(row.video for row in rows)
    found = {}
    for row in rows:
        names = cut_names(row.video, row.start, row.start + SECONDS)
        # A file that says no second can only be meant where one clip of the video is listed.
        path = first_spelling((*names, row.video) if times[row.video] == 1 else names, files)
        if path is not None:
            found[row.id] = path
    return found


def _shortfall(rows: Sequence[Listed], there: Mapping[str, Listed]) -> tuple[str, ...]:
    missing = Counter(row.split for row in rows if row.id not in there)
    if not missing:
        return ()
    sides = ", ".join(f"{missing[side]} of {sum(r.split == side for r in rows)} {side}" for side in ("train", "test"))
    return (f"Missing videos: {sides} clips; figures are not those of the full dataset.",)


@published("vggsound", "vggsound.csv")
def _compare_lists(folder: Path) -> list[LeakReport]:
    path = folder / "vggsound.csv"
    rows = read_list(path) if path.is_file() else []
    return compare_lists("vggsound", "source video", (Entry(row.id, row.split, row.video) for row in rows))
