"""Training: one Lightning module, one run folder, one configuration.

Names are imported when first used, so that reading a configuration stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterpoint.training.config import TrainConfig
    from counterpoint.training.fit import Run, evaluate, fit, load_run
    from counterpoint.training.module import CounterpointModule

__all__ = ["CounterpointModule", "Run", "TrainConfig", "evaluate", "fit", "load_run"]

_HOMES = {"TrainConfig": "config", "CounterpointModule": "module"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(f"counterpoint.training.{_HOMES.get(name, 'run')}"), name)
    raise AttributeError(f"module 'counterpoint.training' has no attribute {name!r}")
