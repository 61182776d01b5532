"""RAVDESS: 24 actors say two sentences with eight emotions; its video recordings of speech, from the official files.

Livingstone, Russo: "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE 13(5) (2018).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.io.media_files import files_below
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.folds import Folds, consecutive, draw_fold
from counterpoint.errors import DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec

WHERE = "RAVDESS emotional speech (Livingstone and Russo 2018), Zenodo record 1188976, CC BY-NC-SA 4.0"

ACTORS = tuple(f"{number:02d}" for number in range(1, 25))
FOLDS: dict[str, Folds] = {"paper": consecutive(ACTORS, 4, 5), "six": consecutive(ACTORS, 4, 6)}
"""By name: the five folds of CFN-SR (Sec. 3.2) that its released code has, and six in which everyone is tested."""

_LAYOUT = """its folder must look like this:
  Actor_01/01-01-01-01-01-01-01.mp4 ... Actor_24/     (or Video_Speech_Actor_01/Actor_01/..., as unpacked)
  landmarks/01-01-01-01-01-01-01.csv ...              (or FacialTracking_Actors_01-24/): optional"""

# Fields of a file name, in order, and what their numbers mean; these are the corpus's own.
_FIELDS: dict[str, tuple[str, ...]] = {
    "modality": ("sound and picture", "picture alone", "sound alone"),
    "channel": ("speech", "song"),
    "emotion": ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
    "intensity": ("normal", "strong"),
    "statement": ("kids", "dogs"),
    "repetition": ("first", "second"),
    "actor": ACTORS,
}
_GENDERS = ("male", "female")
_CLASSES = {task: _FIELDS[task] for task in ("emotion", "intensity", "statement")} | {"gender": _GENDERS}

_LANDMARK_FOLDERS = ("landmarks", "FacialTracking_Actors_01-24")
_FRAME = (1280, 720)  # of the videos, and of those in which the landmarks were found
_HEAD = (0.275, 0.05, 0.725, 0.85)  # a square of 576 pixels: head and shoulders, wherever the head moves
_SECONDS = 6.0  # longer than the longest clip
_FRAMES = "Frames: spread evenly over the clip (as in the released code; CFN-SR, Sec. 3.2, says consecutive), cropped "
_WITH_FACES = _FRAMES + "to the face by the landmarks that OpenFace found in it (Zenodo record 3255102)."
_WITHOUT_FACES = (
    _FRAMES + "to one fixed square around head and shoulders, an approximation: no landmarks are used, by which CFN-SR "
    "crops to the face. Numbers will differ from the paper's."
)


@dataset("ravdess", tasks=tuple(_CLASSES), where=WHERE, wants=("fold",))
def load_ravdess(
    root: Path | None,
    task: str,
    seed: int,
    *,
    folds: Literal["paper", "six"] = "paper",
    fold: int = 0,
    val: float = 0.1,
    landmarks: str = "auto",
) -> ClipTable:
    """List the spoken clips of RAVDESS that have both sound and picture: 60 of each actor, 1440 in all.

    Labels and actors come from the seven numbers of a file's name (``01-01-03-01-01-01-01``: sound and picture, speech,
    happy, normal, kids, first, actor 01). A clip whose name says anything else is rejected with its reason; song, and
    recordings of one sense alone, lie beside them in the archives and are passed over.

    Args:
        root: the folder with ``Actor_01`` ...; None: where ``counterpoint download ravdess`` puts it.
        task: ``emotion``, ``intensity``, ``statement`` or ``gender``.
        seed: of who is held out for validation.
        folds: ``"paper"``: five folds of four consecutive actors, two men and two women each, so that actors 21 to 24
            are never tested (CFN-SR, Sec. 3.2); ``"six"``: six such folds, which test everyone.
        fold: which of them, from 0.
        val: share of the actors outside of the fold who are held out for validation, as many men as women; with 0.1 one
            of each. (The released code of CFN-SR has none and chooses its epoch on the test actors.)
        landmarks: ``"auto"``: points of the face from ``landmarks/`` or ``FacialTracking_Actors_01-24/`` in `root`
            where there is one, so that frames are cropped to the face as in CFN-SR; ``"none"``: a fixed crop; else the
            folder of the CSV files. They must be named as the clips are.

    Raises:
        DatasetNotFoundError: no clip is at `root`, or no landmarks where the option says.
        DataError: the fold's actors are not there, or nobody else is.
        ConfigError: a value outside its range.
    """
    root = default_root("ravdess") if root is None else root
    found = _find(root)
    if not found.clips:
        why = next((f"; the first file: {name}: {reason}" for name, reason in found.rejected.items()), "")
        raise DatasetNotFoundError(
            f"RAVDESS is not at {root}{why}. Get it with `counterpoint download ravdess --actors all --landmarks` "
            f"or from Zenodo record 1188976 (CC BY-NC-SA 4.0); {_LAYOUT}"
        )
    points = _find_landmarks(root, landmarks)
    drawn = draw_fold(
        "ravdess",
        {name: said["actor"] for name, (_, said) in found.clips.items()},
        FOLDS[folds],
        fold,
        strata={actor: _gender(actor) for actor in ACTORS},
        val=val,
        seed=seed,
        group_word="actor",
    )
    classes = _CLASSES[task]
    return ClipTable(
        name=f"ravdess/{task}",
        classes=classes,
        clips=tuple(
            Clip(
                name,
                path,
                classes.index(said[task]),
                drawn.sides[name],
                said["actor"],
                landmarks=points(name) if points else None,
                landmarks_size=_FRAME if points else None,
            )
            for name, (path, said) in found.clips.items()
        ),
        media=MediaSpec(
            sample_rate=44100,
            seconds=_SECONDS,
            frames=30,
            size=224,
            gray=False,
            crop=_HEAD,
            audio_start=0.5,
            audio_seconds=2.45,
        ),
        notes=(WHERE + ".", _WITH_FACES if points else _WITHOUT_FACES, *found.notes(), *drawn.notes),
        rejected=found.rejected,
        group_word="actor",
    )


def read_name(name: str) -> dict[str, str]:
    """What a file's name says: modality, channel, emotion, intensity, statement, repetition, actor and gender.

    Raises:
        DataError: not the name of a RAVDESS file; the message says which field is wrong.
    """
    numbers = name.split("-")
    if len(numbers) != len(_FIELDS) or not all(re.fullmatch("[0-9]{2}", number) for number in numbers):
        raise DataError(
            f"{quoted(name)} is not the name of a RAVDESS file: it must have seven numbers such as "
            "'01-01-03-01-01-01-01'"
        )
    said = {}
    for place, (number, (kind, values)) in enumerate(zip(numbers, _FIELDS.items(), strict=True), start=1):
        if not 1 <= int(number) <= len(values):
            raise DataError(
                f"{quoted(name)} is not the name of a RAVDESS file: number {place}, the {kind}, is {number}, not 01 to "
                f"{len(values):02d}"
            )
        said[kind] = values[int(number) - 1]
    if (said["emotion"], said["intensity"]) == ("neutral", "strong"):
        raise DataError(f"{quoted(name)} is not the name of a RAVDESS file: there is no strong intensity of neutral")
    return {**said, "gender": _gender(said["actor"])}


def _gender(actor: str) -> str:
    return _GENDERS[1 - int(actor) % 2]  # odd numbers are men


@dataclass
class _Found:
    """Files under a root by what their names say."""

    clips: dict[str, tuple[Path, dict[str, str]]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)

    def notes(self) -> tuple[str, ...]:
        what = ", ".join(f"{count} of {kind}" for kind, count in self.passed_over.items())
        return (f"Passed over: recordings {what}.",) if what else ()


def _find(root: Path) -> _Found:
    found = _Found()
    for path in sorted(path for pattern in ("Actor_*/*.mp4", "*/Actor_*/*.mp4") for path in root.glob(pattern)):
        name = path.stem
        try:
            said = read_name(name)
            if path.parent.name != f"Actor_{said['actor']}":
                raise DataError(f"its name says actor {said['actor']}, but it lies in {path.parent.name}")
        except DataError as error:
            found.rejected[f"{path.parent.name}/{name}"] = str(error)
            continue
        if said["channel"] != "speech":
            found.passed_over[said["channel"]] += 1
        elif said["modality"] != "sound and picture":
            found.passed_over[said["modality"]] += 1
        elif name in found.clips:
            found.passed_over["clips that lie in two places"] += 1
        else:
            found.clips[name] = (path, said)
    return found


def _find_landmarks(root: Path, landmarks: str) -> Callable[[str], Path] | None:
    """Clip name -> its CSV file, which may turn out to be missing; None: no landmarks are used."""
    if landmarks == "none":
        return None
    asked = [] if landmarks == "auto" else [Path(landmarks).expanduser()]
    places = asked or [root / name for name in _LANDMARK_FOLDERS]
    tables = {place: {path.stem: path for path in files_below(place) if path.suffix == ".csv"} for place in places}
    folder = next((place for place, files in tables.items() if files), None)
    if folder is None:
        if asked:
            raise DatasetNotFoundError(
                f"There are no landmarks (CSV files) in {landmarks}. Get them with `counterpoint download ravdess "
                "--landmarks` or from Zenodo record 3255102, or set the option landmarks to none"
            )
        return None
    return lambda name: tables[folder].get(name, folder / f"{name}.csv")
