"""Examples in docstrings run, and every base class that users derive from has one."""

import doctest
import importlib
import pkgutil

import pytest

from counterpoint.balance import Balancer
from counterpoint.encoders import Encoder
from counterpoint.fusion import Fusion
from counterpoint.heads import Head
from counterpoint.intermediate import Intermediate
from counterpoint.localise import Localiser
from counterpoint.losses import Loss

ROOMS = (
    "functional",
    "heads",
    "fusion",
    "intermediate",
    "localise",
    "losses",
    "balance",
    "encoders",
    "metrics",
    "models",
)


def modules() -> list[str]:
    found = []
    for room in ROOMS:
        package = importlib.import_module(f"counterpoint.{room}")
        found.append(package.__name__)
        found += [m.name for m in pkgutil.iter_modules(getattr(package, "__path__", []), f"{package.__name__}.")]
    return found


@pytest.mark.parametrize("name", modules())
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("base", [Fusion, Head, Intermediate, Localiser, Encoder, Balancer, Loss])
def test_every_base_class_shows_a_part_of_ones_own(base):
    (test,) = doctest.DocTestFinder(recurse=False).find(base)
    assert any(f"({base.__name__})" in example.source or "(Blocks)" in example.source for example in test.examples)
