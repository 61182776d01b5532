"""A folder of one's own: ``my_clips/<class>/*.mp4``, with a ``split.csv`` where the split is already decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.data.clip_table import SPLITS, Clip, ClipTable
from counterpoint.data.events import Event, main_class, read_events
from counterpoint.data.io.csv_tables import Row, parse_csv, read_text
from counterpoint.data.io.media_files import VIDEOS
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import describe, draw_split, shared_note
from counterpoint.errors import DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

SUFFIXES = VIDEOS | {".3gp", ".asf", ".m2ts", ".mpeg", ".mts", ".mxf", ".ogg", ".ogv", ".ts", ".vob", ".wmv"}

_LAYOUT = """the folder must look like this:
  my_clips/
    dog/0001.mp4      one folder per class, any video format
    cat/0002.mov
    split.csv         optional; columns clip, class, split, group:
                        clip   dog/0001.mp4, or 0001.mp4 with the class beside it
                        class  optional; the name of the folder
                        split  optional; train, val or test; where absent, the split is drawn
                        group  optional; speaker or source video, kept on one side of a drawn split
    events.csv        to learn when something happens; columns clip, start, end (seconds), class"""
_SEGMENTS = 10
FRAMES = 8
"""Of a clip, spread over it: few show faces and scenes. What happens when, and lips, need a rate (``media.fps``)."""


@dataclass(frozen=True)
class _Listed:
    """A row of split.csv that has been understood."""

    row: Row
    split: str
    group: str | None


@dataset(
    "folder",
    tasks=("class",),
    event_tasks=("class",),
    where="your own clips, under your own licence",
    wants=("events",),
)
def load_folder(
    root: Path | None,
    task: str,
    seed: int,
    *,
    val: float = 0.1,
    test: float = 0.2,
    disjoint: bool = True,
    events: bool = False,
) -> ClipTable:
    """List the clips of a folder with one folder per class.

    A ``split.csv`` beside them may name the clips to use, their split and their group. Where it gives no split, one is
    drawn, stratified by class and with groups on one side; where it gives train and test alone, validation clips are
    drawn from train. Pictures are in colour, 8 spread over the clip (25 a second where events are localised); how
    much is read of each clip follows from the training clips.

    Args:
        root: the folder.
        task: ``class``.
        seed: of a drawn split.
        val: share of validation clips in a drawn split.
        test: share of test clips in it.
        disjoint: keep groups on one side of a drawn split.
        events: read ``events.csv``, which says what happens when; a clip that it does not name is all background.

    Raises:
        DatasetNotFoundError: there is no such folder, it has not two classes with clips, or no ``events.csv`` where it
            is needed.
        DataError: a row of ``split.csv`` that does not fit, or a class with too few clips to be split.
    """
    if root is None:
        raise DatasetNotFoundError(f"Dataset 'folder' needs to know where your clips are (data.root); {_LAYOUT}")
    if not root.is_dir():
        raise DatasetNotFoundError(f"There is no folder {root}; {_LAYOUT}")
    files, notes = _find(root)
    if len(files) < 2:
        what = f"only one class ({next(iter(files))})" if files else "no clips in folders of classes"
        raise DatasetNotFoundError(f"{root} has {what}; {_LAYOUT}")
    on_disk = {f"{label}/{path.name}": label for label, paths in files.items() for path in paths}
    listed: dict[str, _Listed] = {}
    table = root / "split.csv"
    if table.exists():
        listed = _read_split(table, on_disk)
        if left_out := len(on_disk) - len(listed):
            notes.append(f"{left_out} of {len(on_disk)} clips are not in split.csv and are left out.")
    labels = {clip: on_disk[clip] for clip in (sorted(listed) if table.exists() else sorted(on_disk))}
    groups = {clip: listed[clip].group if listed else None for clip in labels}
    if any(row.split for row in listed.values()):
        sides, how = _given(root.name, labels, groups, listed, val, seed, disjoint)
    else:
        drawn = draw_split(
            f"{root.name}", labels, groups, val=val, test=test, seed=seed, disjoint=disjoint, group_word="group"
        )
        sides, how = drawn.sides, drawn.notes
        if not any(groups.values()):
            how = (*how, "Who or what is in a clip is unknown here, so the same speaker may be in training and test.")
    classes = tuple(sorted(set(labels.values())))
    happening = _events(root, on_disk, classes) if events else None
    return ClipTable(
        name=f"folder/{root.resolve().name}",
        classes=classes,
        clips=tuple(
            Clip(
                clip,
                root / clip,
                _class(clip, classes.index(label), happening, len(classes)),
                sides[clip],
                groups[clip],
            )
            for clip, label in labels.items()
        ),
        media=MediaSpec(size=96, gray=False, frames=None if events else FRAMES),
        notes=(*notes, *how),
        fit_length=True,
        group_word="group",
        events=happening,
        segments=_SEGMENTS if events else None,
    )


def _events(root: Path, on_disk: Mapping[str, str], classes: Sequence[str]) -> dict[str, tuple[Event, ...]]:
    path = root / "events.csv"
    if not path.is_file():
        raise DatasetNotFoundError(f"{root} has no events.csv to say what happens when; {_LAYOUT}")
    return read_events(path, lambda row: _named(row, row["clip"], on_disk), classes)


def _class(clip: str, folder: int, events: Mapping[str, tuple[Event, ...]] | None, background: int) -> int:
    """The folder's class, unless it is known that something else happens in the clip, or nothing."""
    if events is None or any(event.label == folder for event in events.get(clip, ())):
        return folder
    return main_class(events.get(clip, ()), background)


