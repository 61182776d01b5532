"""Vectors of clips from a trained classifier: of all modalities together, and of each by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from counterpoint.data import Clip, ClipTable
from counterpoint.data.cache.prepare import Progress
from counterpoint.errors import ConfigError, MediaError
from counterpoint.fusion.fop import FOP
from counterpoint.media.decode import probe
from counterpoint.models import MultimodalModel
from counterpoint.registry import did_you_mean
from counterpoint.training.config import DataConfig
from counterpoint.training.datamodule import ClipData, prepare_clips
from counterpoint.training.load import Run
from counterpoint.training.precision import DTYPES, channels_last, pick_device
from counterpoint.verify import CropMean, trial_vectors
from counterpoint.verify.scoring import By

Encode = Callable[[dict[str, Tensor]], dict[str, Tensor]]
"""What encoders take, by modality, to vectors ``(B, D)`` by system: ``"audio+visual"``, ``"audio"`` ..."""

_CROP = "#"  # between the name of a clip and the number of a crop of it


@dataclass(frozen=True)
class Vectors:
    """One vector for each clip that could be read.

    Attributes:
        names: ids of the N clips, in table order.
        by: system -> ``(N, D)``, float32 on the CPU; of several crops, the mean of their directions.
        skipped: id -> why it has none.
    """

    names: tuple[str, ...]
    by: Mapping[str, Tensor]
    skipped: Mapping[str, str]


def classifier(run: Run) -> MultimodalModel:
    """The run's model.

    Raises:
        ConfigError: it says when something happens, not what a whole clip is.
    """
    model = run.module.model
    if not isinstance(model, MultimodalModel):
        raise ConfigError(
            f"{run.folder} is a run of the task {run.config.task!r}; verification compares whole clips and needs a run "
            "of the task 'classify'"
        )
    return model


def encode_jointly(run: Run, by: By) -> Encode:
    """All modalities together, and from the same pass each by itself: its embedding, or what it adds to the logits.

    A modality's embedding is what its encoder gives, and with the fusion ``fop`` its projection.

    Args:
        run: of a classifier.
        by: see `trial_vectors`.
    """
    model = classifier(run)
    head = getattr(model.fusion, "head", None)

    def encode(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        features = model.encode(inputs)
        output = model.fusion(features)
        vectors = {"+".join(model.modalities): trial_vectors(output, by, head=head)}
        if len(model.modalities) > 1:
            vectors |= output.unimodal_logits if by == "logits" else _projected(model, features)
        return vectors

    return encode


def encode_alone(run: Run, modality: str, by: By) -> Encode:
    """One modality, where clips need not have the others.

    Args:
        run: of a classifier.
        modality: one of the model's.
        by: see `trial_vectors`.

    Raises:
        ConfigError: the model has no such modality, or its encoders do not work without each other.
    """
    model = classifier(run)
    if modality not in model.modalities:
        raise ConfigError(f"the model has no modality {modality!r}.{did_you_mean(modality, model.modalities)}")
    if len(model.intermediate) and len(model.modalities) > 1:
        raise ConfigError(f"the encoders of {run.folder} act on each other; none of them works alone")

    def encode(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        features: dict[str, Tensor] = {modality: model.encoders[modality](inputs[modality])}
        if by != "logits":
            return _projected(model, features)
        zeros = {m: features[modality].new_zeros(len(features[modality]), d) for m, d in model.fusion.dims.items()}
        return {modality: model.fusion({**zeros, **features}).unimodal_logits[modality]}

    return encode


def _projected(model: MultimodalModel, features: dict[str, Tensor]) -> dict[str, Tensor]:
    return model.fusion.embed(features) if isinstance(model.fusion, FOP) else features


@torch.inference_mode()
def embed_clips(
    run: Run,
    table: ClipTable,
    data: DataConfig,
    modalities: tuple[str, ...],
    encode: Encode,
    *,
    crops: int = 1,
    progress: Progress | None = None,
) -> Vectors:
    """Embed every clip of a table once, batch by batch; beside the model, only the vectors are held.

    Args:
        run: whose model; it is moved to the device of its configuration.
        table: clips that are all for the test.
        data: says where the cache is, how many clips may be unreadable, and how large a batch is.
        modalities: what clips must have; the rest is not read.
        encode: of `encode_jointly` or `encode_alone`.
        crops: segments of each clip, as long as the model's clips and spread evenly, whose vectors are averaged.
        progress: called with the clips decoded and to be decoded.

    Raises:
        DataError: too many clips cannot be read.
        ConfigError: `crops` below 1, or more than one of clips that are features.
    """
    module = run.module.to(pick_device(run.config.accelerator)).eval()
    cut = table if crops == 1 else _crops_of(table, run.spec.seconds, crops)
    prepared = prepare_clips(cut, data, run.spec, modalities, progress=progress)
    owners = [clip.id.rpartition(_CROP)[0] if crops > 1 else clip.id for clip in prepared.clips("test")]
    places = {name: k for k, name in enumerate(dict.fromkeys(owners))}
    place = torch.tensor([places[name] for name in owners])
    kept: dict[str, Tensor] = {}
    means: dict[str, CropMean] = {}
    dtype = DTYPES[module.precision]
    for batch in ClipData(prepared, batch_size=data.batch_size, workers=data.workers).loader("test"):
        media = {name: batch[name].to(module.device, non_blocking=True) for name in modalities}
        inputs = {name: channels_last(module.transforms[name](clips)) for name, clips in media.items()}
        with torch.autocast(module.device.type, dtype, enabled=dtype is not None):
            found = encode(inputs)
        for system, vectors in found.items():
            where = place[batch["index"]]
            if crops > 1:
                means.setdefault(system, CropMean(len(places), vectors.shape[1])).update(vectors, where)
            else:
                kept.setdefault(system, torch.empty(len(places), vectors.shape[1]))[where] = vectors.float().cpu()
    skipped = {name.rpartition(_CROP)[0] if crops > 1 else name: why for name, why in prepared.skipped.items()}
    undecodable = {name: why for name, why in skipped.items() if name not in places}
    return Vectors(tuple(places), {**kept, **{system: mean.compute() for system, mean in means.items()}}, undecodable)


def _crops_of(table: ClipTable, seconds: float, crops: int) -> ClipTable:
    if crops < 1:
        raise ConfigError(f"crops is {crops}; it must be at least 1")
    if table.features is not None:
        raise ConfigError(f"the clips of {table.name} are features, of which no crops can be had; leave crops at 1")
    refused = {f"{name}{_CROP}0": why for name, why in table.rejected.items()}
    return replace(
        table, clips=tuple(crop for clip in table.clips for crop in _spread(clip, seconds, crops)), rejected=refused
    )


def _spread(clip: Clip, seconds: float, crops: int) -> Iterator[Clip]:
    """Crops of one clip; a single one where it is no longer than that, or does not say how long it is."""
    lasts = 0.0 if clip.end is None else clip.end
    with contextlib.suppress(MediaError):  # what cannot be read is set aside when it is
        lasts = min(probe(clip.audio or clip.path).seconds or lasts, clip.end or np.inf)
    last = max(lasts - seconds, clip.start)
    starts = dict.fromkeys(np.linspace(clip.start, last, crops).round(3).tolist())
    for k, start in enumerate(starts):
        yield replace(clip, id=f"{clip.id}{_CROP}{k}", start=start, end=min(start + seconds, clip.end or np.inf))


def mean_by_class(vectors: Vectors, labels: Mapping[str, int]) -> dict[str, Tensor]:
    """System -> one vector per class that has any, ``(K, D)``: the mean of its clips' directions.

    Args:
        vectors: of clips.
        labels: clip id -> class.
    """
    classes = {label: k for k, label in enumerate(dict.fromkeys(labels[name] for name in vectors.names))}
    index = torch.tensor([classes[labels[name]] for name in vectors.names])
    means = {}
    for system, values in vectors.by.items():
        mean = CropMean(len(classes), values.shape[1])
        mean.update(values, index)
        means[system] = mean.compute()
    return means
