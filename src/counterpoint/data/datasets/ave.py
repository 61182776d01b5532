"""AVE: 4143 videos of 10 s in which one of 28 events is both heard and seen, from its official files.

Tian, Shi, Li, Duan, Xu: "Audio-Visual Event Localization in Unconstrained Videos", ECCV 2018.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from counterpoint.data.clip_table import SPLITS, Clip, ClipTable
from counterpoint.data.datasets._ave_files import (
    BACKGROUND,
    CLASSES,
    KEY,
    SECONDS,
    SEGMENTS,
    Annotation,
    Root,
    check_background,
    check_clip_labels,
    name_clips,
    parse_annotations,
    read_segment_labels,
    read_split,
)
from counterpoint.data.events import Event, segment_classes
from counterpoint.data.feature_rows import FeatureRow, Features
from counterpoint.data.io.csv_tables import read_text
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import describe
from counterpoint.data.splits.leaks import Entry, LeakReport, compare_lists
from counterpoint.data.splits.published import published
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from counterpoint.media.spec import MediaSpec

WHERE = "AVE (Tian et al. 2018): 4143 videos from YouTube, github.com/YapengTian/AVE-ECCV18, no licence stated"
_GET = (
    "Get it from its repository, github.com/YapengTian/AVE-ECCV18: the annotations and the split lie in "
    "its folder data, its README links the archive of the videos and the features (visual: 7.7 GB)"
)

FILES: dict[str, tuple[str, ...]] = {
    "visual": ("visual_feature.h5", "visual_features.h5"),
    "audio": ("audio_feature.h5", "audio_features.h5"),
}
NOISY: dict[str, tuple[str, ...]] = {
    "visual": ("visual_feature_noisy.h5", "visual_features_noisy.h5", "video_feature_noisy.h5"),
    "audio": ("audio_feature_noisy.h5", "audio_features_noisy.h5"),
}
"""The spellings of the feature files in the papers' codes."""

_LAYOUT = """its folder must look like this (the files may also lie in data/ or AVE_Dataset/ below it):
  Annotations.txt                                  class&id&quality&start&end, a line per clip
  train_order.h5, val_order.h5, test_order.h5      (or trainSet.txt, valSet.txt, testSet.txt)
  visual_feature.h5, audio_feature.h5              features (or visual_features.h5, audio_features.h5), or the videos:
  AVE/<id>.mp4
  labels.h5 or right_labels.h5, mil_labels.h5, prob_label.h5                     optional
  visual_feature_noisy.h5, audio_feature_noisy.h5, labels_noisy.h5               optional, for noisy=True"""


@dataset("ave", tasks=("event",), where=WHERE, elsewhere=_GET, event_tasks=("event",))
def load_ave(
    root: Path | None,
    task: str,
    seed: int,
    *,
    source: Literal["auto", "features", "video"] = "auto",
    noisy: bool = False,
    disjoint: bool = False,
) -> ClipTable:
    """List the clips of AVE with the time of their event; the split is the official one, whatever the seed.

    When something happens is read from ``right_labels.h5`` or ``labels.h5``, which the papers' codes train and test
    with, and rebuilt from ``Annotations.txt`` where there is neither; where they differ, a note says in how many clips.
    A clip without an event is background altogether, as the one that is annotated from 0 to 0 s. 45 videos are
    annotated as two or three classes and so stand in the list more than once, partly on both sides of the split; the
    second is called ``VIDEO#2``.

    Args:
        root: the folder, see the message of a missing one; None: ``ave`` among the datasets of the cache.
        task: ``event``.
        seed: not used.
        source: ``"features"``: VGG-19 and VGGish features as released; ``"video"``: the videos; ``"auto"``: features
            where they are there.
        noisy: add the background videos to the training clips, as the papers do for weakly supervised training. They
            exist as features alone.
        disjoint: leave out of training and validation every video that is also in test, and of training those in
            validation. The official split does not.

    Raises:
        DatasetNotFoundError: files are missing; the message says which were looked for, and where to get them.
        DataError: a file is damaged or does not fit the others.
        ConfigError: a value outside its range.
    """
    where = Root(default_root("ave") if root is None else root)
    path = where.find("Annotations.txt")
    if path is None:
        raise _missing(where, "Annotations.txt")
    annotations = parse_annotations(read_text(path), str(path))
    ids = name_clips(annotations)
    sides = {k: split for split, order in read_split(where, annotations).items() for k in order}
    for name in ("mil_labels.h5", "prob_label.h5"):
        if labels := where.find(name):
            check_clip_labels(labels, annotations)
    each, how = _events(where, annotations)
    events = {ids[k]: each[k] for k in sides}
    videos = where.find("AVE") or where.places[0] / "AVE"
    features = None if source == "video" else _features(where, ids, required=source == "features")
    if features is None and not videos.is_dir():
        raise _missing(where, "visual_feature.h5, visual_features.h5", "audio_feature.h5, audio_features.h5", "AVE/")
    clips = []
    for k, side in sides.items():
        label, video = each[k][0].label if each[k] else BACKGROUND, annotations[k].video
        clips.append(Clip(ids[k], videos / f"{video}.mp4", label, side, video))
    notes = [f"{WHERE}.", how, *_unlisted(len(annotations) - len(sides))]
    clips, on_both_sides = _shared(clips, disjoint)
    notes += [f"Split: {describe({clip.id: clip.split for clip in clips})}, the official one.", *on_both_sides]
    notes.append(_background(clips, events))
    if features is not None:
        files = ", ".join(path.name for sources in features.sources.values() for path, _ in sources)
        notes.append(f"Input: features ({files}), not the videos.")
    if noisy:
        if features is None:
            raise ConfigError(
                "noisy=True adds background videos of AVE, which exist as features alone (source=features)"
            )
        features, added = _with_noisy(where, features)
        clips += added
        events |= {clip.id: () for clip in added}
        notes.append(f"Training has {len(added)} more videos in which nothing of the 28 classes happens.")
    return ClipTable(
        name=f"ave/{task}" + ("/noisy" if noisy else ""),
        classes=CLASSES,
        clips=tuple(clips),
        media=MediaSpec(sample_rate=16000, seconds=SECONDS, fps=4, size=96, gray=False),
        notes=tuple(notes),
        events=events,
        segments=SEGMENTS if features is None else features.segments,
        features=features,
        group_word="source video",
    )


