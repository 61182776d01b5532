"""What is said of a run that takes so few steps that its figures may say more of that than of its method."""

from __future__ import annotations

from counterpoint.training.budget import planned, steps_per_epoch
from counterpoint.training.callbacks.batch_statistics import FEW_STEPS
from counterpoint.training.config import TrainConfig
from counterpoint.training.metrics import metrics_of

GAP = 0.2
"""By how much training must be ahead of validation to be told, of a metric from 0 to 1."""


def few_steps(config: TrainConfig, clips: int) -> str | None:
    """The sentences of `steps_and_advice`; None where there is nothing to say."""
    told = steps_and_advice(config, clips)
    return None if told is None else " ".join(told)


def steps_and_advice(config: TrainConfig, clips: int) -> tuple[str, str] | None:
    """What to say of a run of fewer than `FEW_STEPS` steps, or of batches that the data cannot fill; else None.

    Args:
        config: of the run, resolved.
        clips: that it is trained on.

    Returns:
        What is so, and what to set.
    """
    epochs, size = planned(config)
    per_epoch = steps_per_epoch(clips, size, config.devices)
    total = epochs * per_epoch
    beyond = ", more than there are," if size > clips else ""
    steps = f"{per_epoch} step{'s' if per_epoch > 1 else ''} an epoch, {total} in all"
    made = f"{clips} training clips in batches of {size}{beyond} make {steps}"
    if total >= FEW_STEPS:
        return (f"{made}.", "Smaller batches (data.batch_size) make more.") if beyond else None
    # As large as makes enough steps; statistics over smaller batches than four are poor.
    smaller = max(4, clips * epochs // (FEW_STEPS * config.devices))
    advice = [f"data.batch_size to {smaller}"] if smaller < min(size, clips) else []
    needed = -(-FEW_STEPS // steps_per_epoch(clips, smaller if advice else size, config.devices))
    advice += [f"epochs to {needed}"] if needed > epochs else []
    return f"{made}: few.", f"Set {' and '.join(advice)} for {FEW_STEPS} steps or more."


def gap(config: TrainConfig, train: float, val: float) -> str | None:
    """The sentence for a model that does much better on the clips that it was trained on; else None.

    Args:
        config: of the run; says which metric it is.
        train: of the training clips, as they were trained on in the chosen epoch.
        val: of the validation clips after it.
    """
    row = metrics_of(config.task, config.metric)[config.metric]
    if not row.percent or row.sign * (train - val) < GAP:
        return None
    return f"{row.heading} is {row.text(train)} on training clips and {row.text(val)} on validation clips."
