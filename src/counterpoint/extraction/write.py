"""Features of all clips of a dataset, written into a folder that the dataset ``features`` reads."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from counterpoint._progress import ProgressDisplay
from counterpoint.data import DATASETS
from counterpoint.data.cache.cache_keys import keys_of
from counterpoint.data.cache.decode_pool import decode_all
from counterpoint.data.clip_table import ClipTable
from counterpoint.data.features.writer import FeatureWriter
from counterpoint.data.quality import UnusableError, check_usable
from counterpoint.data.videos import list_videos
from counterpoint.errors import ConfigError
from counterpoint.extraction.config import FeaturesConfig
from counterpoint.extraction.encode import SegmentEncoder, Stream, TrainedEncoders, make_stream
from counterpoint.extraction.weights import require_weights
from counterpoint.media.spec import MediaSpec, require_fields
from counterpoint.training.config import DataConfig
from counterpoint.training.datamodule import list_clips, media_spec
from counterpoint.training.precision import require_device

_FRAMES = 16  # per segment, as AVE's features were made
_SECONDS = 10.0  # of the clips that videos are cut into
_TIMEOUT = 150.0  # seconds after which a clip is given up


@dataclasses.dataclass(frozen=True)
class WrittenFeatures:
    """What became of the clips.

    Attributes:
        folder: where the features are.
        table: the clips.
        encoders: modality -> its encoder and weights, in words.
        segments: into how many a clip is cut.
        skipped: clip -> why it has no features.
        there: how many clips had features before.
    """

    folder: Path
    table: ClipTable
    encoders: dict[str, str]
    segments: int
    skipped: dict[str, str]
    there: int


def write_features(
    config: DataConfig, how: FeaturesConfig, folder: str | Path, *, overwrite: bool = False
) -> WrittenFeatures:
    """Encode all clips into a folder that the dataset ``features`` reads.

    Args:
        config: which clips.
        how: which encoders, and how many segments.
        folder: where to; one that was begun goes on.
        overwrite: remove what is there.

    Raises:
        CounterpointError: names, options, weights or data that do not fit; the folder holds something else; or more
            than ``data.max_bad`` of the clips cannot be used (those that can are kept).
    """
    how.check()
    device = require_device(how.accelerator)
    run = None if how.from_run is None else TrainedEncoders.of(Path(how.from_run))
    if run is None:
        require_weights({modality: (stream.encoder, stream.weights) for modality, stream in how.streams.items()})
    with ProgressDisplay() as display:
        table = _list(config, how, display)
        segments = how.segments or table.segments or max(1, round(table.media.seconds))
        spec, streams = _streams(config, how, run, table, segments)
        encode = SegmentEncoder(streams, segments, device, how.precision)
        setting = {
            "segments": segments,
            "media": dataclasses.asdict(spec),
            "streams": {modality: stream.setting for modality, stream in streams.items()},
            "precision": encode.precision,
        }
        names = {modality: stream.name for modality, stream in streams.items()}
        with FeatureWriter(str(folder), table, spec.seconds, names, setting, overwrite=overwrite) as writer:
            there = len(writer.done)
            if not writer.finished:
                _encode_all(writer, encode, spec, tuple(streams), display)
                _finish(writer, 1.0 if how.videos else config.max_bad)
    skipped = {clip: reason for clip, reason in writer.done.items() if reason}
    return WrittenFeatures(Path(writer.folder), table, names, segments, skipped, there)


def _list(config: DataConfig, how: FeaturesConfig, display: ProgressDisplay) -> ClipTable:
    if how.videos is not None:
        require_fields(config.media)
        return list_videos(Path(how.videos).expanduser(), MediaSpec(seconds=config.media.get("seconds", _SECONDS)))
    entry = DATASETS.get(config.name)
    events = bool(entry.event_tasks) and config.task in (None, *entry.event_tasks)
    if config.name == "folder" and config.root is not None:  # which may say what happens when
        events = (Path(config.root) / "events.csv").is_file()
    table = list_clips(config, display.callback("list"), events=events, fit_length=True)
    if table.features is not None:
        raise ConfigError(f"{table.name} has features already; name a dataset of media, or --videos FOLDER")
    return table


def _streams(
    config: DataConfig, how: FeaturesConfig, run: TrainedEncoders | None, table: ClipTable, segments: int
) -> tuple[MediaSpec, dict[str, Stream]]:
    """The shape that clips are decoded to, and what encodes them."""
    seconds = media_spec(table, {k: v for k, v in config.media.items() if k == "seconds"}).seconds
    whole = {"seconds": seconds, "audio_start": 0.0, "audio_seconds": None}  # sound and picture of every segment
    if run is not None:
        spec = media_spec(dataclasses.replace(table, media=run.spec), {**whole, **config.media})
        return spec, run.streams(spec, segments)
    own = {"sample_rate": 16000, "fps": _FRAMES * segments / seconds, "frames": None, "size": 224, "gray": False}
    spec = media_spec(table, {**whole, **own, **config.media})
    made = {
        modality: make_stream(
            modality,
            stream.encoder,
            stream.weights or "",
            spec,
            segments,
            options=stream.options,
            transform=stream.input,
            seed=config.seed,
        )
        for modality, stream in how.streams.items()
    }
    return spec, made


def _encode_all(
    writer: FeatureWriter,
    encode: SegmentEncoder,
    spec: MediaSpec,
    modalities: tuple[str, ...],
    display: ProgressDisplay,
) -> None:
    """Decode beside the encoding, in processes of their own, and never more clips than are in hand."""
    pending = writer.pending
    todo = dataclasses.replace(writer.table, clips=tuple(pending), rejected={})
    keys, failed = keys_of(todo, modalities)
    for clip, reason in failed.items():
        writer.skipped(clip, reason)
    same: dict[Any, list[str]] = {}  # two clips of a table may be the same stretch
    for clip, key in keys.items():
        same.setdefault(key, []).append(clip)
    total, progress = len(writer.table.clips), display.callback("encode")
    if progress:
        progress(len(writer.done), total)
    jobs = None if encode.device.type == "cuda" else 1  # on a CPU encoding takes far longer, and all cores
    with closing(decode_all(list(same), spec, modalities, jobs=jobs, timeout=_TIMEOUT)) as answers:
        for key, answer in answers:
            features, reason = encode(answer.arrays) if answer.arrays else {}, answer.reason
            if not all(np.isfinite(values).all() for values in features.values()):
                features, reason = {}, "its features are not finite"
            for clip in same[key]:
                if features:
                    writer.write(clip, features)
                else:
                    writer.skipped(clip, reason)
            if progress:
                progress(len(writer.done), total)


def _finish(writer: FeatureWriter, max_bad: float) -> None:
    good = {clip for clip, reason in writer.done.items() if not reason}
    bad = {**writer.table.rejected, **{clip: reason for clip, reason in writer.done.items() if reason}}
    if max_bad < 1:
        try:
            check_usable(writer.table, good, bad, max_bad)
        except UnusableError as error:
            writer.write_skipped()
            raise UnusableError(f"{error}\nThe features of the others are kept, and go on from there") from None
    writer.finish()
