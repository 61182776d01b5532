"""Where a run or a comparison may go, and what may be removed there: its own files, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from counterpoint._checksums import CHECKSUMS, is_known
from counterpoint.errors import ConfigError, RunError
from counterpoint.training import run_dir as files
from counterpoint.training.budget import as_begun
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import flatten, read_yaml
from counterpoint.training.run_dir import COMPARISON, CONFIG, LAST, RESULT

FREE_TO_CHANGE = ("data.workers", "data.cache", "data.root", "accelerator", "imports")
"""Options that say where and how, not what: a resumed run may have others."""

_WHAT = {CONFIG: "run", COMPARISON: "comparison"}
_ANY = (CHECKSUMS, "report.html")
OWN = {
    CONFIG: (
        *(files.ENVIRONMENT, files.METRICS, files.STEPS, files.SKIPPED, LAST, files.BEST, RESULT, files.WEIGHTS),
        *(
            files.MODEL,
            "analysis.json",
            "trace.npz",
            "verification.json",
            files.LOG,
            "log.txt",
            "error.txt",
            *_ANY,
            CONFIG,
        ),
    ),
    COMPARISON: (
        *("results.json", "results.csv", "results_per_seed.csv", "results_per_fold.csv"),
        *("reproduction.csv", "reproduction.md", "compare.log", *_ANY, COMPARISON),
    ),
}
"""By the file that tells what a folder holds: all files that are written into it, that one last."""

_BELOW = ("predictions", "verification")  # folders that `predict` and `verify` write into a run's
_TRIALS = ("*/search/trial*", "alone/*/search/trial*")
_BESIDE_RUNS = (
    *("*/search.json", "alone/*/search.json"),
    *(f"{baseline}/seed*/{fold}trace.npz" for baseline in ("ensemble", "classical") for fold in ("", "fold*/")),
)
"""Files of a comparison below its folder that are in no run's."""
_RUNS = ("*/seed*", "*/seed*/fold*", "alone/*/seed*", "alone/*/seed*/fold*")


def require_place(folder: Path, config: TrainConfig, *, resume: bool, overwrite: bool) -> None:
    """Nothing is overwritten unasked: a new run needs a folder of its own, a resumed run its own.

    Raises:
        RunError: says what is there, or which options differ.
        ConfigError: `resume` and `overwrite` are both asked for.
    """
    require_one_intent(resume, overwrite)
    if overwrite:
        return require_removable(folder)
    require_no_other(folder, CONFIG)
    if not (folder / CONFIG).exists():
        return None
    if resume:
        return require_same_config(folder, config)
    if (folder / RESULT).is_file():
        kind = "diverged" if files.read_result(folder) is None else "finished"
        raise RunError(f"{folder} holds a {kind} run. Give the new one another name, or replace it by --overwrite")
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


def require_no_other(folder: Path, marker: str) -> None:
    """Refuse a place that is taken by a file, or by the folder of something else.

    Args:
        folder: the place.
        marker: the file that tells what is to go there, `CONFIG` or `COMPARISON`.

    Raises:
        RunError: says what is there.
    """
    what = _WHAT[marker]
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; give the {what} another name")
    for other in _WHAT:
        if other != marker and (folder / other).exists():
            raise RunError(f"{folder} holds a {_WHAT[other]} (it has a {other}); give the {what} another name")
    strange = next(_strange(folder, marker), None)
    if strange is not None and not is_own(folder, marker):
        raise RunError(f"{folder} holds something else, e.g. {strange}, and is no {what}; give the {what} another name")


def _strange(folder: Path, marker: str) -> Iterator[str]:
    """What is in a folder beside the files that are written there before the one that tells what it is."""
    if folder.is_dir():
        known = {"log.txt", "error.txt", CHECKSUMS, f"{CHECKSUMS}.part", f"{marker}.part", *_BELOW}
        yield from (path.name for path in sorted(folder.iterdir()) if path.name not in known and path.name[0] != ".")


def is_own(folder: Path, marker: str = CONFIG) -> bool:
    """Whether a folder is a run's, or a comparison's: other programs have a ``config.yaml``, too."""
    path = folder / marker
    if not path.is_file() or is_known(path):
        return path.is_file()
    try:
        values = read_yaml(path)
    except (ConfigError, OSError):
        return False
    known = {field.name for field in fields(TrainConfig)} if marker == CONFIG else {"base", "methods"}
    if not isinstance(values, dict) or not values:
        return False
    return set(values) <= known if marker == CONFIG else bool(known & set(values))


def require_removable(folder: Path, marker: str = CONFIG) -> None:
    """Let a folder be removed only if it is a run's, or of whatever else `marker` tells, or is not there.

    Raises:
        RunError: there is something else.
    """
    if folder.exists() and not is_own(folder, marker) and (not folder.is_dir() or any(_strange(folder, marker))):
        why = f"its {marker} is of no {_WHAT[marker]}" if (folder / marker).exists() else f"it has no {marker}"
        raise RunError(f"{folder} holds something else ({why}) and is not removed; choose another name")


def remove_run(folder: Path, marker: str = CONFIG) -> None:
    """Remove the files of a run, or of whatever else `marker` tells, and the folders that are empty then.

    Raises:
        RunError: there is something else; it is left alone.
    """
    require_removable(folder, marker)
    if marker == COMPARISON:
        for run in runs_in(folder, trials=True):
            _remove(run, OWN[CONFIG])
            _prune(run.parent, folder)
        for path in (path for pattern in _BESIDE_RUNS for path in folder.glob(pattern)):
            _remove(path.parent, (path.name, CHECKSUMS))
            _prune(path.parent.parent, folder)
    _remove(folder, OWN[marker])


def runs_in(folder: Path, *, trials: bool = False) -> list[Path]:
    """The folders of a comparison's runs; `trials`: and of those of its search. No link leads out of it."""
    inside = folder.resolve()
    found = sorted(path for pattern in (*_RUNS, *(_TRIALS if trials else ())) for path in folder.glob(pattern))
    return [path for path in found if path.resolve().is_relative_to(inside) and is_own(path)]


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        for path in (folder / f"{name}.part", folder / name):
            if path.is_symlink() or path.is_file():  # of a link, the link
                path.unlink()
    _prune(folder, folder.parent)


def _prune(folder: Path, top: Path) -> None:
    """Remove a folder and those above it, below `top`, as far as they are empty."""
    with contextlib.suppress(OSError):
        while folder != top:
            folder.rmdir()
            folder = folder.parent


def require_same_config(folder: Path, config: TrainConfig) -> None:
    """Refuse to go on with a run under another configuration; there may be more epochs than before.

    Raises:
        RunError: names every option that differs, with both values.
    """
    begun = files.read_config(folder)
    before, now = flatten(begun), flatten(files.as_read(as_begun(config, begun)))
    changed = [key for key in now if now[key] != before[key] and key not in FREE_TO_CHANGE]
    if (now["epochs"] or 0) > (before["epochs"] or 0):
        changed.remove("epochs")
    if changed:
        raise RunError(f"{folder} was started with another configuration: {differences(changed, before, now)}")


def differences(changed: Iterable[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """For a message: the options that may not differ, with both values, and what may."""
    pairs = ", ".join(f"{key} (was {before[key]!r}, now {now[key]!r})" for key in changed)
    return (
        f"{pairs}. Resume it with the same options, or give the changed one another name. Epochs may become more, and "
        f"{', '.join(FREE_TO_CHANGE)} may differ"
    )
