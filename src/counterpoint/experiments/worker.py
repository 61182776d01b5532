"""One run of a comparison: train it, take it apart, and leave the findings in its folder."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint._checksums import is_whole
from counterpoint._limits import read_json
from counterpoint._lock import locked
from counterpoint.analysis.analyse_run import ANALYSIS, TRACE, analyse, training_clips
from counterpoint.analysis.dependence import Dependence
from counterpoint.analysis.results import ModalityScores, RunResult
from counterpoint.experiments.folds import Fold, with_fold
from counterpoint.training import run_dir as files
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import to_dict
from counterpoint.training.metrics import metrics_of

if TYPE_CHECKING:
    from counterpoint.training.resolved import Resolved

_PATIENCE = 60.0  # seconds; the worker of a comparison that was killed needs a few to end


@dataclass(frozen=True)
class RunTask:
    """What a worker is to do.

    Attributes:
        name: of the method, or of the modality that is trained alone.
        kind: ``"search"``, ``"method"`` or ``"alone"``.
        folder: of the run.
        of: what is run, resolved and checked, on the first fold and whatever seed.
        seed: of the run.
        fold: of the data; None where they have one split.
        probe: fit linear probes, and measure how much the modalities depend on each other.
    """

    name: str
    kind: str
    folder: Path
    of: Resolved
    seed: int
    fold: Fold = None
    probe: bool = False

    @property
    def run(self) -> Resolved:
        """With its seed and fold."""
        return replace(self.of, config=replace(with_fold(self.of.config, self.fold), seed=self.seed))

    @property
    def config(self) -> TrainConfig:
        """Of the run."""
        return self.run.config

    @property
    def label(self) -> str:
        """For progress and messages."""
        place = self.folder.name.replace("trial", "trial ") if self.kind == "search" else f"seed {self.seed}"
        fold = "" if self.fold is None else f" fold {self.fold}"
        return f"{self.name}{' alone' if self.kind == 'alone' else ''} {place}{fold}"


def run_task(task: RunTask) -> RunResult | dict[str, float]:
    """Train, or take up again, and give a search trial's validation scores or a run's findings."""
    from counterpoint.training.fit import fit

    began = time.perf_counter()
    with locked(task.folder, patience=_PATIENCE):
        run = fit(task.run, task.folder, resume=True, test=task.kind != "search", progress=False)
        if task.kind == "search":
            return _val(task.config, run.result)
        return analyse(run, probe=task.probe, began=began)


def finished(task: RunTask) -> RunResult | dict[str, float] | None:
    """What `run_task` gave for a run that is finished already; None where it is not, or was another one.

    A run from before dependence was measured stays without: what else was found of it is as true as ever. One whose
    findings have the names of an earlier version, or lack a metric that is known since, is analysed again.
    """
    needed = (files.RESULT,) if task.kind == "search" else (files.RESULT, ANALYSIS, TRACE)
    if not all(is_whole(task.folder / name) for name in needed):
        return None
    result = files.read_result(task.folder)
    if result is None:
        return None
    if task.kind == "search":
        return _val(task.config, result) if files.read_config(task.folder) == task.config else None
    written = read_json(task.folder / ANALYSIS)
    if written["config"] != json.loads(json.dumps(to_dict(task.config))):
        return None
    try:
        found = _read({**training_clips(result), **written["result"]})
    except TypeError:
        return None
    known = metrics_of(task.config.task, task.config.metric)
    if any(row.unimodal and metric not in found.test for metric, row in known.items()):
        return None
    probed = task.probe and task.config.task == "classify"
    if probed and any(scores.probe is None for scores in found.modalities.values()):
        return None
    return found


def _val(config: TrainConfig, result: dict[str, Any]) -> dict[str, float]:
    known = metrics_of(config.task, config.metric)
    return {metric: float(value) for metric, value in result["val"].items() if metric in known}


def _read(values: dict[str, Any]) -> RunResult:
    def scores(of: dict[str, Any]) -> dict[str, Any]:
        return {name: files.nan_for_null(value) if isinstance(value, dict) else value for name, value in of.items()}

    modalities = {name: ModalityScores(**scores(by)) for name, by in values["modalities"].items()}
    dependence = {pair: Dependence(**files.nan_for_null(by)) for pair, by in values.get("dependence", {}).items()}
    whole = {name: files.nan_for_null(values[name]) for name in ("val", "test")}
    return RunResult(**{**values, **whole, "modalities": modalities, "dependence": dependence})
