"""What the verbs share that train a model, or take a trained one up again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterpoint import guests
from counterpoint._checksums import require_whole
from counterpoint.commands.options import Parser
from counterpoint.errors import ConfigError, quoted
from counterpoint.registry import did_you_mean
from counterpoint.training.config import DataConfig
from counterpoint.training.config_io import read_yaml, to_dict

RUN, COMPARISON = "config.yaml", "compare.yaml"
"""The files that tell that a folder holds one."""


def parse_with_own_data(parser: Parser, words: list[str]) -> tuple[dict[str, Any], DataConfig | None]:
    """The options of a verb for a trained run, whose own data come before those of the words; and that data.

    Raises:
        ConfigError: words that do not fit, or nothing says on which data.
        RunError: the run's configuration cannot be read.
    """
    options = parser.parse(words)
    best = run_at(options["run"])
    folder, own = Path(best), None
    if (folder / RUN).is_file():
        from counterpoint.training.run_dir import read_config

        own = read_config(folder).data
        with_own = parser.parse(["--config", json.dumps({"data": to_dict(own)}), *words])
        if with_own["data"]["name"] == own.name:  # options of one dataset mean nothing to another
            options = with_own
    elif (folder / "model.safetensors").is_file() and not any(name.startswith("data.") for name in parser.given):
        raise ConfigError(f"{folder} has a model but no {RUN} to say on which data; give --data.name")
    return {**options, "run": best}, own


def folder_of(options: Mapping[str, Any], default: str) -> Path:
    """Where a run or comparison is: its name, in the folder of all runs.

    Raises:
        ConfigError: the name is empty, or leads out of the folder of all runs; or that is a file.
    """
    if options["name"] == "":
        raise ConfigError(f"--name is empty; give a name, or leave it out for {default!r}")
    return place_in(options["runs"], options["name"] or default)


def place_in(runs: str, name: str) -> Path:
    """The folder of that name in the folder of all runs.

    Raises:
        ConfigError: it leads out of there, as it stands or by a symbolic link; or the folder of all runs is a file.
    """
    folder = runs_folder(runs)
    try:
        inside = folder.resolve() in (folder / name).resolve().parents
    except (ValueError, OSError, RuntimeError):  # a null byte, too long a name, links in a circle
        inside = False
    if not inside:
        raise ConfigError(
            f"the name {quoted(name)} leads out of {folder}, the folder of all runs; choose another, or another --runs"
        )
    return folder / name


def runs_folder(runs: str) -> Path:
    """The folder of all runs, which may not exist yet.

    Raises:
        ConfigError: it is a file.
    """
    if Path(runs).is_file():
        raise ConfigError(f"--runs is {quoted(runs)}, which is a file; name a folder")
    return Path(runs)


def config_to_resume(folder: Path, file: str) -> Path | None:
    """The configuration that a folder was begun with, a file of that name; None where nothing is begun, which is said.

    Raises:
        DamagedFileError: it is damaged.
        UntrustedCodeError: it names code that the user has not named.
        ConfigError: it cannot be read.
    """
    path = folder / file
    if not path.is_file():
        known = [p.parent.name for p in folder.parent.glob(f"*/{file}")]
        hint = did_you_mean(folder.name, known)
        print(f"There is nothing to resume at {folder}: it begins now.{hint}", file=sys.stderr)
        return None
    require_whole(path)
    guests.require_trust(path, read_yaml(path))
    return path


def former_words(path: Path) -> list[str]:
    """The options that a run or comparison of 0.1 had without naming them, where the defaults are others now.

    Args:
        path: the configuration that it was begun with.
    """
    from counterpoint.training.run_dir import with_former_defaults

    values, prefix = read_yaml(path), ""
    if path.name == COMPARISON:
        values, prefix = values.get("base"), "base."
    meant = with_former_defaults(values)
    changed = {} if meant is values else {k: v for k, v in meant["data"].items() if v != values["data"].get(k)}
    return [f"--{prefix}data.{name}={json.dumps(value)}" for name, value in changed.items()]


def run_at(name: str) -> str:
    """The folder of a run: the one named, or of a comparison the one that is best on validation data, which is said.

    Raises:
        RunError: none of the comparison's runs is finished; the message names them.
    """
    folder = Path(name)
    if not (folder / COMPARISON).is_file() or (folder / RUN).is_file():
        return name
    from counterpoint.training.best_run import best_run

    best, said = best_run(folder)
    print(f"{folder} is a comparison; taken is its best run on validation data, {best} ({said})", file=sys.stderr)
    return str(best)


def allocate_largely() -> None:
    """The allocator setting that makes large CPU tensors cheap, unless ``COUNTERPOINT_ALLOCATOR=system``."""
    if os.environ.get("COUNTERPOINT_ALLOCATOR") != "system":
        from counterpoint.allocator import use_large_allocations

        os.environ["COUNTERPOINT_ALLOCATOR"] = "large" if use_large_allocations() else "system"
