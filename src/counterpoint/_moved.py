"""Modules by their former names, for one minor version: they are found, with a warning that says where they went.

A module that became a package of the same name (``data.features``, ``data.download``, ``data.splits``) still has its
former names, by `former_names`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")

F = TypeVar("F", bound=Callable[..., Any])

REMOVED_IN = "0.3"

MOVED = {
    "analysis.beside": "experiments.reproduction_tables",
    "analysis.compare": "experiments.compare",
    "analysis.config": "experiments.config",
    "analysis.det": "report.det_curve",
    "analysis.embed": "verify.embeddings",
    "analysis.extract_events": "analysis.extract_localiser",
    "analysis.figures": "report.figures",
    "analysis.folds": "experiments.folds",
    "analysis.gather": "experiments.aggregate",
    "analysis.history": "report.history",
    "analysis.page": "report.html",
    "analysis.plan": "experiments.plan",
    "analysis.plotting": "report.plotting",
    "analysis.pool": "experiments.process_pool",
    "analysis.rehearse": "experiments.plan",
    "analysis.report": "report.report",
    "analysis.reproduce": "experiments.reproduce",
    "analysis.results_csv": "report.results_csv",
    "analysis.runs": "experiments.schedule",
    "analysis.score": "analysis.metrics",
    "analysis.search": "experiments.search",
    "analysis.smoke": "experiments.smoke",
    "analysis.tables": "report.tables",
    "analysis.timelines": "report.timelines",
    "analysis.trial_scores": "verify.trial_lists",
    "analysis.trial_sets": "verify.trial_sets",
    "analysis.verification": "verify.evaluate",
    "analysis.watch": "experiments.progress",
    "analysis.worker": "experiments.worker",
    "data.ave": "data.datasets.ave",
    "data.ave_files": "data.datasets._ave_files",
    "data.clips": "data.clip_table",
    "data.cores": "_cpu",
    "data.cremad": "data.datasets.cremad",
    "data.csvfile": "data.io.csv_tables",
    "data.decode_worker": "data.cache.decode_worker",
    "data.decoders": "data.cache.decode_pool",
    "data.feature_check": "data.features.validate",
    "data.feature_dataset": "data.features.dataset",
    "data.feature_folder": "data.datasets.feature_folder",
    "data.folder": "data.datasets.folder",
    "data.folds": "data.splits.folds",
    "data.fop": "data.datasets.fop",
    "data.fop_features": "data.datasets._fop_files",
    "data.grid": "data.datasets.grid",
    "data.grid_words": "data.datasets._grid_words",
    "data.hdf5": "data.io.hdf5",
    "data.judge": "data.quality",
    "data.keys": "data.cache.cache_keys",
    "data.kinetics_lists": "data.datasets._kinetics_lists",
    "data.kinetics_sounds": "data.datasets.kinetics_sounds",
    "data.leaks": "data.splits.leaks",
    "data.mediafiles": "data.io.media_files",
    "data.places": "data.io.paths",
    "data.prepare": "data.cache.prepare",
    "data.ravdess": "data.datasets.ravdess",
    "data.records": "data.download.zenodo_records",
    "data.shards": "data.cache.shards",
    "data.shuu": "data.datasets.shuu",
    "data.split_lists": "data.splits.published",
    "data.ssw60": "data.datasets.ssw60",
    "data.torch_dataset": "data.cache.shard_dataset",
    "data.transfer": "data.download.http",
    "data.unpack": "data.download.unzip",
    "data.vggsound": "data.datasets.vggsound",
    "data.voxceleb": "data.datasets.voxceleb",
    "data.voxfiles": "data.datasets._voxceleb_files",
    "data.write_features": "data.features.writer",
    "kinds": "_typecheck",
    "media.plan": "media.read_plan",
    "media.sight": "media.video",
    "media.sound": "media.audio",
    "media.stretch": "media.segment",
    "media.transforms.sound": "media.transforms.audio",
    "models.given": "models.feature_model",
    "models.places": "models.fusion_points",
    "modes": "_eval_mode",
    "training.encode": "extraction.encode",
    "training.event_scores": "training.epoch_metrics",
    "training.folder": "training.run_dir",
    "training.inputs": "training.build",
    "training.judge": "training.evaluate",
    "training.model": "training.build",
    "training.objective": "training.build",
    "training.order": "training.batch_sampler",
    "training.record": "training.callbacks.checkpoint",
    "training.review": "training.callbacks.balancer_review",
    "training.run": "training.fit",
    "training.scores": "training.epoch_metrics",
    "training.told": "training.config_errors",
    "training.weights": "extraction.weights",
    "training.yamlfile": "training.config_io",
}
"""Former name -> name, both below ``counterpoint``."""


class _Former(MetaPathFinder, Loader):
    """Finds a module under its former name; it is the same module."""

    _own: ModuleSpec | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for former names; None for all others."""
        package, _, name = fullname.partition(".")
        if package != "counterpoint" or name not in MOVED:
            return None
        return importlib.util.spec_from_loader(fullname, type(self)())

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module under its own name, imported if need be."""
        new = f"counterpoint.{MOVED[spec.name.partition('.')[2]]}"
        _warn(spec.name, new, stacklevel=2)
        module = importlib.import_module(new)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has been run under its own name, and keeps the spec that it has from there."""
        module.__spec__ = self._own


