"""Counterpoint: learn from sound and sight together, without letting one of them drown the other.

Submodules and names are imported when first used, so that `import counterpoint` costs nothing and the plug-in parts
never pay for media or training.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from counterpoint import _moved
from counterpoint._version import __version__
from counterpoint.errors import CounterpointError

if TYPE_CHECKING:
    from counterpoint import (
        allocator as allocator,
    )
    from counterpoint import (
        analysis as analysis,
    )
    from counterpoint import (
        balance,
        encoders,
        functional,
        fusion,
        heads,
        intermediate,
        localise,
        losses,
        metrics,
        models,
    )
    from counterpoint import (
        data as data,
    )
    from counterpoint import (
        distributed as distributed,
    )
    from counterpoint import (
        experiments as experiments,
    )
    from counterpoint import (
        extraction as extraction,
    )
    from counterpoint import (
        media as media,
    )
    from counterpoint import (
        predict as predict,
    )
    from counterpoint import (
        recipes as recipes,
    )
    from counterpoint import (
        report as report,
    )
    from counterpoint import (
        training as training,
    )
    from counterpoint import (
        verify as verify,
    )
    from counterpoint.experiments.auto import auto as auto
    from counterpoint.fusion import FusionOutput
    from counterpoint.models import MultimodalModel, create_model, from_pretrained, list_models

__all__ = [
    "CounterpointError",
    "FusionOutput",
    "MultimodalModel",
    "__version__",
    "balance",
    "create_model",
    "encoders",
    "from_pretrained",
    "functional",
    "fusion",
    "heads",
    "intermediate",
    "list_models",
    "localise",
    "losses",
    "metrics",
    "models",
]

# Also found after `import counterpoint`, but not by `import *`: they bring media and training libraries along.
_FURTHER = {
    "allocator",
    "analysis",
    "data",
    "distributed",
    "experiments",
    "extraction",
    "media",
    "predict",
    "recipes",
    "report",
    "training",
    "verify",
}

_HOMES = {
    "auto": "experiments.auto",
    "FusionOutput": "fusion",
    "MultimodalModel": "models",
    "create_model": "models",
    "from_pretrained": "models",
    "list_models": "models",
}

_moved.install()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"counterpoint.{_HOMES[name]}"), name)
    if name in __all__ or name in _FURTHER:
        return importlib.import_module(f"counterpoint.{name}")
    raise AttributeError(f"module 'counterpoint' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_FURTHER, "auto", "errors"})
