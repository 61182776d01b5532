"""SSW60: birds of Sapsucker Woods, 60 species on video, and unpaired sounds and pictures to train encoders on before.

Van Horn et al.: "Exploring Fine-grained Audiovisual Categorization with the SSW60 Dataset", ECCV (2022).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.io.csv_tables import Row, parse_csv, read_text
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import hold_out_validation
from counterpoint.data.splits.leaks import Entry, LeakReport, compare_lists
from counterpoint.data.splits.published import published
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec
from counterpoint.registry import did_you_mean

WHERE = "SSW60 (Van Horn et al. 2022), for research alone, under the terms of use that come with it"
_GET = "Get the archive (31 GB) that github.com/visipedia/ssw60 links to, for research alone"
SPECIES = 60


@dataclass(frozen=True)
class _Part:
    """One set of the dataset: its folder, the ending of its files, what it has, and its list's other columns."""

    suffix: str
    modalities: tuple[str, ...]
    columns: tuple[str, ...]


LISTS = {
    "video_ml": _Part(
        ".mp4",
        ("audio", "visual"),
        (
            "fps",
            "frame_count",
            "duration_seconds",
            "frame_height",
            "frame_width",
            "frame_channels",
            "orginal_video_start_second",  # so spelt in the file
            "original_video_start_second",
            "original_video_end_second",
            "original_video_target_second",
            "target_second",
            "reliable_audio",
        ),
    ),
    "audio_ml": _Part(".wav", ("audio",), ("samplerate", "channels", "samples", "duration_seconds")),
    "images_inat": _Part(".jpg", ("visual",), ("height", "width", "channels", "rights_holder", "license_id")),
    "images_nabirds": _Part(".jpg", ("visual",), ("height", "width", "channels", "photographer")),
}
"""The sets, each a folder with a CSV list of the same name."""
Part = Literal["video", "audio", "images", "images_inat", "images_nabirds"]
PARTS: dict[Part, tuple[str, ...]] = {
    "video": ("video_ml",),
    "audio": ("audio_ml",),
    "images": ("images_nabirds", "images_inat"),
    "images_inat": ("images_inat",),
    "images_nabirds": ("images_nabirds",),
}
"""What may be asked for -> its sets."""

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_TAXA = ("species_code", "inat_taxon_id", "inat2021_label", "nabirds_labels", "scientific_name", "family", "order")
_LAYOUT = """its folder must look like this (as the archive unpacks):
  taxa.csv
  video_ml.csv,       video_ml/483821.mp4 ...
  audio_ml.csv,       audio_ml/45516191.wav ...         for the part audio
  images_inat.csv,    images_inat/73542.jpg ...         for the parts images and images_inat
  images_nabirds.csv, images_nabirds/0233251e....jpg    for the parts images and images_nabirds"""


@dataset("ssw60", tasks=("species",), where=WHERE, elsewhere=_GET)
def load_ssw60(
    root: Path | None,
    task: str,
    seed: int,
    *,
    part: Part = "video",
    reliable_audio: bool = False,
    val: float = 0.1,
) -> ClipTable:
    """List the clips of one part of SSW60, split as its lists say.

    The videos (5400, of which 1938 are for the test) have sound and picture; the other parts have one of them, to train
    one encoder on before (``model.modalities``).

    Args:
        root: the unpacked archive; None: ``datasets/ssw60`` in the cache.
        task: ``species``.
        seed: of which training clips are held out for validation.
        part: ``"video"``; ``"audio"``: unpaired recordings; ``"images"``: unpaired pictures of both sources, or of one,
            ``"images_inat"`` or ``"images_nabirds"``.
        reliable_audio: of the videos those alone whose sound is marked as telling something (by a machine). The
            published figures are on all.
        val: share of the training clips held out for validation, where the list has no validation clips.

    Raises:
        DatasetNotFoundError: the part, or none of its files, is at `root`.
        DataError: a line of a list that does not fit, with its number.
        ConfigError: a value outside its range.
    """
    if reliable_audio and part != "video":
        raise ConfigError(f"reliable_audio can be true for videos alone; leave it out for {part}")
    root = default_root("ssw60") if root is None else root
    for name in ("taxa", *PARTS[part]):
        if not (root / f"{name}.csv").is_file():
            raise DatasetNotFoundError(f"SSW60 is not at {root}: there is no {name}.csv. {_GET}; {_LAYOUT}")
    classes = read_taxa(root / "taxa.csv")
    found = _find(root, part, len(classes), reliable_audio)
    sides = {name: clip.split for name, clip in found.clips.items()}
    drawn = hold_out_validation(
        "ssw60",
        sides,
        {name: classes[clip.label] for name, clip in found.clips.items()},
        {name: clip.group for name, clip in found.clips.items()},
        val=0.0 if "val" in sides.values() else val,
        seed=seed,
        group_word="recording",
    )
    frames = 1 if part.startswith("images") else 8
    return ClipTable(
        name=f"ssw60/{task}" + (f"/{part}" if part != "video" else ""),
        classes=classes,
        clips=tuple(replace(clip, split=drawn.sides[name]) for name, clip in found.clips.items()),
        media=MediaSpec(sample_rate=16000, seconds=10.0, frames=frames, size=224, gray=False),
        notes=(WHERE + ".", *_notes(found, part), *drawn.notes),
        rejected=found.rejected,
        group_word="recording",
    )