def _find(root: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Class -> its media files, and what was passed over."""
    files: dict[str, list[Path]] = {}
    others: Counter[str] = Counter()
    empty = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")):
        inside = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
        media = [p for p in inside if p.suffix.lower() in SUFFIXES and not p.is_dir()]
        others.update(p.suffix or "folders" if not p.is_dir() else "folders" for p in inside if p not in set(media))
        if media:
            files[folder.name] = media
        else:
            empty.append(folder.name)
    notes = []
    if empty:
        notes.append(f"Folders without clips are no classes: {', '.join(empty[:10])}.")
    if loose := sum(p.suffix.lower() in SUFFIXES and p.is_file() for p in root.iterdir()):
        notes.append(f"Passed over: {loose} clips beside the folders of classes, and in none.")
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common(5))
        notes.append(f"Passed over in the folders of classes: {kinds}.")
    return files, notes


def _read_split(path: Path, on_disk: Mapping[str, str]) -> dict[str, _Listed]:
    rows = parse_csv(read_text(path), str(path), ("clip",), ("class", "split", "group"))
    if not rows:
        raise DataError(f"{path} has no rows; fill it in, or remove it to have the split drawn")
    listed: dict[str, _Listed] = {}
    for row in rows:
        clip = _which(row, on_disk)
        if clip in listed:
            raise row.error("clip", f"{quoted(clip)} is listed already, in line {listed[clip].row.line}")
        if row["split"] and row["split"] not in SPLITS:
            raise row.error("split", f"{quoted(row['split'])} is no split.{did_you_mean(row['split'], SPLITS)}")
        listed[clip] = _Listed(row, row["split"], row["group"] or None)
    if any(entry.split for entry in listed.values()):
        for entry in listed.values():
            if not entry.split:
                raise entry.row.error("split", "is empty, but other rows say theirs; fill in all or none")
    return listed


def _which(row: Row, on_disk: Mapping[str, str]) -> str:
    """The clip that a row means, as ``class/file``."""
    name, label = row["clip"].replace("\\", "/").removeprefix("./"), row["class"]
    classes = sorted(set(on_disk.values()))
    if not name:
        raise row.error("clip", "is empty")
    if label and label not in classes:
        raise row.error("class", f"there is no folder {quoted(label)} with clips.{did_you_mean(label, classes)}")
    if "/" not in name:
        if not label:
            raise row.error(
                "clip", f"{quoted(name)} does not say its folder; write class/{name}, or fill in the column class"
            )
        name = f"{label}/{name}"
    name = _named(row, name, on_disk)
    if label and on_disk[name] != label:
        raise row.error("class", f"{quoted(label)}, but the clip is in the folder {quoted(on_disk[name])}")
    return name


def _named(row: Row, name: str, on_disk: Mapping[str, str]) -> str:
    if name not in on_disk:
        raise row.error("clip", f"there is no clip {quoted(name)}.{_near(name, on_disk)}")
    return name


def _near(name: str, on_disk: Mapping[str, str]) -> str:
    """Did-you-mean among the clips of the same folder where there is one: thousands of names would take long."""
    folder = name.split("/")[0] + "/"
    same = [clip for clip in on_disk if clip.startswith(folder)]
    if not same:
        return did_you_mean(folder[:-1], sorted(set(on_disk.values())))
    proposal = did_you_mean(name, same[:2000])
    return proposal if "Did you mean" in proposal else f" {folder} has {len(same)} clips, e.g. {quoted(same[0])}."


def _given(
    name: str,
    labels: Mapping[str, str],
    groups: Mapping[str, str | None],
    listed: Mapping[str, _Listed],
    val: float,
    seed: int,
    disjoint: bool,
) -> tuple[dict[str, str], Sequence[str]]:
    """The split of split.csv; validation clips are drawn from train where it gives none."""
    sides = {clip: listed[clip].split for clip in labels}
    notes = []
    if "val" not in sides.values() and val > 0:
        train = {clip: label for clip, label in labels.items() if sides[clip] == "train"}
        drawn = draw_split(
            name,
            train,
            {c: groups[c] for c in train},
            val=val,
            test=0,
            seed=seed,
            disjoint=disjoint,
            group_word="group",
        )
        sides.update(drawn.sides)
        notes.append(f"split.csv has no validation clips; a share of {val:g} was drawn from train with seed {seed}.")
    for label in sorted(set(labels.values())):
        if not any(sides[clip] == "train" for clip in labels if labels[clip] == label):
            raise DataError(f"{name}/split.csv: class {quoted(label)} has no clip in train")
    return sides, (f"Split: {describe(sides)}, as split.csv says.", *notes, *shared_note(sides, groups, "group"))
