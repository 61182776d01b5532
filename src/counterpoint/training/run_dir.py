"""The run folder: what is written where, and how it is read back."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from counterpoint import _atomic, guests
from counterpoint._cpu import cores
from counterpoint._moved import former_names
from counterpoint._version import __version__
from counterpoint.errors import ConfigError, RunError
from counterpoint.registry import nearest
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import flatten, from_dict, read_yaml, to_dict, write_yaml

CONFIG = "config.yaml"
COMPARISON = "compare.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.csv"
STEPS = "steps.csv"
LOG = "train.log"
SKIPPED = "skipped.csv"
LAST = "last.ckpt"
BEST = "best.ckpt"
RESULT = "result.json"
WEIGHTS = "model.safetensors"
MODEL = "config.json"

DIVERGED = "diverged"
"""The ``status`` in ``result.json`` of a run that came to no end; else it is ``"finished"``."""

_KINDS = {CONFIG: "run", COMPARISON: "comparison"}

FREE_TO_CHANGE = ("data.workers", "data.cache", "data.root", "accelerator", "imports")
"""Options that say where and how, not what: a resumed run may have others."""

# Of datasets whose defaults are others since 0.2.
_FORMER_DATA: dict[str, dict[str, Any]] = {
    "features": {"standardise": False},
    "folder": {"media": {"seconds": 3.0, "gray": True}},
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


def keep_epochs_before(path: Path, epoch: int) -> None:
    """Drop rows of epochs that a resumed run goes through again."""
    rows = _atomic.read_csv(path)
    kept = [row for row in rows if int(row["epoch"]) < epoch]
    if len(kept) < len(rows):
        _atomic.write_csv(path, kept, rows[0])


def write_config(folder: Path, config: TrainConfig) -> None:
    """The whole configuration, defaults included, as YAML."""
    write_yaml(folder / CONFIG, to_dict(_as_read(config)))


def read_config(folder: Path) -> TrainConfig:
    """The configuration of a run.

    Raises:
        RunError: the folder holds no run.
        UntrustedCodeError: it names code that the user has not named, see `guests.require_trust`.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is not a run: it has no {CONFIG}")
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


def _as_read(config: TrainConfig) -> TrainConfig:
    """What `read_config` makes of `config`: YAML knows no tuples."""
    return from_dict(TrainConfig, json.loads(json.dumps(to_dict(config))))


def is_main_process() -> bool:
    """Whether this is the only process of a run, or the one of several that writes and prints."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def require_place(folder: Path, config: TrainConfig, *, resume: bool, overwrite: bool) -> None:
    """Nothing is overwritten unasked: a new run needs a folder without one, a resumed run its own.

    Raises:
        RunError: says what is there, or which options differ.
        ConfigError: `resume` and `overwrite` are both asked for.
    """
    require_one_intent(resume, overwrite)
    if overwrite:
        return require_removable(folder)
    require_no_other(folder, "run", COMPARISON)
    if not (folder / CONFIG).exists():
        return None
    if resume:
        return require_same_config(folder, config)
    if (folder / RESULT).is_file():
        raise RunError(f"{folder} holds a finished run. Give the new one another name, or replace it by --overwrite")
    if (folder / LAST).exists():
        raise RunError(f"{folder} holds an unfinished run. Continue it with --resume, or give the new one another name")
    return None


def require_one_intent(resume: bool, overwrite: bool) -> None:
    """Refuse to go on with what is to be removed.

    Raises:
        ConfigError: both are asked for.
    """
    if resume and overwrite:
        raise ConfigError("resume goes on with what is there and overwrite removes it; give one of the two")


def require_no_other(folder: Path, what: str, marker: str) -> None:
    """Refuse a place that is taken by a file, or by the folder of something else.

    Args:
        folder: the place.
        what: is to go there, for the message.
        marker: the file that a folder of the other kind has, `CONFIG` or `COMPARISON`.

    Raises:
        RunError: says what is there.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; give the {what} another name")
    if (folder / marker).exists():
        raise RunError(f"{folder} holds a {_KINDS[marker]} (it has a {marker}); give the {what} another name")


def require_removable(folder: Path, marker: str = CONFIG) -> None:
    """Let a folder be removed only if it is a run's, or of whatever else `marker` tells, or is not there.

    Raises:
        RunError: there is something else.
    """
    if folder.exists() and not (folder / marker).is_file():
        raise RunError(f"{folder} holds something else (it has no {marker}) and is not removed; choose another name")


def remove_run(folder: Path, marker: str = CONFIG) -> None:
    """Remove the folder of a run, or of whatever else `marker` tells; where there is none, do nothing.

    Raises:
        RunError: there is something else; it is left alone.
    """
    require_removable(folder, marker)
    if folder.exists():
        shutil.rmtree(folder)


def read_result(folder: Path) -> dict[str, Any] | None:
    """What the run came to; None while it is not finished, and of one that diverged.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); remove it and go on with --resume") from error
    if result.get("status") == DIVERGED:
        return None
    return {_FORMER_KEYS.get(name, name): value for name, value in result.items()}


def require_same_config(folder: Path, config: TrainConfig) -> None:
    """Refuse to go on with a run under another configuration.

    Raises:
        RunError: names every option that differs, with both values.
    """
    before, now = flatten(read_config(folder)), flatten(_as_read(config))
    changed = [key for key in now if now[key] != before[key] and key not in FREE_TO_CHANGE]
    if changed:
        pairs = ", ".join(f"{key} (was {before[key]!r}, now {now[key]!r})" for key in changed)
        raise RunError(
            f"{folder} was started with another configuration: {pairs}. Resume it with the same options, or give the "
            "changed run another name"
        )


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
    __name__, dict.fromkeys(("append_csv", "read_csv", "write_csv", "write_json", "write_text"), "_atomic")
)