@dataclass
class _Found:
    """The clips of a part; those that are listed and are not there; and how many videos were passed over."""

    clips: dict[str, Clip] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)  # per split
    passed_over: int = 0


def _find(root: Path, part: Part, classes: int, reliable_audio: bool) -> _Found:
    found = _Found()
    for name in PARTS[part]:
        there = {path.name for path in (root / name).glob(f"*{LISTS[name].suffix}")}
        for row, clip in read_list(root / f"{name}.csv", classes):
            if reliable_audio and "reliable_audio" not in row.cells:
                raise row.error("reliable_audio", "is missing; take reliable_audio=false")
            if reliable_audio and row["reliable_audio"].lower() not in ("1", "1.0", "true"):
                found.passed_over += 1
            elif clip.path.name not in there:
                found.rejected[clip.id] = (
                    f"{name}.csv lists it for {clip.split}, but {name}/{clip.path.name} is missing"
                )
                found.missing[clip.split] += 1
            else:
                found.clips[clip.id] = clip
    if not found.clips and not found.rejected and found.passed_over:
        raise DataError(
            f"{root / 'video_ml.csv'}: none of the {found.passed_over} videos has audio that is marked as reliable"
        )
    if not found.clips:
        raise DatasetNotFoundError(f"None of the {len(found.rejected)} files listed for {part} is at {root}; {_LAYOUT}")
    return found


def _notes(found: _Found, part: Part) -> Iterator[str]:
    if alone := [word for word in ("audio", "visual") if word not in LISTS[PARTS[part][0]].modalities]:
        has = "sound" if alone == ["visual"] else "pictures"
        yield f"Unpaired {has}, without {alone[0]}: for training one encoder (model.modalities)."
    if found.passed_over:
        yield f"Left out: {found.passed_over} videos whose sound is not marked as reliable."
    if found.rejected:
        yield "Missing files: " + ", ".join(f"{count} {side}" for side, count in found.missing.items()) + "."


def read_taxa(path: Path) -> tuple[str, ...]:
    """The English names of the species, in the order of their labels.

    Raises:
        DataError: a line that does not fit, with its number, or labels that are not 0, 1, 2 ...
    """
    names: dict[int, str] = {}
    for row in parse_csv(read_text(path), str(path), ("label", "common_name"), ("", *_TAXA)):
        label = row.integer("label")
        if label in names:
            raise row.error("label", f"{label} is listed twice")
        if not row["common_name"] or row["common_name"] in names.values():
            raise row.error("common_name", "is listed twice" if row["common_name"] else "is empty")
        names[label] = row["common_name"]
    if sorted(names) != list(range(len(names))) or not names:
        raise DataError(f"{path}: the labels must be 0, 1, 2 ... without a gap; found {sorted(names)}")
    return tuple(names[label] for label in range(len(names)))


def read_list(path: Path, classes: int = SPECIES) -> list[tuple[Row, Clip]]:
    """The lines of one list, ``video_ml.csv`` for instance, as clips in the folder of the same name beside it.

    Args:
        path: the list.
        classes: how many there are.

    Raises:
        DataError: a line that does not fit, with its number; the file cannot be read.
    """
    part = LISTS.get(path.stem)
    if part is None:
        raise DataError(f"{path} is no list of SSW60.{did_you_mean(path.stem, LISTS)}")
    listed: dict[str, tuple[Row, Clip]] = {}
    for row in parse_csv(read_text(path), str(path), ("asset_id", "label", "split"), ("", *part.columns)):
        asset, side = row["asset_id"], _SPLITS.get(row["split"])
        if not asset or "/" in asset:
            raise row.error("asset_id", f"{quoted(asset)} is no name of a file")
        if side is None:
            raise row.error("split", f"{quoted(row['split'])} is no split.{did_you_mean(row['split'], _SPLITS)}")
        if asset in listed:
            raise row.error("asset_id", f"{asset} is listed already, in line {listed[asset][0].line}")
        label = row.integer("label")
        if label >= classes:
            raise row.error("label", f"{label} is no label, 0 to {classes - 1}")
        file = path.with_suffix("") / f"{asset}{part.suffix}"
        listed[asset] = row, Clip(f"{path.stem}/{asset}", file, label, side, asset)
    if not listed:
        raise DataError(f"{path} lists nothing")
    return list(listed.values())


@published("ssw60", "video_ml.csv, audio_ml.csv, images_inat.csv, images_nabirds.csv")
def _compare_lists(folder: Path) -> list[LeakReport]:
    reports = []
    for name in LISTS:
        path = folder / f"{name}.csv"
        if path.is_file():
            entries = [Entry(clip.id, clip.split, clip.group) for _, clip in read_list(path)]
            reports += compare_lists(f"ssw60/{name}", "recording", entries)
    return reports
