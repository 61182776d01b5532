"""Scores of trials: cosine between the vectors of two utterances, if asked for normalised by a cohort; or distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from counterpoint.data.trials import TrialList
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import unit_rows
from counterpoint.fusion import FusionOutput
from counterpoint.heads import Cosine, Head
from counterpoint.registry import check_choice

# Numbers in the largest intermediate result, however many trials or utterances there are: 4 MiB of float32, which a
# CPU's cache holds.
_BLOCK = 2**20

By = Literal["embedding", "logits"]
"""What stands for a clip in a trial, see `trial_vectors`."""


def trial_vectors(output: FusionOutput, by: By = "embedding", *, head: Head | None = None) -> Tensor:
    """What stands for a clip in a trial, ``(B, D)``.

    Args:
        output: of B clips.
        by: ``"embedding"``: the fused representation before the head, as verification is usually done; ``"logits"``:
            the joint logits of the training classes, which MMCosine's released code compares (its paper does not say).
        head: that of the fusion. Of a cosine head's embedding each modality's part is brought to length one: under
            MMCosine nothing trains lengths, and what they happen to be would weigh the modalities.

    Raises:
        ConfigError: `by` is neither.
    """
    check_choice("by", by, By)
    if by == "logits":
        return output.logits
    widths = list(head.dims.values()) if isinstance(head, Cosine) else []
    if sum(widths) != output.fused.shape[-1]:  # another head, or one that comes before the modalities are joined
        return output.fused
    return torch.cat([unit_rows(part) for part in torch.split(output.fused, widths, -1)], -1)


def score_trials(vectors: Tensor, trials: TrialList, *, cohort: Tensor | None = None, top: int | None = None) -> Tensor:
    """Cosine similarity of both sides of each trial, computed in blocks of bounded size.

    With a cohort, symmetric normalisation (s-norm) follows: each side's mean and standard deviation of its cosines
    with the cohort are taken out of the score, and the two results averaged. With `top`, only the cohort vectors
    most like that side count: adaptive s-norm as Matějka et al. (2017) and most systems since have it (AS-norm1).

    Args:
        vectors: ``(U, D)``, one per utterance, in the order of ``trials.utterances``; of any length above 0.
        trials: N trials.
        cohort: ``(K, D)`` vectors of speakers who are in no trial, e.g. one mean per training speaker; K of 2 or more.
        top: how many of the cohort count for each side, 2 to K; None: all.

    Returns:
        ``(N,)``, higher means more alike, on the device of `vectors`; float32, or wider where `vectors` are.

    Raises:
        ShapeError: vectors that do not fit the trials or the cohort.
        ConfigError: `top` out of its range or without a cohort, or an utterance to which all of the cohort that
            counts is equally like, so that its scores cannot be normalised.
    """
    _check_vectors(vectors, trials)
    unit = _unit(vectors)
    first, second = (torch.from_numpy(side).to(unit.device) for side in (trials.first, trials.second))
    scores = _in_blocks(unit, first, second, lambda a, b: a.mul_(b).sum(1))
    if cohort is None:
        if top is not None:
            raise ConfigError(f"top={top} needs a cohort to choose from")
        return scores
    mean, deviation = cohort_statistics(vectors, cohort, top=top)
    flat = (deviation < 8 * torch.finfo(deviation.dtype).eps).nonzero()[:, 0]  # nothing but rounding
    used = flat[torch.isin(flat, torch.cat([first, second]))]
    if len(used):
        raise ConfigError(
            f"{trials.name}: the cohort is equally like {trials.utterances[int(used[0])]!r} throughout, so its scores "
            "cannot be normalised; give a larger cohort, or a larger top"
        )
    return ((scores - mean[first]) / deviation[first] + (scores - mean[second]) / deviation[second]) / 2


def distance_scores(vectors: Tensor, trials: TrialList) -> Tensor:
    """Squared Euclidean distance of both sides of each trial, negative so that higher means more alike.

    FOP compares pairs of a face and a voice so. Of vectors of length one it gives the order of the cosines.

    Args:
        vectors: ``(U, D)``, one per utterance, in the order of ``trials.utterances``.
        trials: N trials.

    Returns:
        ``(N,)``, on the device of `vectors`; float32, or wider where `vectors` are.

    Raises:
        ShapeError: vectors that do not fit the trials.
    """
    _check_vectors(vectors, trials)
    values = _widened(vectors)
    first, second = (torch.from_numpy(side).to(values.device) for side in (trials.first, trials.second))
    return _in_blocks(values, first, second, lambda a, b: a.sub_(b).square_().sum(1).neg_())


def cohort_statistics(vectors: Tensor, cohort: Tensor, *, top: int | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each vector's cosines with a cohort, or with those of it most like the vector.

    Args:
        vectors: ``(U, D)``.
        cohort: ``(K, D)``, K of 2 or more.
        top: how many of the highest cosines count, 2 to K; None: all.

    Returns:
        Both ``(U,)``; the deviation is that of the population (divided by the number, not by one less).

    Raises:
        ShapeError: shapes that do not fit.
        ConfigError: `top` out of its range.
    """
    if vectors.ndim != 2 or cohort.ndim != 2 or cohort.shape[1] != vectors.shape[1] or len(cohort) < 2:
        raise ShapeError(
            f"a cohort must be (K, {vectors.shape[-1]}) with K of 2 or more, but is {tuple(cohort.shape)} beside "
            f"vectors {tuple(vectors.shape)}"
        )
    if top is not None and not 2 <= top <= len(cohort):
        raise ConfigError(f"top is {top}; it must be from 2 to the {len(cohort)} vectors of the cohort")
    unit, others = _unit(vectors), _unit(cohort).T
    mean, deviation = unit.new_empty(len(unit)), unit.new_empty(len(unit))
    step = max(1, _BLOCK // len(cohort))
    for at in range(0, len(unit), step):
        rows = slice(at, at + step)
        cosines = unit[rows] @ others
        if top is not None:
            cosines = cosines.topk(top, 1, sorted=False).values
        mean[rows], deviation[rows] = cosines.mean(1), cosines.std(1, correction=0)
    return mean, deviation


def trial_labels(trials: TrialList, device: torch.device | str = "cpu") -> Tensor:
    """Which trials are of one speaker, ``(N,)`` bool: what the metrics take beside the scores."""
    return torch.from_numpy(np.ascontiguousarray(trials.target)).to(device)


def _check_vectors(vectors: Tensor, trials: TrialList) -> None:
    if vectors.ndim != 2 or len(vectors) != len(trials.utterances):
        raise ShapeError(
            f"{trials.name} has {len(trials.utterances)} utterances and needs as many vectors (U, D), but got "
            f"{tuple(vectors.shape)}"
        )


def _in_blocks(values: Tensor, first: Tensor, second: Tensor, compare: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A score for each pair of rows; `compare` may write into its arguments."""
    scores = values.new_empty(len(first))
    step = max(1, _BLOCK // values.shape[1])
    for at in range(0, len(first), step):
        rows = slice(at, at + step)
        scores[rows] = compare(values[first[rows]], values[second[rows]])
    return scores


def _unit(vectors: Tensor) -> Tensor:
    return unit_rows(_widened(vectors))


def _widened(vectors: Tensor) -> Tensor:
    return vectors.detach().to(torch.promote_types(vectors.dtype, torch.float32))
