"""The GRID corpus: 34 speakers say sentences of six words, from the official files or from prepared face crops."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.datasets._grid_words import TASKS, WORDS, Word, find_word, parse_align, parse_words, sentence
from counterpoint.data.events import Event
from counterpoint.data.io.csv_tables import read_text
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import draw_split
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

WHERE = "GRID audio-visual sentence corpus (Cooke et al. 2006), Zenodo record 3625687, CC BY 4.0"
_SECONDS = 3.0
_FPS = 25.0
_SEGMENTS = 15  # of 0.2 s: the shortest words last one of them

_LAYOUT = """its folder must look like one of these:
  the corpus as distributed               prepared face crops of one speaker
    s1/bbaf2n.mpg                           clips/bbaf2n.mp4
    alignments/s1/bbaf2n.align (or align/)  words.csv   (clip,index,word,start_s,end_s)
    s2/...
Alignments and words.csv are needed for segment=True and for events alone."""

# Where the mouth is, as fractions of the picture: (left, top, right, bottom).
_MOUTH_IN_FACE_CROP = (0.25, 0.52, 0.80, 0.97)
_MOUTH_IN_FULL_FRAME = (0.29, 0.58, 0.58, 0.88)


@dataclass
class _Source:
    """Clips found under a root, before labels: what the two layouts have in common."""

    crop: tuple[float, float, float, float]
    notes: tuple[str, ...]
    files: dict[str, tuple[Path, str]] = field(default_factory=dict)  # clip id -> file, speaker
    words: dict[str, tuple[Word, ...]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)


_TASKS = ("digit", *(task for task in TASKS if task != "digit"))


@dataset("grid", tasks=_TASKS, event_tasks=_TASKS, where=WHERE, wants=("events",))
def load_grid(
    root: Path | None,
    task: str,
    seed: int,
    *,
    segment: bool = False,
    segment_seconds: float = 0.8,
    speakers: Sequence[int | str] | None = None,
    val: float = 0.1,
    test: float = 0.2,
    disjoint: bool = True,
    events: bool = False,
    background: Sequence[str] = (),
) -> ClipTable:
    """List the clips of GRID with the word of one task as their class.

    The words come from the six letters of a clip's name (``bbaf2n``: bin blue at f two now). A clip with another name,
    or whose timing is needed and is missing, damaged or of another sentence, is rejected with its reason.

    Args:
        root: the corpus as distributed (``s1/NAME.mpg``, ``alignments/s1/NAME.align`` or ``align/s1/NAME.align``), or
            prepared face crops (``clips/NAME.mp4``, ``words.csv``); None: where ``counterpoint download grid`` puts it.
        task: ``command``, ``colour``, ``preposition``, ``letter``, ``digit`` or ``adverb``.
        seed: of the split.
        segment: a window around the task's word instead of the whole clip of 3 s. The words around it are then partly
            in the window too.
        segment_seconds: length of that window, seconds; it is centred on the word and moved inward at the clip's ends.
        speakers: only these, as ``1`` or ``"s1"``; None: all that are there.
        val: share of validation clips.
        test: share of test clips.
        disjoint: keep speakers on one side of the split where there are several.
        events: read when the task's word is said: the one event of each clip; the other words are background.
        background: words of the task that are no events either: clips with them hold none. Weak supervision learns what
            background is from such clips alone.

    Raises:
        DatasetNotFoundError: nothing of either layout is at `root`.
        DataError: ``words.csv`` has a line that does not fit, or a class has too few clips.
        ConfigError: a value outside its range, a speaker that is not there, or a segment of which events are asked.
    """
    _check(segment, segment_seconds, events, background)
    root = default_root("grid") if root is None else root
    source = _find(root, segment or events, speakers)
    classes = _classes(task, background)
    clips: dict[str, Clip] = {}
    said: dict[str, tuple[Event, ...]] = {}
    for name, (path, speaker) in sorted(source.files.items()):
        try:
            spoken = sentence(path.stem)[task]
            word = _timing(source, name, path.stem, task) if segment or events else None
        except DataError as error:
            source.rejected[name] = str(error)
            continue
        label = classes.index(spoken) if spoken in classes else len(classes)
        start, end = 0.0, None
        if word is not None:
            said[name] = (Event(label, word.start, word.end),) if label < len(classes) else ()
        if word is not None and segment:
            start, end = _window(word, segment_seconds)
        clips[name] = Clip(name, path, label, "train", speaker, start, end)
    if not clips:
        why = next(iter(source.rejected.values()), "there is none")
        raise DataError(f"{root}: none of GRID's clips can be used; the first: {why}")
    drawn = draw_split(
        f"grid/{task}",
        {name: sentence(clip.path.stem)[task] for name, clip in clips.items()},
        {name: clip.group for name, clip in clips.items()},
        val=val,
        test=test,
        seed=seed,
        disjoint=disjoint,
    )
    seconds = segment_seconds if segment else _SECONDS
    what = _what_is_read(task, segment_seconds if segment else None, events, background)
    return ClipTable(
        name=f"grid/{task}" + ("/segment" if segment else "/events" if events else ""),
        classes=classes,
        clips=tuple(replace(clip, split=drawn.sides[name]) for name, clip in clips.items()),
        media=MediaSpec(sample_rate=16000, seconds=seconds, fps=_FPS, size=48, gray=True, crop=source.crop),
        notes=(WHERE + ".", what, *source.notes, *drawn.notes),
        rejected=source.rejected,
        events=said if events else None,
        segments=_SEGMENTS if events else None,
    )


def _check(segment: bool, segment_seconds: float, events: bool, background: Sequence[str]) -> None:
    if background and not events:
        raise ConfigError(f"background is {list(background)}, but without events (task=localise) there is none")
    if segment and events:
        raise ConfigError(
            "segment cuts the word out, and events tell where it is in the whole clip; choose one of them"
        )
    if not 0 < segment_seconds <= _SECONDS:
        raise ConfigError(f"segment_seconds is {quoted(segment_seconds)}; it must be in (0, {_SECONDS:g}]")


def _classes(task: str, background: Sequence[str]) -> tuple[str, ...]:
    classes = tuple(WORDS[task].values())
    if task == "digit":
        classes = ("zero", *(word for word in classes if word != "zero"))
    for other in background:
        if other not in classes:
            raise ConfigError(f"background: {quoted(other)} is no {task} of GRID.{did_you_mean(str(other), classes)}")
    return tuple(word for word in classes if word not in background)


def _what_is_read(task: str, segment: float | None, events: bool, background: Sequence[str]) -> str:
    if segment is not None:
        return f"Input: {segment:g} s around the {task}'s word, from the corpus's word timings."
    what = "Input: the whole clip of 3 s; the network is not told where the word is."
    if events:
        what += f" Events: the {task}'s word, from the corpus's word timings; all other words are background"
        what += f", {' and '.join(background)} as well." if background else "."
    return what


def _window(word: Word, seconds: float) -> tuple[float, float]:
    """`seconds` centred on the word, moved inward where they would leave the clip; to the millisecond."""
    start = round(min(max((word.start + word.end - seconds) / 2, 0.0), _SECONDS - seconds), 3)
    return start, round(start + seconds, 3)


def _timing(source: _Source, clip: str, name: str, task: str) -> Word:
    if clip not in source.words:
        raise DataError(source.rejected.get(clip) or f"no word timing of {name}")
    return find_word(source.words[clip], name, task)


def _find(root: Path, timed: bool, speakers: Sequence[int | str] | None) -> _Source:
    if (root / "clips").is_dir():
        if speakers is not None:
            raise ConfigError(f"{root} holds prepared face crops of one speaker; the option speakers does not fit it")
        source = _find_face_crops(root, timed)
    else:
        source = _find_corpus(root, timed, speakers)
    if source is None:
        raise DatasetNotFoundError(
            f"GRID is not at {root}. Get it with `counterpoint download grid --speakers 1` "
            f"or from Zenodo record 3625687 (CC BY 4.0); {_LAYOUT}"
        )
    return source


def _find_face_crops(root: Path, timed: bool) -> _Source | None:
    source = _Source(
        _MOUTH_IN_FACE_CROP,
        ("Frames: a fixed region around the mouth of the prepared face crop, gray.",),
    )
    # The crops hold one speaker, whom only the folder names.
    speaker = root.resolve().name
    for path in sorted((root / "clips").glob("*.mp4")):
        source.files[path.stem] = (path, speaker)
    if not source.files:
        return None
    if timed:
        source.words = dict(parse_words(read_text(root / "words.csv"), str(root / "words.csv")))
        for name in source.words.keys() - source.files.keys():
            source.rejected[name] = f"words.csv lists it, but clips/{name}.mp4 is missing"
    return source


def _find_corpus(root: Path, timed: bool, speakers: Sequence[int | str] | None) -> _Source | None:
    folders = _speaker_folders(root)
    if speakers is not None:
        folders = _choose(folders, speakers, root)
    source = _Source(
        _MOUTH_IN_FULL_FRAME,
        (
            "Frames: one fixed region of the full picture for all clips, an approximation: it is where the mouth of "
            "speaker 1 is, and heads differ and move. Other speakers may need another media.crop.",
        ),
    )
    for speaker, folder in folders.items():
        for path in sorted(folder.glob("*.mpg")):
            name = f"{speaker}/{path.stem}"
            source.files[name] = (path, speaker)
            if timed:
                try:
                    source.words[name] = _read_align(root, speaker, path.stem)
                except DataError as error:
                    source.rejected[name] = str(error)
    return source if source.files else None


def _speaker_folders(root: Path) -> dict[str, Path]:
    """``s1``, ``s2``, ... in `root` or in ``root/video`` that hold videos."""
    found = {}
    for parent in (root / "video", root):
        for folder in parent.glob("s[0-9]*") if parent.is_dir() else ():
            if folder.name[1:].isdecimal() and folder.is_dir() and _has_video(folder):
                found[folder.name] = folder
    return dict(sorted(found.items(), key=lambda item: int(item[0][1:])))


def _has_video(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.endswith(".mpg") for entry in entries)


def _choose(folders: Mapping[str, Path], speakers: Sequence[int | str], root: Path) -> dict[str, Path]:
    if isinstance(speakers, str) or not isinstance(speakers, Sequence):
        raise ConfigError(f"speakers is {quoted(speakers)}; give a list such as [1, 2]")
    chosen = {}
    for speaker in speakers:
        name = str(speaker) if str(speaker).startswith("s") else f"s{speaker}"
        if name not in folders:
            raise ConfigError(f"{root} has no speaker {quoted(name)}.{did_you_mean(name, folders)}")
        chosen[name] = folders[name]
    return chosen


def _read_align(root: Path, speaker: str, name: str) -> tuple[Word, ...]:
    for parent in ("alignments", "align"):
        path = root / parent / speaker / f"{name}.align"
        if path.exists():
            return parse_align(read_text(path), str(path))
    raise DataError(f"no alignments/{speaker}/{name}.align (nor align/{speaker}/{name}.align) under {root}")
