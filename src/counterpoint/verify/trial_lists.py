"""Score a list of trials by a trained classifier: how well do its vectors tell who is who?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from counterpoint.data import ClipTable
from counterpoint.data.cache.prepare import Progress
from counterpoint.data.splits.draw import rank
from counterpoint.data.trials import Missing, TrialList
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.fusion.fop import FOP
from counterpoint.metrics import ErrorCurve, error_curve
from counterpoint.registry import check_choice
from counterpoint.training.config import DataConfig
from counterpoint.training.datamodule import list_clips
from counterpoint.training.load import Run
from counterpoint.verify import distance_scores, score_trials, trial_labels
from counterpoint.verify.embeddings import (
    Encode,
    Vectors,
    classifier,
    embed_clips,
    encode_alone,
    encode_jointly,
    mean_by_class,
)
from counterpoint.verify.scoring import By
from counterpoint.verify.trial_sets import TrialSet, read_trial_set, require_pictures

OF_A_SPEAKER = 10
"""Training utterances that a speaker's place in a cohort is the mean of, at most."""


@dataclass(frozen=True)
class How:
    """How trials are scored.

    Attributes:
        by: ``"embedding"`` or ``"logits"``; see `trial_vectors`.
        modality: this one alone; None: all together, and each beside.
        crops: segments of each utterance whose vectors are averaged.
        cohort: scores are normalised (s-norm) by so many of the run's training speakers, or by ``"split"``, all of
            them; None: they are not, unless `snorm` is given.
        snorm: ``"all"``: all of the cohort counts for every utterance; a number: so many that are most like it; None:
            all, if there is a cohort.
    """

    by: By = "embedding"
    modality: str | None = None
    crops: int = 1
    cohort: int | str | None = None
    snorm: int | str | None = None

    def check(self) -> None:
        """Refuse values outside their range.

        Raises:
            ConfigError: says which, and what it may be.
        """
        check_choice("by", self.by, By)
        if self.crops < 1:
            raise ConfigError(f"crops is {self.crops}; it must be at least 1")
        for name, value, word in (("cohort", self.cohort, "split"), ("snorm", self.snorm, "all")):
            if value not in (None, word) and (not isinstance(value, int) or value < 2):
                raise ConfigError(f"{name} is {value!r}; it must be {word!r} or a number of at least 2")

    @property
    def normalised(self) -> bool:
        """Whether there is a cohort."""
        return self.cohort is not None or self.snorm is not None


@dataclass(frozen=True)
class ScoredTrials:
    """What a run makes of a list.

    Attributes:
        trials: the N that were scored.
        missing: what had to be left out.
        reasons: utterance -> why it is missing.
        scores: system (``"audio+visual"``, ``"audio"`` ...) -> ``(N,)``, higher means more alike.
        cohort: how many speakers scores were normalised by; 0: they were not.
    """

    trials: TrialList
    missing: Missing
    reasons: Mapping[str, str]
    scores: Mapping[str, Tensor]
    cohort: int = 0

    def curves(self) -> dict[str, ErrorCurve]:
        """System -> its errors at every threshold.

        Raises:
            ShapeError: scores that are NaN, as those of a run that diverged; or trials all of one kind.
        """
        return {system: self._curve(system) for system in self.scores}

    def _curve(self, system: str) -> ErrorCurve:
        try:
            return error_curve(self.scores[system], trial_labels(self.trials))
        except ShapeError as error:
            raise ShapeError(f"{self.trials.name}, {system}: {error}") from None


def score_list(
    run: Run,
    trials: str | Path,
    data: DataConfig | None = None,
    how: How | None = None,
    *,
    strict: bool = False,
    progress: Progress | None = None,
) -> ScoredTrials:
    """Embed each utterance of a list once, and score its trials.

    Utterances are compared by the cosine of their vectors, a voice and a face by the distance of their embeddings, as
    FOP does.

    Args:
        run: of a classifier; pairs of a voice and a face need the fusion ``fop``.
        trials: see `read_trial_set`.
        data: the dataset that the list is of; None: the run's.
        how: None: by the embeddings of all modalities.
        strict: utterances that are missing count among the bad ones, of which ``data.max_bad`` says how many there may
            be; else they are told of in the result.
        progress: called with the clips decoded and to be decoded.

    Raises:
        DataError: the list is damaged, too many clips cannot be read, or no trial is left, or trials of one kind alone.
        ConfigError: a run of another task, or options that do not fit it or the list.
    """
    how, data = how or How(), data or run.config.data
    how.check()
    classifier(run)
    if how.modality is not None:
        encode_alone(run, how.modality, how.by)  # refuses what it must before anything is read
    found = read_trial_set(data, trials)
    found.available()[0].require_both_kinds()
    missing_clips = {name: why for table in found.sides.values() for name, why in table.rejected.items()}
    if not strict:
        found = replace(found, sides={side: replace(table, rejected={}) for side, table in found.sides.items()})
    if found.between_modalities:
        return _score_pairs(run, found, data, how, missing_clips, progress)
    (table,) = found.sides.values()
    modalities, encode = _encoder(run, how)
    require_pictures(found, modalities, data.max_bad)
    speakers = _of_speakers(list_clips(run.config.data), how, run.config.seed) if how.normalised else None
    vectors = embed_clips(run, table, data, modalities, encode, crops=how.crops, progress=progress)
    listed, missing = _available(found.trials, vectors.names)
    cohort = None if speakers is None else _cohort(run, speakers, modalities, encode, progress)
    top = how.snorm if isinstance(how.snorm, int) else None
    scores = {
        system: score_trials(values, listed, cohort=None if cohort is None else cohort[system], top=top)
        for system, values in _in_order(vectors, listed).items()
    }
    size = 0 if cohort is None else len(next(iter(cohort.values())))
    return ScoredTrials(listed, missing, {**missing_clips, **vectors.skipped}, scores, size)