def install() -> None:
    """Let former names be found; once."""
    if not any(isinstance(finder, _Former) for finder in sys.meta_path):
        sys.meta_path.append(_Former())


def former_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package that was a module: name -> module that has it now, or ``module:new_name``."""

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, _, renamed = homes[name].partition(":")
        new, now = f"counterpoint.{home}", renamed or name
        _warn(f"{package}.{name}", f"{new}.{now}", stacklevel=3)
        return getattr(importlib.import_module(new), now)

    return get


def keep_names(package: str, names: Iterable[str]) -> None:
    """Let names of a package stay what they are, also where a module that is called so is imported, as Python sets it.

    Args:
        package: its name.
        names: of functions and classes.
    """
    kept = frozenset(names)

    class Package(ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            if name not in kept or not isinstance(value, ModuleType):
                super().__setattr__(name, value)

    sys.modules[package].__class__ = Package


def former_method(owner: str, old: str, new: str) -> Any:
    """A method under its former name: ``silenced = former_method("Fusion", "silenced", "ablated")``."""

    def call(self: Any, *args: Any, **options: Any) -> Any:
        _warn(f"{owner}.{old}", f"{owner}.{new}", stacklevel=2)
        return getattr(self, new)(*args, **options)

    call.__doc__ = f"Former name of `{new}`."
    return call


def former_keywords(**names: str) -> Callable[[T], T]:
    """Decorator: a function, or a dataclass, whose keywords were renamed takes the former ones too (former="name").

    A dataclass has its former fields as well, as properties.
    """

    def accepting(call: Callable[..., Any], owner: str) -> Callable[..., Any]:
        @functools.wraps(call)
        def with_former(*args: Any, **values: Any) -> Any:
            for old, new in names.items():
                if old in values:
                    _warn(f"{owner}({old}=...)", f"{owner}({new}=...)", stacklevel=2)
                    values[new] = values.pop(old)
            return call(*args, **values)

        return with_former

    def rename(part: Any) -> Any:
        if not isinstance(part, type):
            return accepting(part, part.__name__)
        part.__init__ = accepting(part.__init__, part.__name__)  # type: ignore[misc]
        for old, new in names.items():
            setattr(part, old, property(_former_field(part.__name__, old, new)))
        return part

    return rename


def _former_field(owner: str, old: str, new: str) -> Callable[[Any], Any]:
    def get(self: Any) -> Any:
        _warn(f"{owner}.{old}", f"{owner}.{new}", stacklevel=2)
        return getattr(self, new)

    return get


def former_option(old: str, new: str) -> Callable[[F], F]:
    """Decorator: a function's option is taken under its former name too."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if old in options:
                _warn(f"the option {old!r} of {function.__qualname__}", f"{new!r}", stacklevel=2)
                options[new] = options.pop(old)
            return function(*args, **options)

        return call  # type: ignore[return-value]

    return decorate


def _warn(old: str, new: str, stacklevel: int) -> None:
    warnings.warn(f"{old} is now {new}; the former name goes in {REMOVED_IN}", DeprecationWarning, stacklevel + 1)
