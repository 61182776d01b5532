"""How many epochs in batches of how many clips: what fits the data, where the configuration leaves it to them."""

from __future__ import annotations

from dataclasses import replace

from counterpoint.data.clip_table import ClipTable
from counterpoint.training.config import TrainConfig

STEPS_PER_EPOCH = 20
"""At least so many, as far as `BATCH` allows: validation chooses an epoch, and needs some to choose from."""
BATCH = 4, 32
"""Least and most clips of a batch: statistics over fewer are poor, and more gain nothing."""
STEPS = 600
"""At least so many in all, as far as `EPOCHS` allows."""
EPOCHS = 20, 100
"""Least and most."""


def with_budget(config: TrainConfig, table: ClipTable) -> TrainConfig:
    """The configuration with epochs and batch size; those that it leaves open fit the training clips.

    Args:
        config: as asked for; what it says stays.
        table: the clips, as listed: those that turn out to be damaged count, so that nothing is decoded for it.
    """
    clips = max(1, sum(clip.split == "train" for clip in table.clips))
    size, epochs = config.data.batch_size, config.epochs
    if size is None:
        size = _within(BATCH, -(-clips // (STEPS_PER_EPOCH * config.devices)))
    if epochs is None:
        epochs = _within(EPOCHS, -(-STEPS // steps_per_epoch(clips, size, config.devices)))
    return replace(config, epochs=epochs, data=replace(config.data, batch_size=size))


def as_begun(config: TrainConfig, begun: TrainConfig) -> TrainConfig:
    """The configuration with the epochs and the batch size of another, where it leaves them open.

    Args:
        config: as asked for now.
        begun: of the run that is gone on with, or of the comparison that a run belongs to.
    """
    size = begun.data.batch_size if config.data.batch_size is None else config.data.batch_size
    epochs = begun.epochs if config.epochs is None else config.epochs
    return replace(config, epochs=epochs, data=replace(config.data, batch_size=size))


def planned(config: TrainConfig) -> tuple[int, int]:
    """Epochs and batch size of a configuration that is resolved."""
    assert config.epochs is not None and config.data.batch_size is not None
    return config.epochs, config.data.batch_size


def expected_epochs(config: TrainConfig) -> int:
    """Epochs of a configuration; while they hang on clips that are not known yet, the most that there may be."""
    return config.epochs or EPOCHS[1]


def steps_per_epoch(clips: int, batch_size: int, devices: int) -> int:
    """Batches that so many training clips make, of so many clips on each device."""
    return -(-clips // (batch_size * devices))


def budget_note(asked: TrainConfig, made: TrainConfig, clips: int) -> str | None:
    """The sentence that says what was left to the data; None where nothing was.

    Args:
        asked: as asked for.
        made: the same, resolved.
        clips: that are trained on.
    """
    fitted = [name for name, said in (("epochs", asked.epochs), ("data.batch_size", asked.data.batch_size)) if not said]
    if not fitted:
        return None
    epochs, size = planned(made)
    steps = steps_per_epoch(clips, size, made.devices)
    made_of = f"{epochs} epoch{'s' * (epochs > 1)} of {steps} step{'s' * (steps > 1)}, batch {size}"
    return f"{made_of}: what fits {clips} training clips ({', '.join(fitted)})."


def _within(bounds: tuple[int, int], value: int) -> int:
    return min(max(value, bounds[0]), bounds[1])
