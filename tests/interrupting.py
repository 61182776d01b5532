"""Runs that are stopped in the middle, as by Ctrl-C."""

import pytest

from counterpoint.training.fit import fit
from counterpoint.training.module import CounterpointModule


def interrupted(monkeypatch, config, folder, steps):
    """Stop a run before that many steps are done."""
    step, done = CounterpointModule.training_step, 0

    def training_step(self, batch, batch_idx):
        nonlocal done
        if done == steps:
            raise KeyboardInterrupt
        done += 1
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(CounterpointModule, "training_step", training_step)
        with pytest.raises(KeyboardInterrupt):
            fit(config, folder, progress=False)
