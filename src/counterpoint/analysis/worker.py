"""One run of a comparison: train it, take it apart, and leave the findings in its folder."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.analysis.dependence import Dependence
from counterpoint.analysis.results import ModalityScores, RunResult, Scores
from counterpoint.analysis.score import score
from counterpoint.training import folder as files
from counterpoint.training.config import TASK_METRICS, TrainConfig, to_dict

if TYPE_CHECKING:
    import torch

    from counterpoint.analysis.extract import Extraction
    from counterpoint.analysis.probe import ProbeResult
    from counterpoint.analysis.traces import Trace
    from counterpoint.training.run import Run

ANALYSIS, TRACE = "analysis.json", "trace.npz"


@dataclass(frozen=True)
class RunTask:
    """What a worker is to do.

    Attributes:
        name: of the method, or of the modality that is trained alone.
        kind: ``"search"``, ``"method"`` or ``"alone"``.
        folder: of the run.
        config: of the run.
        probe: fit linear probes, and measure how much the modalities depend on each other.
        fold: of the data; None where they have one split.
    """

    name: str
    kind: str
    folder: Path
    config: TrainConfig
    probe: bool = False
    fold: int | None = None

    @property
    def seed(self) -> int:
        """Of the run."""
        return self.config.seed

    @property
    def label(self) -> str:
        """For progress and messages."""
        place = self.folder.name.replace("trial", "trial ") if self.kind == "search" else f"seed {self.seed}"
        fold = "" if self.fold is None else f" fold {self.fold}"
        return f"{self.name}{' alone' if self.kind == 'alone' else ''} {place}{fold}"


def run_task(task: RunTask) -> RunResult | dict[str, float]:
    """Train, or take up again, and give a search trial's validation scores or a run's findings."""
    from counterpoint.training.run import fit

    began = time.perf_counter()
    run = fit(task.config, task.folder, resume=True, test=task.kind != "search", progress=False)
    if task.kind == "search":
        return _val(task.config, run.result)
    return analyse(run, probe=task.probe, began=began)


def analyse(run: Run, *, probe: bool, began: float | None = None) -> RunResult:
    """Take a finished run apart on its test split; writes ``trace.npz`` and then ``analysis.json`` into its folder.

    Args:
        run: finished.
        probe: fit a linear probe per modality on the training split's features, and see how much those of each pair of
            modalities depend on each other.
        began: when the run started, by `time.perf_counter`; None: now.
    """
    from counterpoint.analysis.traces import save_trace
    from counterpoint.training.precision import pick_device

    began = time.perf_counter() if began is None else began
    device = pick_device(run.config.accelerator)
    made, probes, dependence = _trace(run, device, probe)
    test = score(made.logits, made.target, made.video)
    result = RunResult(
        folder=str(run.folder),
        seed=run.config.seed,
        epoch=run.epoch,
        val={metric: float(run.result["val"][metric]) for metric in test},
        test=test,
        modalities={
            m: ModalityScores(
                decoupled=score(made.decoupled[m], made.target) if m in made.decoupled else None,
                silenced=score(silenced, made.target),
                probe=probes.get(m),
            )
            for m, silenced in made.silenced.items()
        },
        set_aside=dict(run.data.clips.set_aside),
        seconds=round(time.perf_counter() - began, 2),
        dependence=dependence,
        **_training_clips(run.result),
    )
    save_trace(made, run.folder / TRACE)
    files.write_json(run.folder / ANALYSIS, {"config": to_dict(run.config), "result": asdict(result)})
    return result


def _trace(run: Run, device: torch.device, probe: bool) -> tuple[Trace, dict[str, Scores], dict[str, Dependence]]:
    """What is kept of the test split, what linear probes reach there, and how much the modalities depend on each other.

    Of localisers' segments there are no probes.
    """
    from counterpoint.analysis.dependence import modality_dependence
    from counterpoint.analysis.extract import extract, trace
    from counterpoint.analysis.extract_events import trace_events

    if run.config.task == "localise":
        return trace_events(run, "test", device), {}, {}
    test = extract(run, "test", device)
    if not probe:
        return trace(run, test), {}, {}
    splits = {"train": extract(run, "train", device), "val": extract(run, "val", device), "test": test}
    probes = _probes(splits, len(run.classes))
    made = trace(run, test, {m: found.logits for m, found in probes.items()})
    scores = {m: {"accuracy": found.accuracy, "mAP": found.mAP} for m, found in probes.items()}
    enough = all(len(part.ids) > 1 for part in splits.values())
    return made, scores, modality_dependence(splits) if enough else {}


def finished(task: RunTask) -> RunResult | dict[str, float] | None:
    """What `run_task` gave for a run that is finished already; None where it is not, or was another one.

    A run from before dependence was measured stays without: what else was found of it is as true as ever.
    """
    if task.kind == "search":
        result = files.read_result(task.folder)
        same = result is not None and files.read_config(task.folder) == task.config
        return _val(task.config, result) if result is not None and same else None
    path = task.folder / ANALYSIS
    if not path.is_file() or not (task.folder / TRACE).is_file():
        return None
    written = json.loads(path.read_text(encoding="utf-8"))
    if written["config"] != json.loads(json.dumps(to_dict(task.config))):
        return None
    result = files.read_result(task.folder)
    if result is None:
        return None
    found = _read({**_training_clips(result), **written["result"]})
    probed = task.probe and task.config.task == "classify"
    if probed and any(scores.probe is None for scores in found.modalities.values()):
        return None
    return found


def _val(config: TrainConfig, result: dict[str, Any]) -> dict[str, float]:
    return {metric: float(result["val"][metric]) for metric in TASK_METRICS[config.task]}


def _training_clips(result: dict[str, Any]) -> dict[str, int]:
    """How many a run was trained on, and how many its balancer held out, by its ``result.json``."""
    held_out = result.get("held_out", 0)
    return {"trained_on": result["clips"]["train"] - held_out, "held_out": held_out}


def _read(values: dict[str, Any]) -> RunResult:
    modalities = {name: ModalityScores(**by) for name, by in values["modalities"].items()}
    dependence = {pair: Dependence(**by) for pair, by in values.get("dependence", {}).items()}
    return RunResult(**{**values, "modalities": modalities, "dependence": dependence})


def _probes(splits: Mapping[str, Extraction], classes: int) -> dict[str, ProbeResult]:
    from counterpoint.analysis.probe import linear_probe

    targets = {split: made.target.numpy() for split, made in splits.items()}
    probes = {}
    for modality in splits["test"].features:
        features = {split: made.features[modality].numpy() for split, made in splits.items()}
        probes[modality] = linear_probe(features, targets, classes)
    return probes
