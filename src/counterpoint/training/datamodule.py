"""Prepared clips to batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from counterpoint.data import DATASETS, ClipTable, load_table
from counterpoint.data.cache.prepare import PreparedClips, Progress, prepare
from counterpoint.data.cache.shard_dataset import collate
from counterpoint.data.io.paths import cache_root
from counterpoint.data.lengths import with_fitted_length
from counterpoint.data.splits.draw import draw_split
from counterpoint.data.splits.folds import on_fold
from counterpoint.errors import ConfigError
from counterpoint.media.face_finder import weights_path
from counterpoint.media.spec import MediaSpec, require_fields
from counterpoint.training.batch_sampler import Batches
from counterpoint.training.config import DataConfig, TrainConfig
from counterpoint.wants import hand_in

if TYPE_CHECKING:
    from counterpoint.data.features.prepared import PreparedFeatures

Batch = dict[str, Tensor]
Prepared: TypeAlias = "PreparedClips | PreparedFeatures"
MODALITIES = ("audio", "visual")


def list_run_clips(config: TrainConfig, progress: Progress | None = None) -> ClipTable:
    """The clips that a run asks for, with what happens when where it localises; see `list_clips`."""
    return list_clips(config.data, progress, events=config.task == "localise", fit_length=True)


def list_clips(
    config: DataConfig, progress: Progress | None = None, *, events: bool = False, fit_length: bool = False
) -> ClipTable:
    """The clips that a configuration asks for, not yet decoded.

    Args:
        config: which dataset, where, which task.
        progress: of a dataset that renders its clips first: called with the clips done and to be done.
        events: with what happens when.
        fit_length: where the dataset has no length of its own and the configuration names none, look how long the
            training clips are.

    Raises:
        ConfigError: ``media`` has an unknown field (the message proposes the nearest), or the dataset's task does not
            know its events.
        CounterpointError: the dataset is not there, or its options are wrong.
    """
    require_fields(config.media)  # told before clips are rendered
    entry, task = DATASETS.get(config.name), config.task
    if events:
        task = task or next(iter(entry.event_tasks), entry.tasks[0])
        if task in entry.tasks and task not in entry.event_tasks:
            raise ConfigError(f"{config.name}'s task {task!r} does not say when something happens.{_with_events()}")
    if config.folds is not None and "fold" in entry.wants:
        raise ConfigError(f"data.folds is {config.folds}, but {config.name} has folds of its own (data.options.fold)")
    options = hand_in(entry, config.options, progress=progress, events=events, fold=0)
    table = load_table(config.name, config.root, task, config.seed, **options)
    if config.folds is not None:
        how = {"val": config.options.get("val", 0.1), "disjoint": config.options.get("disjoint", True)}
        table = on_fold(table, folds=config.folds, fold=config.fold, seed=config.seed, **how)
    if fit_length and table.fit_length and "seconds" not in config.media:
        table = with_fitted_length(table, cache_root(config.cache), progress)
    if table.features is None or not (table.features.standardise or config.standardise):
        return table
    done = "each column is brought to mean 0 and spread 1 of the training clips"
    raw = config.standardise is False
    note = f"Features: {'taken as they are' if raw else done} (data.standardise)."
    return dataclasses.replace(table, notes=(*table.notes, note))


def _with_events() -> str:
    known = [f"{name} ({', '.join(DATASETS.get(name).event_tasks)})" for name in DATASETS]
    return " To localise, take " + ", ".join(k for k in known if not k.endswith("()"))


def media_spec(table: ClipTable, changes: Mapping[str, Any]) -> MediaSpec:
    """The dataset's recommended shape of a clip, with the changes asked for.

    Who asks for frames a second does not want as many as the dataset recommends for a whole clip.

    Raises:
        ConfigError: a value outside its range, or one that needs an extra that is not installed.
    """
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    if values.get("fps") is not None:
        values.setdefault("frames", None)
    spec = dataclasses.replace(table.media, **values)
    if spec.crop == "face":
        weights_path()  # said once, and not of every clip
    return spec


def prepare_clips(
    table: ClipTable,
    config: DataConfig,
    spec: MediaSpec,
    modalities: Sequence[str],
    *,
    segments: int | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """The clips of a table, decoded and cached; see `prepare`.

    Args:
        table: as listed.
        config: says where the cache is, and how many clips may be unreadable.
        spec: shape of a clip.
        modalities: decode these alone.
        segments: targets are the classes of so many segments; None: of clips.
        progress: called with the clips done and to be done.

    Raises:
        ConfigError: clips without a class are to be classified.
        DataError: too many clips cannot be used.
    """
    if segments is None and any(clip.label == table.background for clip in table.clips):
        raise ConfigError(
            f"{table.name} has clips in which nothing happens, and no class; only task=localise can make use of them"
        )
    if table.features is not None:
        from counterpoint.data.features.prepared import PreparedFeatures

        return PreparedFeatures(
            table,
            modalities=[m for m in modalities if m in table.features.dims],
            impute=config.impute,
            max_bad=config.max_bad,
            cache=config.cache,
            progress=progress,
        )
    clips = prepare(table, spec, cache=config.cache, max_bad=config.max_bad, modalities=modalities, progress=progress)
    return dataclasses.replace(clips, segments=segments)


class ClipData(pl.LightningDataModule):
    """Batches of a prepared dataset.

    A batch has per modality what was decoded, ``(B, ...)``, with ``target``, ``(B,)`` or per segment ``(B, T)``, and
    ``index`` (position in the split), ``(B,)``, both int64.

    Args:
        clips: decoded and cached.
        batch_size: clips per batch; None: 32, for whoever does not train.
        workers: processes that read; 0 reads in this one.
        seed: of the order of training clips, and of which are held out.

    Attributes:
        held_out: positions in the training split of clips that are not trained on; empty unless `hold_out`.
    """

    def __init__(self, clips: Prepared, *, batch_size: int | None = None, workers: int = 0, seed: int = 0) -> None:
        super().__init__()
        self.clips = clips
        self.batch_size = batch_size or 32
        self.workers = workers
        self.seed = seed
        self.held_out: tuple[int, ...] = ()
        self._train_order: Batches | None = None
        self._epoch = 0

    @classmethod
    def from_config(
        cls,
        config: DataConfig,
        *,
        seed: int = 0,
        spec: MediaSpec | None = None,
        modalities: tuple[str, ...] | None = None,
        segments: int | None = None,
        progress: Progress | None = None,
        table: ClipTable | None = None,
    ) -> ClipData:
        """List, decode and cache the clips that a configuration asks for.

        Args:
            config: which clips.
            seed: of the order of training clips.
            spec: shape of a clip; None: the dataset's, changed by ``config.media``.
            modalities: decode these alone; None: all.
            segments: targets are the classes of so many segments, ``(B, T)``; None: of clips.
            progress: called with the clips done and to be done.
            table: the clips, where they are listed already.

        Raises:
            CounterpointError: the dataset is not there, its options are wrong, or too many clips are unreadable.
        """
        table = table or list_clips(config, events=segments is not None, fit_length=spec is None)
        spec = spec or media_spec(table, config.media)
        clips = prepare_clips(table, config, spec, modalities or MODALITIES, segments=segments, progress=progress)
        return cls(clips, batch_size=config.batch_size, workers=config.workers, seed=seed)

    @property
    def epoch(self) -> int:
        """Whose order the next pass over the training split has; to be set before the pass begins."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        if self._train_order is not None:
            self._train_order.epoch = epoch

    def hold_out(self, share: float) -> None:
        """Keep a share of the training clips out of training: drawn by the seed, and stratified by class.

        Clips of one speaker may fall on both sides, as in the papers that hold clips out.

        Args:
            share: 0 to below 1.

        Raises:
            DataError: a class has too few clips for some to be kept and some held out.
        """
        clips = self.clips.clips("train")
        table = self.clips.table
        labels = {clip.id: table.classes[clip.label] for clip in clips}
        sides = draw_split(f"{table.name}, clips held out of training", labels, val=share, test=0, seed=self.seed).sides
        self.held_out = tuple(k for k, clip in enumerate(clips) if sides[clip.id] == "val")

    def loader(self, split: str, train: bool = False, part: str | None = None) -> DataLoader[Batch]:
        """Batches of a split.

        Args:
            split: ``"train"``, ``"val"`` or ``"test"``.
            train: shuffled anew each epoch, without the clips held out; else in table order, every clip once.
            part: of the training split, ``"kept"``: what is trained on; ``"held_out"``; None: all of it.
        """
        dataset: Dataset[Batch] = self.clips.split(split)
        length = len(self.clips.clips(split))
        if (train or part) and self.held_out:
            held_out = set(self.held_out)
            chosen = [k for k in range(length) if (k in held_out) == (part == "held_out")]
            dataset, length = Subset(dataset, chosen), len(chosen)
        trainer = self.trainer
        order = Batches(
            length,
            self.batch_size,
            train=train,
            seed=self.seed,
            rank=0 if trainer is None else trainer.global_rank,
            processes=1 if trainer is None else trainer.world_size,
        )
        if train:
            self._train_order = order
            order.epoch = self._epoch
        return DataLoader(
            dataset,
            batch_sampler=order,
            collate_fn=collate,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),  # leaves the global generator alone
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training split, in the order of `epoch`."""
        return self.loader("train", train=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation split."""
        return self.loader("val")
