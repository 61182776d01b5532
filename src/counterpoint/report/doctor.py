"""What is wrong with runs, and what to do about it: read off their results, in sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from counterpoint.analysis.results import Comparison, Finding, MethodResult
from counterpoint.analysis.statistics import Estimate
from counterpoint.report.history import History, read_epochs
from counterpoint.report.table import counted, percent
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.few_steps import GAP, steps_and_advice
from counterpoint.training.metrics import Metric, metrics_of

OWN_LOSSES = ("late", "concat-detached")
"""Recipes in which no encoder can hide behind another: each is trained by a loss of its own."""

_LEAST = 0.05
"""The smallest gap between accuracies that is worth a sentence, however sure it is."""
_RISE = 0.01
"""By how much a metric of validation rises over the last fifth of the epochs where training stopped too early."""
_NORMAL = 1.96


def examine(comparison: Comparison) -> tuple[Finding, ...]:
    """What a reader should know before the tables, gravest first.

    A gap counts where it is wider than what seeds and test clips leave open: the half-widths of both figures' 95 %
    intervals, over seeds and of a share of that many clips, joined in quadrature.

    Args:
        comparison: with finished runs, whose folders are there.

    Returns:
        One finding or more: where nothing is wrong, that says so.
    """
    histories = {name: _histories(comparison, method) for name, method in comparison.methods.items()}
    trained = {name: method for name, method in comparison.methods.items() if histories[name]}
    found = [*_of_data(comparison), *_of_failures(comparison), *_of_power(comparison), *_of_gain(comparison, trained)]
    chosen_by = comparison.protocol["config"]["base"].get("metric", "accuracy")
    metric = chosen_by, comparison.metrics[chosen_by]
    for name, method in trained.items():
        found += _of_modalities(comparison, method)
        epochs = [run.epoch for run in method.runs]
        found += of_training(name, histories[name], epochs, metric, prefix="--base.")
    if all(finding.kind == "learnt" for finding in found):
        found.append(Finding("well", "", "Nothing that could be told from these figures went wrong."))
    return tuple(found)


def of_training(
    name: str, histories: Sequence[History], chosen: Sequence[int], metric: tuple[str, Metric], *, prefix: str = "--"
) -> Iterator[Finding]:
    """Whether training stopped too early, or learnt its clips by heart.

    Args:
        name: of the method or run.
        histories: of its runs.
        chosen: their epochs, counted from 0.
        metric: by which epochs are chosen, with its name.
        prefix: of options of a run, where they are to be set.
    """
    key, row = metric
    if not row.percent:  # how much is much is known of shares alone
        return
    curves = [h.epochs[f"val_{key}"] * row.sign for h in histories]
    length, rise = max(map(len, curves)), float(np.mean([_rise(values) for values in curves]))
    at_the_end = [epoch >= 0.8 * len(values) - 1 for values, epoch in zip(curves, chosen, strict=True)]
    if rise > _RISE and np.mean(at_the_end) > 0.5:
        yield Finding(
            "unfinished",
            name,
            f"{name} had not converged: validation {row.noun} still rose by {100 * rise:.1f} points over the last "
            f"fifth of {counted(length, 'epoch')}.",
            f"Train longer: {prefix}epochs {2 * length}.",
        )
    train, val = (
        float(np.mean([h.epochs[f"{split}_{key}"][epoch] for h, epoch in zip(histories, chosen, strict=True)]))
        for split in ("train", "val")
    )
    if row.sign * (train - val) >= GAP:
        yield Finding(
            "overfitted",
            name,
            f"{name} has learnt its training clips by heart: {row.heading} is {row.text(train)} on them and "
            f"{row.text(val)} on validation clips.",
            f"More clips help most; else {prefix}augment true, {prefix}optim.weight_decay 0.01 or a smaller model.",
        )


def _rise(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """From the fifth before the last to the last."""
    fifth = max(1, len(values) // 5)
    if len(values) < 2 * fifth:
        return 0.0
    return float(values[-fifth:].mean() - values[-2 * fifth : -fifth].mean())


def _histories(comparison: Comparison, method: MethodResult) -> list[History]:
    """None for what was not trained by epochs."""
    found = [read_epochs(comparison.folder / run.folder) for run in method.runs]
    return found if all(history.epochs for history in found) else []


def _of_data(comparison: Comparison) -> Iterator[Finding]:
    protocol = comparison.protocol
    if shared := protocol["shared_groups"]:
        yield Finding(
            "shared_groups",
            "",
            f"{counted(shared, 'speaker or source', 'speakers or sources')} stand both in test and in training or "
            "validation: nothing here says how well new ones would be recognised.",
            "Name speakers in the column 'group', and let the split keep them apart (disjoint).",
        )
    clips = (protocol["folds"] or [protocol["clips"]])[0].get("train")
    few = steps_and_advice(from_dict(TrainConfig, protocol["config"]["base"]), clips) if clips else None
    if few is not None:
        yield Finding("few_steps", "", *few)


def _of_failures(comparison: Comparison) -> Iterator[Finding]:
    counts = Counter(failure.name for failure in comparison.failures if failure.diverged)
    for name, count in counts.items():
        lr = comparison.protocol["config"]["base"]["optim"]["lr"]
        yield Finding(
            "diverged",
            name,
            f"{counted(count, 'run')} of {name} diverged.",
            f"Lower the learning rate: --base.optim.lr {lr / 3:.1g}, or --base.optim.clip_norm 1.",
        )


def _of_power(comparison: Comparison) -> Iterator[Finding]:
    """How far apart methods had to be for it to show."""
    widths = [(d.high - d.low) / 2 for m in comparison.methods.values() if (d := m.difference) is not None]
    clips, seeds = comparison.protocol["clips"]["test"], len(comparison.protocol["config"]["seeds"])
    if widths and (width := float(np.median(widths))) > _LEAST:
        yield Finding(
            "few_clips",
            "",
            f"With {counted(clips, 'test clip')} and {counted(seeds, 'seed')}, methods had to be about "
            f"{100 * width:.0f} points apart for it to show.",
            "More seeds (--seeds 0 1 2 3 4) narrow it where seeds scatter, more test clips where clips are few.",
        )


def _of_gain(comparison: Comparison, trained: Mapping[str, MethodResult]) -> Iterator[Finding]:
    """Whether to learn jointly was worth it."""
    joint = {name: mean for name, m in trained.items() if (mean := m.accuracy.mean) is not None}
    others = {f"{m} alone": a.accuracy.mean for m, a in comparison.alone.items()}
    others |= {name: m.accuracy.mean for name, m in comparison.methods.items() if name not in trained}
    known = {name: mean for name, mean in others.items() if mean is not None}
    if not joint or not known:
        return
    best, other = max(joint, key=joint.__getitem__), max(known, key=known.__getitem__)
    if known[other] >= joint[best]:
        untried = _untried(comparison)
        yield Finding(
            "no_gain",
            best,
            f"To learn jointly was not worth it here: the best joint model, {best}, reaches {percent(joint[best])} %, "
            f"and {other} {percent(known[other])} %.",
            f"Take {other}, or a method that was not tried: {untried}." if untried else "",
        )


def _untried(comparison: Comparison) -> str:
    return " ".join(name for name in OWN_LOSSES if name not in comparison.methods)


def _of_modalities(comparison: Comparison, method: MethodResult) -> Iterator[Finding]:
    """Which modality was learnt in a joint model, and which drowned, against what it does alone."""
    clips = comparison.protocol["clips"]["test"]
    drowned, perhaps, learnt = [], [], []
    for m, abilities in method.modalities.items():
        alone = comparison.alone.get(m)
        if alone is None or len(method.modalities) < 2:
            continue
        own = abilities["decoupled"] if abilities["decoupled"].mean is not None else abilities["ablated"]
        if _below(own, alone.accuracy, clips):
            probe = abilities["probe"]
            said = f"{m} is right on {percent(own.mean)} %, trained alone on {percent(alone.accuracy.mean)} %"
            if probe.mean is not None:
                half = "has not learnt it either" if _below(probe, alone.accuracy, clips) else "knows more than is used"
                said += f"; its encoder {half} (probe {percent(probe.mean)} %)"
            drowned.append(said)
        elif own.mean is not None and alone.accuracy.mean is not None:
            if alone.accuracy.mean - own.mean > _LEAST:
                perhaps.append(f"{m} {percent(own.mean)} % of {percent(alone.accuracy.mean)} % alone")
            else:
                learnt.append(m)
    if drowned:
        chance = percent(1 / len(comparison.classes))
        rest = f" {' and '.join(learnt)} {'were' if len(learnt) > 1 else 'was'} learnt." if learnt else ""
        other = _untried(comparison)
        yield Finding(
            "drowned",
            method.name,
            f"{method.name}: {'. '.join(drowned)} (chance is {chance} %).{rest}",
            f"Train each encoder by a loss of its own: --methods {other}." if other else "",
        )
    elif perhaps:
        yield Finding(
            "perhaps_drowned",
            method.name,
            f"{method.name}: {', '.join(perhaps)}: lower, but these seeds and clips leave open whether it drowned.",
            "More seeds tell: --seeds 0 1 2 3 4.",
        )
    elif learnt:
        sentence = f"{method.name}: {' and '.join(learnt)} do about what they do alone."
        yield Finding("learnt", method.name, sentence)


def _below(found: Estimate, reference: Estimate, clips: int) -> bool:
    if found.mean is None or reference.mean is None:
        return False
    noise = math.hypot(_half_width(found, clips), _half_width(reference, clips))
    return reference.mean - found.mean > max(_LEAST, noise)


def _half_width(estimate: Estimate, clips: int) -> float:
    """Of the 95 % interval, for other seeds and other clips."""
    assert estimate.mean is not None
    share = min(max(estimate.mean, 0.0), 1.0)
    return math.hypot(estimate.half_width or 0.0, _NORMAL * math.sqrt(share * (1 - share) / clips))


def examine_run(name: str, history: History, epoch: int, config: TrainConfig) -> tuple[Finding, ...]:
    """What can be told of a single run.

    Args:
        name: of the run.
        history: that it wrote.
        epoch: that was chosen, counted from 0.
        config: of the run.
    """
    metric = config.metric, metrics_of(config.task, config.metric)[config.metric]
    return tuple(of_training(name, [history], [epoch], metric)) if history.epochs else ()
