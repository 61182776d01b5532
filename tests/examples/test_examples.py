"""The examples run as they stand."""

import importlib.util
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_plain_loop_learns_without_lightning(capsys):
    before = set(sys.modules)
    losses = load("plain_loop").main(steps=40)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert "ratio of sound to sight" in capsys.readouterr().out
    assert not {"lightning", "av", "jsonargparse"} & (set(sys.modules) - before)