def _missing(where: Root, *names: str) -> DatasetNotFoundError:
    return DatasetNotFoundError(
        f"AVE is not at {where.places[0]}: there is no {' and no '.join(names)}. {_GET}; {_LAYOUT}"
    )


def _events(where: Root, annotations: Sequence[Annotation]) -> tuple[list[tuple[Event, ...]], str]:
    """The events of each clip, and what they are from."""
    path = where.find("right_labels.h5", "labels.h5")
    if path is None:
        return [a.events for a in annotations], "Labels: from Annotations.txt."
    events, other = read_segment_labels(path, annotations)
    agree = f"{other} of {len(events)} clips differ from Annotations.txt" if other else "as Annotations.txt says"
    return events, f"Labels: from {path.name}, {agree}."


def _features(where: Root, ids: Sequence[str], required: bool) -> Features | None:
    found = {modality: path for modality, names in FILES.items() if (path := where.find(*names))}
    if len(found) < len(FILES):
        if required:
            raise _missing(where, *(", ".join(names) for modality, names in FILES.items() if modality not in found))
        return None
    features = _rows(found, ids)
    _check_rows(features, len(ids), "Annotations.txt")
    return features


def _rows(files: Mapping[str, Path], ids: Sequence[str]) -> Features:
    return Features(
        {m: {name: FeatureRow(path, KEY, k) for k, name in enumerate(ids)} for m, path in files.items()},
        standardise=False,
    )


def _check_rows(features: Features, clips: int, of: str) -> None:
    """Row k is of clip k: another number of rows means another list of clips."""
    for sources in features.sources.values():
        for (path, _), rows in sources.items():
            if rows != clips:
                raise DataError(f"{path}: it has features of {rows} clips, but {of} has {clips}")


def _with_noisy(where: Root, features: Features) -> tuple[Features, list[Clip]]:
    """The features with those of the background videos, and these as clips."""
    found = {modality: path for modality, names in NOISY.items() if (path := where.find(*names))}
    if len(found) < len(NOISY):
        raise _missing(where, *(", ".join(names) for modality, names in NOISY.items() if modality not in found))
    first = _rows(found, ["first"])
    clips = next(iter(first.sources["visual"].values()))
    _check_rows(first, clips, found["visual"].name)
    if labels := where.find("labels_noisy.h5"):
        check_background(labels, clips)
    ids = [f"noisy/{k:03d}" for k in range(clips)]
    more = _rows(found, ids)
    joined = replace(
        features, rows={modality: {**rows, **more.rows[modality]} for modality, rows in features.rows.items()}
    )
    return joined, [Clip(name, found["visual"], BACKGROUND, "train") for name in ids]


def _shared(clips: list[Clip], disjoint: bool) -> tuple[list[Clip], list[str]]:
    """The clips, and what to say of videos that stand in more than one split."""
    rank = {split: k for k, split in enumerate(SPLITS)}
    last: dict[str | None, int] = {}  # of the splits that a video is in
    for clip in clips:
        last[clip.group] = max(last.get(clip.group, 0), rank[clip.split])
    earlier = [clip for clip in clips if rank[clip.split] < last[clip.group]]
    if not earlier:
        return clips, []
    counts = Counter(clip.split for clip in earlier)
    what = " and ".join(f"{counts[split]} {split} clips" for split in SPLITS if counts[split])
    if disjoint:
        return [clip for clip in clips if rank[clip.split] == last[clip.group]], [
            f"Left out: {what} of videos that are in test (or validation) too; the official split has them."
        ]
    return clips, [
        f"In the official split, {what} are of videos that are in test (or validation) too, as another class."
    ]


def _unlisted(clips: int) -> list[str]:
    return [f"{clips} annotated clips are in no split and are left out."] if clips else []


def _background(clips: Sequence[Clip], events: Mapping[str, tuple[Event, ...]]) -> str:
    shares = []
    for split in SPLITS:
        found = [
            label
            for clip in clips
            if clip.split == split
            for label in segment_classes(events[clip.id], SECONDS, SEGMENTS, BACKGROUND)
        ]
        if found:
            shares.append(f"{found.count(BACKGROUND) / len(found):.1%} in {split}")
    return f"Background: {', '.join(shares)} of the segments of 1 s."


@published("ave", "Annotations.txt with train_order.h5, val_order.h5, test_order.h5 or trainSet.txt ...")
def _compare_lists(folder: Path) -> list[LeakReport]:
    path = folder / "Annotations.txt"
    if not path.is_file():
        return []
    annotations = parse_annotations(read_text(path), str(path))
    names = name_clips(annotations)
    sides = read_split(Root(folder), annotations)
    entries = [Entry(names[k], side, annotations[k].video) for side, order in sides.items() for k in order]
    return compare_lists("ave", "source video", entries)
