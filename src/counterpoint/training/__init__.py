"""Training: one Lightning module, one run folder, one configuration.

Names are imported when first used, so that reading a configuration stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from counterpoint._moved import keep_names

if TYPE_CHECKING:
    from counterpoint.training.config import TrainConfig
    from counterpoint.training.evaluate import evaluate
    from counterpoint.training.fit import fit
    from counterpoint.training.load import Run, load_run
    from counterpoint.training.module import CounterpointModule

__all__ = ["CounterpointModule", "Run", "TrainConfig", "evaluate", "fit", "load_run"]

_HOMES = {
    "CounterpointModule": "module",
    "Run": "load",
    "TrainConfig": "config",
    "evaluate": "evaluate",
    "fit": "fit",
    "load_run": "load",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(f"counterpoint.training.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'counterpoint.training' has no attribute {name!r}")


keep_names(__name__, __all__)  # `fit` and `evaluate` are functions here, though files that define them are called so
