"""What is to be rendered: the dials, and from them every clip with its speaker, class and split."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from counterpoint._typecheck import fits, in_words
from counterpoint.data.clip_table import SPLITS
from counterpoint.data.talkers.phones import SYLLABLES
from counterpoint.errors import ConfigError, quoted

VERSION = 1
"""Of the generator; a clip rendered by another version is never reused."""

TASKS = ("syllable", "event")

BACKGROUND = "background"
"""Class of a segment in which nothing is both heard and seen, and of a clip that has no other."""

SEGMENTS = 10
"""Segments per clip of the task ``event``."""
SEGMENT_SECONDS = 0.48
"""Length of one of them: 12 frames, 7680 samples."""
CLIP_SECONDS = {"syllable": 1.12, "event": SEGMENTS * SEGMENT_SECONDS}

_DEFAULT_CLIPS = {"syllable": 720, "event": 360}
# Streams of random numbers, so that one dial changes nothing but what it is for.
_ORDER, _HIDDEN, _EVENTS, _BACKGROUND = 1, 2, 3, 4


@dataclass(frozen=True)
class Settings:
    """Everything that the rendered files depend on.

    Attributes:
        task: ``"syllable"`` or ``"event"``.
        seed: of speakers, clips, noise and movement.
        audio_snr_db: power of the speech over that of the added noise, decibels, -60 to 100.
        visual_noise: standard deviation of pixel noise before coding, 0 to 1 of full scale.
        visual_dropout: share of the clips of each split whose mouth a hand hides, 0 to 1; on those, sight says nothing.
        speakers: how many there are, 3 to 1000; about 1/6 of them validate and 1/4 test.
        clips: how many in all, at least one for each speaker; 0: 720 syllables or 360 event clips.
        background_clips: share of the clips of each split in which nothing is both heard and seen, 0 to 1; ``"event"``.

    Raises:
        ConfigError: a value outside its range, or background among the clips of a task that has none.
    """

    task: Literal["syllable", "event"] = "syllable"
    seed: int = 0
    audio_snr_db: float = 10.0
    visual_noise: float = 0.06
    visual_dropout: float = 0.0
    speakers: int = 24
    clips: int = 0
    background_clips: float = 0.0

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"talkers has no task {quoted(self.task)}; it has {' and '.join(TASKS)}")
        _check("seed", self.seed, 0, 2**63 - 1, int)
        _check("audio_snr_db", self.audio_snr_db, -60, 100)
        _check("visual_noise", self.visual_noise, 0, 1)
        _check("visual_dropout", self.visual_dropout, 0, 1)
        _check("speakers", self.speakers, 3, 1000, int)
        if self.clips == 0:
            object.__setattr__(self, "clips", max(_DEFAULT_CLIPS[self.task], self.speakers))
        _check("clips", self.clips, self.speakers, 1_000_000, int)
        _check("background_clips", self.background_clips, 0, 1)
        if self.background_clips and self.task != "event":
            raise ConfigError(
                f"talkers.background_clips is {self.background_clips:g}, but in the task {self.task!r} every clip has "
                "a class; only the task 'event' (task=localise) knows background"
            )
        for name in ("audio_snr_db", "visual_noise", "visual_dropout", "background_clips"):
            object.__setattr__(self, name, float(getattr(self, name)))  # 5 and 5.0 are the same clips

    @property
    def seconds(self) -> float:
        """Length of a clip."""
        return CLIP_SECONDS[self.task]

    @property
    def values(self) -> dict[str, Any]:
        """All settings by name. Background only where there is some: without it, clips are what they were before it."""
        return {name: value for name, value in asdict(self).items() if name != "background_clips" or value}

    @property
    def folder_name(self) -> str:
        """Name of the cache folder; another value of any setting or another version gives another one."""
        text = json.dumps({"version": VERSION, **self.values}, sort_keys=True)
        return f"{self.task}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class ClipPlan:
    """One clip before it is rendered; labels are indices into ``SYLLABLES``.

    Attributes:
        index: place in the dataset; with the seed it fixes everything that is random in the clip.
        speaker: number of the speaker.
        split: ``"train"``, ``"val"`` or ``"test"``; decided by the speaker.
        label: class of the clip; None: background throughout.
        hidden: a hand hides the mouth throughout.
        heard: per segment what is said, or None (a clip of the task ``syllable`` has one segment).
        seen: per segment what the mouth does, or None.
    """

    index: int
    speaker: int
    split: str
    label: int | None
    hidden: bool
    heard: tuple[int | None, ...]
    seen: tuple[int | None, ...]

    @property
    def id(self) -> str:
        """Unique in its dataset, and the name of the file without its suffix."""
        return f"s{self.speaker:02d}-{self.index:05d}-{name_of(self.label) or BACKGROUND}"

    @property
    def segments(self) -> tuple[int | None, ...]:
        """Per segment the class that is both heard and seen; None where there is none."""
        return tuple(h if h == s else None for h, s in zip(self.heard, self.seen, strict=True))


def name_of(label: int | None) -> str | None:
    """The syllable behind an index; None stays what it is."""
    return None if label is None else SYLLABLES[label]


def speaker_split(speaker: int, speakers: int) -> str:
    """The split that a speaker belongs to: the last quarter tests, the sixth before it validates."""
    test = max(1, round(speakers / 4))
    val = max(1, round(speakers / 6))
    return "test" if speaker >= speakers - test else "val" if speaker >= speakers - test - val else "train"


def make_plan(settings: Settings) -> tuple[ClipPlan, ...]:
    """List all clips: every speaker says all classes equally often as far as they go, and stands in one split only."""
    who = np.arange(settings.clips) % settings.speakers
    splits = [speaker_split(int(s), settings.speakers) for s in who]
    labels = _labels(who, settings)
    hidden = _hidden(splits, settings)
    background = _background(who, splits, labels, settings)
    plans = []
    for k in range(settings.clips):
        label = None if background[k] else int(labels[k])
        heard: tuple[int | None, ...] = (label,)
        seen = heard
        if settings.task == "event":
            heard, seen = _event(label, np.random.default_rng([settings.seed, _EVENTS, k]))
        plans.append(ClipPlan(k, int(who[k]), splits[k], label, bool(hidden[k]), heard, seen))
    return tuple(plans)


def _labels(who: np.ndarray, settings: Settings) -> np.ndarray:
    """Each speaker goes through all classes in a new order each time."""
    labels = np.empty(len(who), dtype=np.int64)
    for speaker in range(settings.speakers):
        rng = np.random.default_rng([settings.seed, _ORDER, speaker])
        mine = np.flatnonzero(who == speaker)
        rounds = math.ceil(len(mine) / len(SYLLABLES))
        labels[mine] = np.concatenate([rng.permutation(len(SYLLABLES)) for _ in range(rounds)])[: len(mine)]
    return labels


def _hidden(splits: list[str], settings: Settings) -> np.ndarray:
    """Exactly the wanted share of each split, rounded to whole clips."""
    hidden = np.zeros(len(splits), dtype=bool)
    for number, split in enumerate(SPLITS):
        mine = np.flatnonzero(np.array(splits) == split)
        rng = np.random.default_rng([settings.seed, _HIDDEN, number])
        hidden[rng.permutation(mine)[: round(settings.visual_dropout * len(mine))]] = True
    return hidden


def _background(who: np.ndarray, splits: list[str], labels: np.ndarray, settings: Settings) -> np.ndarray:
    """Exactly the wanted share of each split: speakers in turn give up a clip, of the class most frequent by then.

    A larger share takes further clips beside those of a smaller one.
    """
    background = np.zeros(len(who), dtype=bool)
    for number, split in enumerate(SPLITS):
        mine = np.flatnonzero(np.array(splits) == split)
        wanted = round(settings.background_clips * len(mine))
        rng = np.random.default_rng([settings.seed, _BACKGROUND, number])
        theirs: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))  # speaker, class -> clips
        for k in rng.permutation(mine).tolist():
            theirs[int(who[k])][int(labels[k])].append(k)
        left = Counter(labels[mine].tolist())
        for clips in itertools.cycle(list(theirs.values())):
            if not wanted:
                break
            if not clips:
                continue
            label = max(clips, key=lambda c: left[c])
            background[clips[label].pop()] = True
            if not clips[label]:
                del clips[label]
            left[label] -= 1
            wanted -= 1
    return background


def _event(label: int | None, rng: np.random.Generator) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
    """2 to 6 segments in a row with the event; about 3 in 10 of the others are only heard, 3 in 10 only seen.

    Without an event (None) all are others: about as many of each kind.
    """
    length = int(rng.integers(2, 7))
    start = int(rng.integers(0, SEGMENTS - length + 1))
    heard: list[int | None] = [None] * SEGMENTS
    seen: list[int | None] = [None] * SEGMENTS
    for k in range(SEGMENTS):
        kind, other = rng.uniform(), int(rng.integers(len(SYLLABLES)))
        if label is not None and start <= k < start + length:
            heard[k] = seen[k] = label
        elif kind < 0.3:
            heard[k] = other
        elif kind < 0.6:
            seen[k] = other
    return tuple(heard), tuple(seen)


def _check(name: str, value: Any, low: float, high: float, wanted: type = float) -> None:
    if not fits(value, wanted):
        raise ConfigError(f"talkers.{name} is {quoted(value)}; it must be {in_words(wanted)}")
    if not low <= value <= high:
        raise ConfigError(f"talkers.{name} is {value}; it must be {low:g} to {high:g}")
