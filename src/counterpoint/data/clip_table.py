"""A dataset before it is decoded: which clip, where, what it shows, and on which side of the split it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint._moved import former_keywords
from counterpoint.data.events import Event, cut_events, main_class
from counterpoint.errors import DataError, quoted
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

if TYPE_CHECKING:
    from counterpoint.data.feature_rows import Features

SPLITS = ("train", "val", "test")


@former_keywords(sound="audio")
@dataclass(frozen=True)
class Clip:
    """One example: a stretch of a media file with its class.

    Attributes:
        id: unique within the table; stands in every report.
        path: the media file.
        label: index into the table's classes; their number (the class of background) for a clip in which none of them
            happens, which only a table with events may hold.
        split: ``"train"``, ``"val"`` or ``"test"``.
        group: speaker (or source video): what must not stand on both sides of a split; None where unknown.
        start: of the segment of the file, seconds.
        end: of the segment, seconds; None: that of the file.
        audio: file that the sound is read from, the same stretch of it; None: `path`.
        landmarks: CSV file with the points of the face at each moment, as OpenFace writes it
            (`read_landmarks`): frames are cropped to the face. None: to ``media.crop``.
        landmarks_size: width and height, pixels, of the video in which the landmarks were found; None: of `path`'s.

    Raises:
        DataError: `landmarks_size` is no size, or stands without landmarks.
    """

    id: str
    path: Path
    label: int
    split: str
    group: str | None = None
    start: float = 0.0
    end: float | None = None
    audio: Path | None = None
    landmarks: Path | None = None
    landmarks_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        size = self.landmarks_size
        if size is None:
            return
        if self.landmarks is None:
            raise DataError(f"Clip {quoted(self.id)} has landmarks_size {quoted(size)}, but no landmarks")
        if not isinstance(size, tuple) or len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
            raise DataError(
                f"Clip {quoted(self.id)}: landmarks_size is {quoted(size)}; it must be (width, height) in pixels"
            )


@former_keywords(refused="rejected")
@dataclass(frozen=True)
class ClipTable:
    """All clips of one task of one dataset.

    Attributes:
        name: dataset and task, e.g. ``"grid/digit"``.
        classes: class names; a clip's label is an index into them.
        clips: all of them, every split.
        media: the shape of a decoded clip that suits this dataset.
        notes: what a reader of results must know, e.g. how the split was drawn and that it is synthetic.
        rejected: clips known to be unusable before decoding: id -> reason.
        events: clip id -> what happens in it and when; None: the dataset does not say.
        segments: into how many equal parts clips are usually cut to say when; None without events.
        features: clips that are features already, of which nothing is decoded; of `media` only the length counts then.
        fit_length: the length in `media` stands in for one that suits the training clips, see `with_fitted_length`.
        group_word: what a clip's group is: ``"speaker"``, ``"source video"`` ...

    Example:
        >>> from counterpoint.media.spec import MediaSpec
        >>> clips = (Clip("a", Path("a.mp4"), 0, "train"), Clip("b", Path("b.mp4"), 1, "test"))
        >>> [clip.id for clip in ClipTable("two", ("yes", "no"), clips, MediaSpec()).clips if clip.split == "test"]
        ['b']
    """

    name: str
    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    media: MediaSpec
    notes: tuple[str, ...] = ()
    rejected: dict[str, str] = field(default_factory=dict)
    events: Mapping[str, tuple[Event, ...]] | None = None
    segments: int | None = None
    features: Features | None = None
    fit_length: bool = False
    group_word: str = "speaker"

    @property
    def background(self) -> int:
        """The class of what is none of `classes`: their number."""
        return len(self.classes)

    def __post_init__(self) -> None:
        twice = [clip for clip, count in Counter(c.id for c in self.clips).items() if count > 1]
        if twice:
            raise DataError(f"{self.name}: clip {quoted(twice[0])} is listed more than once; ids must be unique")

    def within(self, seconds: float) -> ClipTable:
        """The same clips, of each of which only the first `seconds` are read: events are cut there, and a note says so.

        Raises:
            DataError: there are events, and none of them begins in time.
        """
        if self.events is None:
            return self
        events, note = cut_events(self.events, seconds, self.name)
        if not note:
            return self

        def left(clip: Clip) -> Clip:
            happening = events.get(clip.id, ())
            if clip.label == self.background or any(event.label == clip.label for event in happening):
                return clip
            return replace(clip, label=main_class(happening, self.background))

        return replace(self, clips=tuple(map(left, self.clips)), events=events, notes=(*self.notes, note))

    def split(self, name: str) -> Sequence[Clip]:
        """The clips of one split, in table order.

        Raises:
            DataError: there is no such split, or it is empty.
        """
        if name not in SPLITS:
            raise DataError(f"{self.name}: unknown split {quoted(name)}.{did_you_mean(name, SPLITS)}")
        clips = [clip for clip in self.clips if clip.split == name]
        if not clips:
            raise DataError(f"{self.name}: the {name} split is empty")
        return clips

    def shared_groups(self) -> set[str]:
        """Groups (speakers) that stand both in test and in train or val."""
        test = {c.group for c in self.clips if c.split == "test" and c.group is not None}
        return {c.group for c in self.clips if c.split != "test" and c.group in test and c.group is not None}