def _encoder(run: Run, how: How) -> tuple[tuple[str, ...], Encode]:
    if how.modality is not None:
        return (how.modality,), encode_alone(run, how.modality, how.by)
    return classifier(run).modalities, encode_jointly(run, how.by)


def _score_pairs(
    run: Run, found: TrialSet, data: DataConfig, how: How, missing_clips: Mapping[str, str], progress: Progress | None
) -> ScoredTrials:
    if not isinstance(classifier(run).fusion, FOP):
        raise ConfigError(f"{run.folder}: pairs of a voice and a face are compared under the fusion 'fop' alone")
    if how != How():
        raise ConfigError(
            "pairs of a voice and a face are compared by the distance of their embeddings; by, modality, crops, cohort "
            "and snorm are for trials of two utterances"
        )
    by_name: dict[str, Tensor] = {}
    reasons = dict(missing_clips)
    for modality, table in found.sides.items():
        assert modality is not None
        vectors = embed_clips(run, table, data, (modality,), encode_alone(run, modality, how.by), progress=progress)
        by_name |= dict(zip(vectors.names, vectors.by[modality], strict=True))
        reasons |= vectors.skipped
    listed, missing = _available(found.trials, by_name)
    embedded = torch.stack([by_name[name] for name in listed.utterances])
    name = " to ".join(str(modality) for modality in found.sides)
    return ScoredTrials(listed, missing, reasons, {name: distance_scores(embedded, listed)})


def _available(trials: TrialList, there: Collection[str]) -> tuple[TrialList, Missing]:
    """The trials of clips that are there, of both kinds."""
    listed, missing = trials.available(there)
    listed.require_both_kinds()
    return listed, missing


def _in_order(vectors: Vectors, listed: TrialList) -> dict[str, Tensor]:
    """The vectors in the order of the list's utterances."""
    place = {name: k for k, name in enumerate(vectors.names)}
    order = torch.tensor([place[name] for name in listed.utterances])
    return {system: values[order] for system, values in vectors.by.items()}


def _cohort(
    run: Run, speakers: ClipTable, modalities: tuple[str, ...], encode: Encode, progress: Progress | None
) -> dict[str, Tensor]:
    """System -> mean vectors of training speakers, ``(K, D)``."""
    vectors = embed_clips(run, speakers, run.config.data, modalities, encode, progress=progress)
    return mean_by_class(vectors, {clip.id: clip.label for clip in speakers.clips})


def _of_speakers(table: ClipTable, how: How, seed: int) -> ClipTable:
    """A few training utterances of each speaker of the cohort, spread evenly over those that there are."""
    count = how.cohort if isinstance(how.cohort, int) else None
    each: dict[int, list[int]] = {}
    for k, clip in enumerate(table.clips):
        if clip.split == "train" and clip.id not in table.rejected:
            each.setdefault(clip.label, []).append(k)
    if count is not None and count > len(each):
        raise ConfigError(f"cohort is {count}, but {table.name} trains on {len(each)} speakers; take at most these")
    drawn = sorted(each, key=lambda label: rank(seed, table.classes[label]))[:count]
    if isinstance(how.snorm, int) and how.snorm > len(drawn):
        raise ConfigError(f"snorm is {how.snorm}, but the cohort has {len(drawn)} speakers; take at most these, or all")
    clips = [
        replace(table.clips[each[label][k]], split="test")
        for label in sorted(drawn)
        for k in np.unique(np.linspace(0, len(each[label]) - 1, OF_A_SPEAKER).round().astype(int)).tolist()
    ]
    return replace(table, clips=tuple(clips), rejected={})
