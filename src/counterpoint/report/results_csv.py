"""The figures of a comparison as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterpoint import _atomic
from counterpoint.analysis.results import Comparison, MethodResult, ModalityScores, RunResult, SeedResult
from counterpoint.analysis.statistics import Estimate
from counterpoint.report.tables import ABILITIES, everything, pairs_of


def write_csv(comparison: Comparison, folder: Path) -> None:
    """``results.csv`` (a row per method) and ``results_per_seed.csv`` (a row per method and seed); shares from 0 to 1.

    With folds the figures are of their pooled clips, and ``results_per_fold.csv`` has those of each fold.
    """
    results = everything(comparison)
    methods = [_method_row(name, r, comparison) for name, r in results.items()]
    runs = [_run_row(name, run, comparison) for name, r in results.items() for run in r.runs]
    tables = {"results.csv": methods, "results_per_seed.csv": runs}
    if comparison.folds:
        seeds = [_seed_row(name, seed, comparison) for name, r in results.items() for seed in r.seeds]
        tables |= {"results_per_seed.csv": seeds, "results_per_fold.csv": runs}
    for name, rows in tables.items():
        _atomic.write_csv(folder / name, rows, None if rows else ["method"])


def _method_row(name: str, result: MethodResult, comparison: Comparison) -> dict[str, Any]:
    row: dict[str, Any] = {"method": name, "seeds": len(result.seeds)}
    estimates = dict(result.scores)
    if result.fold_accuracy is not None:
        estimates["fold_accuracy"] = result.fold_accuracy
    for modality in comparison.modalities:
        for key in ABILITIES:
            estimates[f"{modality}_{key}"] = result.modalities.get(modality, {}).get(key, Estimate(None, None))
    for pair in pairs_of(comparison):
        estimates[_column_of(pair)] = result.dependence.get(pair, Estimate(None, None))
    for key, estimate in estimates.items():
        row |= {key: estimate.mean, f"{key}_half_width": estimate.half_width}
    d = result.difference
    row |= {"difference": d and d.mean, "difference_low": d and d.low, "difference_high": d and d.high}
    row |= {"p": d and d.p, "p_holm": d and d.p_holm, "verdict": d and d.verdict}
    row |= {"difference_low_holm": d and d.low_holm, "difference_high_holm": d and d.high_holm}
    return row


def _run_row(name: str, run: RunResult, comparison: Comparison) -> dict[str, Any]:
    row: dict[str, Any] = {"method": name, "seed": run.seed}
    if run.fold is not None:
        row["fold"] = run.fold
    row |= {"trained_on": run.trained_on, "held_out": run.held_out}
    row |= {"epoch": run.epoch, **{f"val_{metric}": run.val.get(metric) for metric in run.test}}
    dependence = {pair: found.value for pair, found in run.dependence.items()}
    return {**row, **_test_cells(run, comparison), **_dependence_cells(dependence, comparison), "folder": run.folder}


def _seed_row(name: str, seed: SeedResult, comparison: Comparison) -> dict[str, Any]:
    row = {"method": name, "seed": seed.seed, "fold_accuracy": seed.fold_accuracy}
    return {**row, **_test_cells(seed, comparison), **_dependence_cells(seed.dependence, comparison)}


def _dependence_cells(found: Mapping[str, float], comparison: Comparison) -> dict[str, float | None]:
    return {_column_of(pair): found.get(pair) for pair in pairs_of(comparison)}


def _column_of(pair: str) -> str:
    return f"{pair.replace(' ', '_')}_dependence"


def _test_cells(result: RunResult | SeedResult, comparison: Comparison) -> dict[str, float | None]:
    cells: dict[str, float | None] = dict(result.test)
    for modality in comparison.modalities:
        scores: ModalityScores | None = result.modalities.get(modality)
        for key in ABILITIES:
            found = (getattr(scores, key) if scores else None) or {}
            cells |= {f"{modality}_{key}_{metric}": found.get(metric) for metric in _of_modalities(comparison)}
    return cells


def _of_modalities(comparison: Comparison) -> list[str]:
    """What one modality of a model is evaluated by: a localiser's does not say what a whole clip holds."""
    return [name for name, metric in comparison.metrics.items() if metric.unimodal]
