"""A finished run taken apart on its test split; the findings are left in its folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from counterpoint import _atomic
from counterpoint.analysis.dependence import Dependence
from counterpoint.analysis.metrics import score
from counterpoint.analysis.results import ModalityScores, RunResult, Scores
from counterpoint.training.config_io import to_dict

if TYPE_CHECKING:
    import torch

    from counterpoint.analysis.extract import Extraction
    from counterpoint.analysis.probe import ProbeResult
    from counterpoint.analysis.traces import Trace
    from counterpoint.training.load import Run

ANALYSIS, TRACE = "analysis.json", "trace.npz"


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
    named = (run.config.metric,)
    test = score(made.logits, made.target, made.video, named=named)
    result = RunResult(
        folder=str(run.folder),
        seed=run.config.seed,
        epoch=run.epoch,
        val={metric: float(run.result["val"][metric]) for metric in test if metric in run.result["val"]},
        test=test,
        modalities={
            m: ModalityScores(
                decoupled=score(made.decoupled[m], made.target, named=named) if m in made.decoupled else None,
                ablated=score(ablated, made.target, named=named),
                probe=probes.get(m),
            )
            for m, ablated in made.ablated.items()
        },
        skipped=dict(run.data.clips.skipped),
        seconds=round(time.perf_counter() - began, 2),
        dependence=dependence,
        **training_clips(run.result),
    )
    save_trace(made, run.folder / TRACE)
    _atomic.write_json(run.folder / ANALYSIS, {"config": to_dict(run.config), "result": asdict(result)}, checked=True)
    return result


def _trace(run: Run, device: torch.device, probe: bool) -> tuple[Trace, dict[str, Scores], dict[str, Dependence]]:
    """What is kept of the test split, what linear probes reach there, and how much the modalities depend on each other.

    Of localisers' segments there are no probes.
    """
    from counterpoint.analysis.dependence import modality_dependence
    from counterpoint.analysis.extract import extract, trace
    from counterpoint.analysis.extract_localiser import trace_events

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


def training_clips(result: dict[str, Any]) -> dict[str, int]:
    """How many a run was trained on, and how many its balancer held out, by its ``result.json``."""
    held_out = result.get("held_out", 0)
    return {"trained_on": result["clips"]["train"] - held_out, "held_out": held_out}


def _probes(splits: Mapping[str, Extraction], classes: int) -> dict[str, ProbeResult]:
    from counterpoint.analysis.probe import linear_probe

    targets = {split: made.target.numpy() for split, made in splits.items()}
    probes = {}
    for modality in splits["test"].features:
        features = {split: made.features[modality].numpy() for split, made in splits.items()}
        probes[modality] = linear_probe(features, targets, classes)
    return probes
