"""Runs of few steps are told, with what to set."""

import pytest

from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.few_steps import FEW_STEPS, few_steps, gap


def config(batch_size, epochs, devices=1, **more):
    values = {"data": {"batch_size": batch_size}, "epochs": epochs, "devices": devices, **more}
    return from_dict(TrainConfig, values)


@pytest.mark.parametrize(
    ("batch_size", "epochs", "clips", "said"),
    [
        (32, 20, 25, "25 training clips in batches of 32, more than there are, make 1 step an epoch, 20 in all: few."),
        (25, 20, 25, "25 training clips in batches of 25 make 1 step an epoch, 20 in all: few."),
        (4, 5, 25, "25 training clips in batches of 4 make 7 steps an epoch, 35 in all: few."),
        (32, 100, 25, "25 training clips in batches of 32, more than there are, make 1 step an epoch, 100 in all."),
        (32, 8, 480, None),
        (25, 88, 25, None),
    ],
)
def test_what_is_said(batch_size, epochs, clips, said):
    told = few_steps(config(batch_size, epochs), clips)
    assert told is None if said is None else told.startswith(said)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("epochs", [1, 3, 20, 60])
@pytest.mark.parametrize("clips", [3, 25, 200])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_what_is_advised_is_enough(batch_size, clips, epochs, devices):
    told = few_steps(config(batch_size, epochs, devices), clips)
    if told is None:
        return
    words = told.partition(" Set ")[2].split()
    size = int(words[words.index("data.batch_size") + 2]) if "data.batch_size" in words else batch_size
    wanted = int(words[words.index("epochs") + 2]) if "epochs" in words else epochs
    assert wanted * -(-clips // (size * devices)) >= FEW_STEPS
    assert few_steps(config(size, wanted, devices), max(clips, size)) is None


@pytest.mark.parametrize(("train", "val", "told"), [(1.0, 0.375, True), (1.0, 0.9, False), (0.4, 0.9, False)])
def test_the_gap_to_training(train, val, told):
    said = gap(config(32, 20), train, val)
    assert said == ("Top-1 is 100.0 % on training clips and 37.5 % on validation clips." if told else None)
