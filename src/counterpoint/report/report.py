"""``report.html``: one self-contained page about a comparison, or about a single run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from counterpoint import _atomic
from counterpoint._checksums import require_whole
from counterpoint._limits import read_json
from counterpoint.analysis.analyse_run import TRACE
from counterpoint.analysis.metrics import score
from counterpoint.analysis.results import Comparison
from counterpoint.analysis.traces import Trace, load_trace
from counterpoint.data import SPLITS
from counterpoint.data.alterations import Alteration
from counterpoint.report import figures
from counterpoint.report.doctor import examine_run
from counterpoint.report.history import History, read_history
from counterpoint.report.html import write_page
from counterpoint.report.plotting import Figure
from counterpoint.report.table import NONE, Column, Table, percent
from counterpoint.report.tables import (
    alterations_table,
    dependence_table,
    drawn_at_random,
    everything,
    folds_table,
    methods_table,
    modalities_table,
    summary,
    training_clips,
)
from counterpoint.report.timelines import timelines
from counterpoint.training import run_dir as files
from counterpoint.training.config_io import flatten
from counterpoint.training.metrics import Metric

if TYPE_CHECKING:
    from counterpoint.training.load import Run

REPORT = "report.html"
_MOST_LISTED = 200  # skipped clips; the run folder lists them all

Section = tuple[str, Sequence[Table], Sequence[Figure]]
"""A heading, or none, and what is below it."""


def write_report(comparison: Comparison) -> Path:
    """Write ``report.html`` into the comparison's folder, from its results and what its runs left behind.

    Returns:
        The page.
    """
    protocol, failures = comparison.protocol, comparison.failures
    return write_page(
        comparison.folder / REPORT,
        "comparison.html.jinja",
        comparison=comparison,
        summary=summary(comparison),
        random=drawn_at_random(comparison),
        results=_results(comparison) if comparison.methods else [],
        methods=_methods(comparison),
        search=_search(comparison),
        held_out={name: training_clips(m) for name, m in comparison.methods.items() if m.runs[0].held_out},
        altered=alterations_table(Alteration(**row) for row in protocol.get("alterations", ())),
        skipped=_skipped(protocol["skipped"]),
        failures=Table.of_words(
            "Their figures are missing above",
            "Run|Error|Traceback",
            [(f.run, f.error, f"{f.folder}/error.txt") for f in failures],
        ),
        repeat=_repeat(protocol["environment"], flatten_options(protocol["config"])),
    )


def _results(comparison: Comparison) -> Iterable[Section]:
    yield (
        "Which method helps?",
        [methods_table(comparison), *([folds_table(comparison)] if comparison.folds else [])],
        [],
    )
    yield "What can each modality do alone?", [modalities_table(comparison)], [figures.abilities(comparison)]
    if (dependence := dependence_table(comparison)) is not None:
        yield "What do the modalities have in common?", [dependence], []
    folders = {name: [comparison.folder / run.folder for run in m.runs] for name, m in comparison.methods.items()}
    metric = comparison.metrics["accuracy"]
    yield "", [], _figures(folders, comparison.modalities, comparison.classes, metric)


def write_run_report(run: Run) -> Path:
    """Write ``report.html`` into the folder of a finished training run: a smaller form of the comparison's page.

    Returns:
        The page.
    """
    from counterpoint.analysis.analyse_run import analyse

    found = analyse(run, probe=False)
    trace = load_trace(run.folder / TRACE)
    name, clips, metrics = run.folder.name, run.data.clips, run.module.task.metrics
    evaluated = {"joint": found.test}
    if len(found.modalities) > 1:
        for modality, scores in found.modalities.items():
            each = {"decoupled": scores.decoupled, "ablated": scores.ablated}
            evaluated |= {f"{modality}, {key}": value for key, value in each.items() if value}
    if trace.target.ndim == 2:
        background = np.eye(len(run.classes) + 1)[np.full_like(trace.target, -1)]
        evaluated["always background"] = score(background, trace.target)
    columns = (
        Column("Logits", "Joint; a modality's own share of them (decoupled); or with all others ablated (ablated)."),
        *(Column(metric.heading, f"{metric.meaning}.") for metric in metrics.values()),
    )
    rows = [
        (label, *(_cell(metric, values.get(key)) for key, metric in metrics.items()))
        for label, values in evaluated.items()
    ]
    return write_page(
        run.folder / REPORT,
        "run.html.jinja",
        name=name,
        dataset=clips.table,
        composition=_composition(flatten(run.config)),
        config=run.config,
        epoch=found.epoch + 1,
        scores={metric.heading: metric.text(found.test[key]) for key, metric in metrics.items()},
        tested=len(trace.ids),
        classes=run.classes,
        findings=examine_run(name, read_history(run.folder), found.epoch, run.config),
        results=Table(f"Test results on {clips.table.name}", columns, tuple(rows)),
        each_class=_each_class(trace, run.classes),
        figures=_figures({name: [run.folder]}, tuple(found.modalities), run.classes, metrics["accuracy"]),
        sizes={split: len(clips.clips(split)) for split in SPLITS},
        trained_on=found.trained_on,
        held_out=found.held_out,
        altered=alterations_table(clips.alterations),
        skipped=_skipped(clips.skipped),
        skipped_count=len(clips.skipped),
        repeat=_repeat(_environment(run.folder), {key: str(value) for key, value in flatten(run.config).items()}),
    )


def _cell(metric: Metric, value: float | None) -> str:
    return NONE if value is None else metric.text(value).removesuffix(" %")


def _each_class(trace: Trace, classes: Sequence[str]) -> Table | None:
    """Of a localiser, how well it knows the segments of each class."""
    if trace.target.ndim < 2:
        return None
    import torch

    from counterpoint.metrics import per_class_accuracy

    found, target = torch.from_numpy(trace.found), torch.from_numpy(trace.target)
    shares = per_class_accuracy(found, target, len(classes)).tolist()
    counts = target.flatten().bincount(minlength=len(classes) + 1).tolist()
    rows = [
        (name, str(count), percent(None if np.isnan(share) else share))
        for name, count, share in zip((*classes, "background"), counts, shares, strict=True)
    ]
    return Table.of_words("Segments of each class that were found", "Class|Segments|Found, %", rows)


def flatten_options(options: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested options as dotted names and text."""
    flat: dict[str, str] = {}
    for key, value in options.items():
        if isinstance(value, Mapping) and value and key not in ("options", "search_space", "inputs", "media"):
            flat |= flatten_options(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _atomic.to_json(value, indent=None) if not isinstance(value, str) else value
    return flat


def _figures(
    runs: Mapping[str, Sequence[Path]], modalities: Sequence[str], classes: Sequence[str], metric: Metric
) -> list[Figure]:
    """What methods' runs wrote down, drawn; `runs` are folders."""
    histories: dict[str, list[History]] = {name: list(map(read_history, each)) for name, each in runs.items()}
    traces: dict[str, list[Trace]] = {name: [load_trace(run / TRACE) for run in each] for name, each in runs.items()}
    drawn = (
        timelines(traces, classes),
        figures.accuracy_over_epochs(histories, modalities, metric.heading.lower()),
        figures.logits_over_epochs(histories, modalities),
        figures.balance_over_steps(histories, modalities),
        figures.class_norms(traces, modalities, classes),
        figures.angle_distributions(traces, modalities),
        figures.zeta_distributions(traces, modalities),
    )
    return [figure for figure in drawn if figure.panels]


def _setting(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in setting.items())


def _methods(comparison: Comparison) -> Table:
    rows = []
    for name, method in everything(comparison).items():
        chosen = _setting(method.setting) or "the recipe as it stands"
        seconds = sum(run.seconds for run in method.runs)
        seeds = ", ".join(str(s.seed) for s in method.seeds)
        rows.append((name, method.title, chosen, training_clips(method), seeds, f"{seconds:.0f} s"))
    headings = "Method|What it is|Setting|Clips trained on|Seeds finished|Time, all seeds"
    return Table.of_words("What was run", headings, rows)


def _search(comparison: Comparison) -> Table | None:
    config = comparison.protocol["config"]
    if not config["search_trials"]:
        return None
    rows = [
        (
            name,
            _setting(trial.setting),
            "diverged" if trial.diverged else "failed" if trial.score is None else percent(trial.score),
            "chosen" if trial.setting == method.setting else "",
        )
        for name, method in everything(comparison).items()
        for trial in method.trials
    ]
    metric = config["search_metric"]
    title = f"Settings tried, with validation {metric} in percent"
    return Table.of_words(title, f"Method|Setting|val {metric}|", rows)


def _skipped(clips: Mapping[str, str]) -> Table:
    return Table.of_words("Clips that were skipped", "Clip|Reason", list(clips.items())[:_MOST_LISTED])


def _repeat(environment: Mapping[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    """The command, and what it ran with."""
    command = environment.get("command", [])
    about = {key: str(value) for key, value in environment.items() if key not in ("command", "packages")}
    about["packages"] = ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items())
    line = shlex.join([Path(command[0]).name, *command[1:]]) if command else ""
    return {"command": line, "environment": about, "options": options}


def _environment(folder: Path) -> dict[str, Any]:
    path = folder / files.ENVIRONMENT
    require_whole(path)
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    return found


def _composition(flat: Mapping[str, Any]) -> str:
    parts = [flat["fusion.name"], flat["fusion.attention"], f"{flat['head.name']} head", flat["balance.name"]]
    if flat["task"] == "localise":
        parts = [flat["localise.name"], f"{flat['localise.supervision']} supervised", flat["balance.name"]]
    return ", ".join(part for part in parts if part)
