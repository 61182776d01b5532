"""The run folder: what is written where, and how it is read back."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from counterpoint import guests
from counterpoint._checksums import is_whole, require_whole
from counterpoint._cpu import cores
from counterpoint._limits import read_json
from counterpoint._moved import former_names
from counterpoint._version import __version__
from counterpoint.errors import ConfigError, DamagedFileError, RunError
from counterpoint.registry import nearest
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict, read_yaml, to_dict, write_yaml

CONFIG = "config.yaml"
COMPARISON = "compare.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.csv"
STEPS = "steps.csv"
LOG = "train.log"
SKIPPED = "skipped.csv"
FORMER_SKIPPED = "set_aside.csv"  # before 0.2
LAST = "last.ckpt"
BEST = "best.ckpt"
RESULT = "result.json"
WEIGHTS = "model.safetensors"
MODEL = "config.json"

DIVERGED = "diverged"
"""The ``status`` in ``result.json`` of a run that came to no end; else it is ``"finished"``."""

# Of datasets whose defaults are others since 0.2.
_FORMER_DATA: dict[str, dict[str, Any]] = {
    "features": {"standardise": False},
    "folder": {"media": {"seconds": 3.0, "gray": True, "frames": None}},
}
_FORMER_KEYS = {"set_aside": "skipped"}  # of result.json, before 0.2

_PACKAGES = ("torch", "numpy", "lightning", "av", "safetensors", "jsonargparse", "scikit-learn")


def require_place_for_file(path: Path) -> None:
    """Refuse a file that could not be written once the work is done; its folder is made.

    Raises:
        ConfigError: it is a folder, or its folder cannot be made or written into.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}; name another file") from error


def write_config(folder: Path, config: TrainConfig) -> None:
    """The whole configuration, defaults included, as YAML."""
    write_yaml(folder / CONFIG, to_dict(as_read(config)), checked=True)


def read_config(folder: Path) -> TrainConfig:
    """The configuration of a run.

    Raises:
        RunError: the folder holds no run, or the file is damaged.
        UntrustedCodeError: it names code that the user has not named, see `guests.require_trust`.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is not a run: it has no {CONFIG}")
    require_whole(path)
    values = read_yaml(path)
    guests.require_trust(path, values)
    return from_dict(TrainConfig, with_former_defaults(values))


def with_former_defaults(values: Any) -> Any:
    """What a run's configuration meant when it was written: the defaults of 0.1 where 0.2 has others.

    Args:
        values: of ``config.yaml``, which has every option of its version.
    """
    data = values.get("data") if isinstance(values, dict) else None
    if not isinstance(data, dict) or "standardise" in data or data.get("name") not in _FORMER_DATA:
        return values
    own, former = data.get("media") or {}, _FORMER_DATA[data["name"]]
    return {**values, "data": {**data, **former, "media": {**former.get("media", {}), **own}}}


def runs_near(folder: Path) -> str:
    """For a message: the run that was probably meant, else those that there are beside a folder or in ``runs``."""
    there = sorted({str(path.parent) for place in (folder.parent, Path("runs")) for path in place.glob(f"*/{CONFIG}")})
    known = f" Runs: {', '.join(there[:10])}." if there else " None was found beside it or in the folder runs."
    return nearest(str(folder), there) or known


def as_read(config: TrainConfig) -> TrainConfig:
    """What `read_config` makes of `config`: YAML knows no tuples."""
    return from_dict(TrainConfig, json.loads(json.dumps(to_dict(config))))


def is_main_process() -> bool:
    """Whether this is the only process of a run, or the one of several that writes and prints."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def read_result(folder: Path) -> dict[str, Any] | None:
    """What the run came to; None while it is not finished, and of one that diverged.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / RESULT
    if not path.is_file():
        return None
    require_whole(path)
    try:
        result: dict[str, Any] = read_json(path)
        result |= {split: nan_for_null(result[split]) for split in ("val", "test") if split in result}
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{path} is damaged ({error}); train --resume writes it anew") from error
    if result.get("status") == DIVERGED:
        return None
    return {_FORMER_KEYS.get(name, name): value for name, value in result.items()}


def nan_for_null(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as they were before they became JSON, which knows no NaN."""
    return {name: math.nan if value is None else value for name, value in scores.items()}


def is_finished(folder: Path, epochs: int) -> bool:
    """Whether a run has come to the end of so many epochs, and all that it came to is whole."""
    if not is_whole(folder / RESULT):
        return False
    try:
        result = read_result(folder)
    except DamagedFileError:
        return False
    done = result is not None and result["epochs"] >= epochs
    return done and all(is_whole(folder / name) for name in (WEIGHTS, MODEL, METRICS, STEPS, ENVIRONMENT, SKIPPED))


def environment(**more: Any) -> dict[str, Any]:
    """Versions, code, machine and command, for whoever wants to repeat the run."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "counterpoint": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": cores(),
        "packages": versions,
        "command": sys.argv,
        "allocator": os.environ.get("COUNTERPOINT_ALLOCATOR", "system"),
        **more,
    }


def _commit() -> str | None:
    """The commit of the code in use, marked where the files differ from it; None outside a repository."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _cpu() -> str:
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


__getattr__ = former_names(
    __name__,
    dict.fromkeys(("append_csv", "read_csv", "write_csv", "write_json", "write_text"), "_atomic")
    | dict.fromkeys(
        (
            "remove_run",
            "require_no_other",
            "require_one_intent",
            "require_place",
            "require_removable",
            "require_same_config",
            "FREE_TO_CHANGE",
        ),
        "training.place",
    ),
)
