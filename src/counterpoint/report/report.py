"""``report.html``: one self-contained page about a comparison, or about a single run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from counterpoint import _atomic
from counterpoint.analysis.analyse_run import TRACE
from counterpoint.analysis.metrics import METRICS, Metric, score
from counterpoint.analysis.results import Comparison, MethodResult
from counterpoint.analysis.traces import Trace, load_trace
from counterpoint.data import SPLITS
from counterpoint.report import figures, html
from counterpoint.report.history import History, read_history
from counterpoint.report.tables import (
    Column,
    Table,
    dependence_table,
    folds_table,
    methods_table,
    modalities_table,
    percent,
    summary,
    training_clips,
)
from counterpoint.report.timelines import timelines
from counterpoint.training import run_dir as files
from counterpoint.training.config_io import flatten

if TYPE_CHECKING:
    from counterpoint.training.fit import Run

REPORT = "report.html"
_MOST_LISTED = 200  # clips set aside; the run folder lists them all


def write_report(comparison: Comparison) -> Path:
    """Write ``report.html`` into the comparison's folder, from its results and what its runs left behind.

    Returns:
        The page.
    """
    histories: dict[str, list[History]] = {}
    traces: dict[str, list[Trace]] = {}
    for name, method in comparison.methods.items():
        histories[name] = [read_history(comparison.folder / run.folder) for run in method.runs]
        traces[name] = [load_trace(comparison.folder / run.folder / TRACE) for run in method.runs]
    protocol = comparison.protocol
    body = [
        html.heading(f"Comparison on {comparison.dataset}", 1),
        html.paragraph(
            f"{_count(len(comparison.methods), 'method')}, {_count(len(protocol['config']['seeds']), 'seed')}, "
            f"{_count(len(comparison.folds), 'fold') + ', ' if comparison.folds else ''}"
            f"{_count(protocol['clips']['test'], 'test clip')}, {_count(len(comparison.classes), 'class', 'classes')}. "
            "Epochs and settings were chosen on validation data; test data were used once per run.",
            "soft",
        ),
        html.paragraph(" ".join(summary(comparison)), "lead"),
        *_warnings(protocol["shared_groups"]),
    ]
    if comparison.methods:
        body += [
            html.heading("Which method helps?"),
            html.result_table(methods_table(comparison)),
            *([html.result_table(folds_table(comparison))] if comparison.folds else []),
            html.heading("What can each modality do alone?"),
            html.result_table(modalities_table(comparison)),
            figures.abilities(comparison),
            *_dependence(comparison),
            *_figures(
                histories,
                traces,
                comparison.modalities,
                comparison.classes,
                METRICS[comparison.task]["accuracy"],
            ),
        ]
    body += [
        html.heading("Methods"),
        _methods(comparison),
        *_search(comparison),
        html.heading("Protocol"),
        _protocol(comparison),
        *_skipped(protocol["skipped"]),
        *_failures(comparison),
        *_reproduce(protocol["environment"], flatten_options(protocol["config"])),
    ]
    path = comparison.folder / REPORT
    _atomic.write_text(path, html.page(f"Counterpoint: {comparison.dataset}", body))
    return path


def write_run_report(run: Run) -> Path:
    """Write ``report.html`` into the folder of a finished training run: a smaller form of the comparison's page.

    Returns:
        The page.
    """
    from counterpoint.analysis.analyse_run import analyse

    found = analyse(run, probe=False)
    trace = load_trace(run.folder / TRACE)
    name = run.folder.name
    table = run.data.clips.table
    modalities = tuple(found.modalities)
    metrics = METRICS[run.config.task]
    judged = {"joint": found.test}
    if len(modalities) > 1:
        for modality, scores in found.modalities.items():
            judged |= {f"{modality}, {kind}": s for kind in ("decoupled", "ablated") if (s := getattr(scores, kind))}
    if trace.target.ndim == 2:
        judged["always background"] = score(np.eye(len(run.classes) + 1)[np.full_like(trace.target, -1)], trace.target)
    rows = [(name, *(percent(scores.get(metric)) for metric in metrics)) for name, scores in judged.items()]
    columns = (
        Column("Logits", "Joint; a modality's own share of them (decoupled); or with all others ablated (ablated)."),
        *(Column(metric.heading, f"{metric.meaning}.") for metric in metrics.values()),
    )
    body = [
        html.heading(f"Run {name} on {table.name}", 1),
        html.paragraph(
            f"{_composition(flatten(run.config))}; seed {run.config.seed}; epoch {found.epoch + 1} of "
            f"{run.config.epochs}, chosen on validation data.",
            "soft",
        ),
        html.paragraph(
            f"Test: {', '.join(f'{m.heading} {percent(found.test[key])} %' for key, m in metrics.items())}, on "
            f"{_count(len(trace.ids), 'clip')} of {_count(len(run.classes), 'class', 'classes')}. One run says "
            "nothing of how much another seed would change; counterpoint compare does.",
            "lead",
        ),
        *_warnings(len(table.shared_groups())),
        html.heading("Test results"),
        html.result_table(Table(f"Test results on {table.name}", columns, tuple(rows))),
        *_each_class(trace, run.classes),
        *_figures({name: [read_history(run.folder)]}, {name: [trace]}, modalities, run.classes, metrics["accuracy"]),
        html.heading("Data"),
        html.definitions(
            {
                **_data(table.name, {s: len(run.data.clips.clips(s)) for s in SPLITS}),
                **({"Trained on": f"{found.trained_on}, {found.held_out} held out"} if found.held_out else {}),
            }
        ),
        html.bullets(table.notes),
        *_skipped(run.data.clips.skipped),
        *_reproduce(_environment(run.folder), {k: str(v) for k, v in flatten(run.config).items()}),
    ]
    path = run.folder / REPORT
    _atomic.write_text(path, html.page(f"Counterpoint: {name} on {table.name}", body))
    return path


def _each_class(trace: Trace, classes: Sequence[str]) -> list[str]:
    """Of a localiser, how well it knows the segments of each class."""
    if trace.target.ndim < 2:
        return []
    import torch

    from counterpoint.metrics import per_class_accuracy

    found, target = torch.from_numpy(trace.found), torch.from_numpy(trace.target)
    shares = per_class_accuracy(found, target, len(classes)).tolist()
    counts = target.flatten().bincount(minlength=len(classes) + 1).tolist()
    rows = [
        (name, str(count), percent(None if np.isnan(share) else share))
        for name, count, share in zip((*classes, "background"), counts, shares, strict=True)
    ]
    table = html.text_table("Segments of each class that were found", ("Class", "Segments", "Found, %"), rows)
    return [html.folded("Each class", table)]


def flatten_options(options: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested options as dotted names and text."""
    flat: dict[str, str] = {}
    for key, value in options.items():
        if isinstance(value, Mapping) and value and key not in ("options", "search_space", "inputs", "media"):
            flat |= flatten_options(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return flat


def _dependence(comparison: Comparison) -> list[str]:
    table = dependence_table(comparison)
    if table is None:
        return []
    return [html.heading("What do the modalities have in common?"), html.result_table(table)]


def _figures(
    histories: Mapping[str, Sequence[History]],
    traces: Mapping[str, Sequence[Trace]],
    modalities: Sequence[str],
    classes: Sequence[str],
    metric: Metric,
) -> list[str]:
    drawn = [
        timelines(traces, classes),
        figures.accuracy_over_epochs(histories, modalities, metric.heading.lower()),
        figures.balance_over_steps(histories, modalities),
        figures.class_norms(traces, modalities, classes),
        figures.angle_distributions(traces, modalities),
        figures.zeta_distributions(traces, modalities),
    ]
    return [block for block in drawn if block]


def _methods(comparison: Comparison) -> str:
    rows = []
    for name, method in (*comparison.methods.items(), *((f"{m} alone", r) for m, r in comparison.alone.items())):
        chosen = ", ".join(f"{key} = {value}" for key, value in method.setting.items()) or "the recipe as it stands"
        seconds = sum(run.seconds for run in method.runs)
        seeds = ", ".join(str(s.seed) for s in method.seeds)
        rows.append((name, method.title, chosen, training_clips(method), seeds, f"{seconds:.0f} s"))
    headings = ("Method", "What it is", "Setting", "Clips trained on", "Seeds finished", "Time, all seeds")
    return html.text_table("What was run", headings, rows)


def _search(comparison: Comparison) -> list[str]:
    config = comparison.protocol["config"]
    if not config["search_trials"]:
        return []
    everything: dict[str, MethodResult] = {
        **comparison.methods,
        **{f"{m} alone": r for m, r in comparison.alone.items()},
    }
    rows = [
        (
            name,
            ", ".join(f"{key} = {value}" for key, value in trial.setting.items()),
            "failed" if trial.score is None else percent(trial.score),
            "chosen" if trial.setting == method.setting else "",
        )
        for name, method in everything.items()
        for trial in method.trials
    ]
    metric = config["search_metric"]
    table = html.text_table(
        f"Settings tried, with validation {metric} in percent", ("Method", "Setting", f"val {metric}", ""), rows
    )
    return [html.folded(f"The search: all {len(rows)} trials", table)]


def _protocol(comparison: Comparison) -> str:
    protocol, config = comparison.protocol, comparison.protocol["config"]
    base = config["base"]
    trials = config["search_trials"]
    search = (
        f"{trials} settings for every method and every modality alone, drawn from seed {config['search_seed']}, the "
        f"first being the recipe as it stands; trained with seed {config['seeds'][0]} and chosen by validation "
        f"{config['search_metric']}. Common space: {json.dumps(config['search_space'])}; recipes may add their own."
        if trials
        else "None: every method ran with its recipe as it stands."
    )
    if trials and protocol["searched_on_test_clips"]:
        search += (
            f" It ran on fold {comparison.folds[0]}; {protocol['searched_on_test_clips']} of its validation clips are "
            "test clips of other folds, so figures under the chosen settings may be a little too good."
        )
    items = {
        **_data(protocol["dataset"], protocol["clips"]),
        **_folds(comparison),
        **_held_out({name: training_clips(m) for name, m in comparison.methods.items() if m.runs[0].held_out}),
        "Seeds": ", ".join(map(str, config["seeds"])),
        "Encoders": base["model"]["name"],
        "Training": f"{base['epochs']} epochs of {base['optim']['name']}, lr {base['optim']['lr']:g} unless searched, "
        f"{base['optim']['schedule']} schedule, batches of {base['data']['batch_size']}",
        "Epoch": f"the one with the best validation {base['metric']} of each run",
        "Search": search,
        "Test": "Paired sign-flip permutation test over test clips on correctness averaged over seeds (9999 "
        "resamplings, exact for few clips), Holm's correction over methods; 95 % percentile bootstrap over clips and "
        "seeds for the difference; Student's t over seeds for means.",
        "Time": f"{protocol['seconds']:.0f} s for the last call of compare",
    }
    return html.definitions(items) + html.bullets(protocol["notes"])


def _folds(comparison: Comparison) -> dict[str, str]:
    if not comparison.folds:
        return {}
    counts = "; ".join(
        f"fold {part['fold']}: " + ", ".join(f"{part[split]} {split}" for split in SPLITS)
        for part in comparison.protocol["folds"]
    )
    return {
        "Folds": f"{len(comparison.folds)}, each trained with every seed. {counts}. Each test clip is judged once per "
        "seed, by the model of the fold that tests it; figures, intervals and tests are over these clips together. A "
        "seed counts once all its folds are finished."
    }


def _held_out(methods: Mapping[str, str]) -> dict[str, str]:
    if not methods:
        return {}
    each = "; ".join(f"{name}: trained on {clips}" for name, clips in methods.items())
    return {
        "Held out": f"{each}. What is held out, drawn by the run's seed and stratified by class, is never trained on: "
        "the method weighs its losses by it. All other methods train on all training clips."
    }


def _data(name: str, clips: Mapping[str, int]) -> dict[str, str]:
    return {"Dataset": name, "Clips": ", ".join(f"{count} {split}" for split, count in clips.items())}


def _warnings(shared_groups: int) -> list[str]:
    if not shared_groups:
        return []
    return [
        html.paragraph(
            f"{_count(shared_groups, 'speaker or source', 'speakers or sources')} stand both in test and in training "
            "or validation: these results do not tell how well new ones would be recognised.",
            "warn",
        )
    ]


def _skipped(clips: Mapping[str, str]) -> list[str]:
    if not clips:
        return [html.paragraph("No clip was set aside.", "soft")]
    rows = list(clips.items())[:_MOST_LISTED]
    more = f" The first {_MOST_LISTED} are listed." if len(clips) > _MOST_LISTED else ""
    table = html.text_table("Clips that could not be read", ("Clip", "Reason"), rows)
    return [html.folded(f"{_count(len(clips), 'clip')} set aside as unreadable.{more}", table)]


def _failures(comparison: Comparison) -> list[str]:
    if not comparison.failures:
        return []
    rows = [(f.run, f.error, f"{f.folder}/error.txt") for f in comparison.failures]
    return [
        html.heading("Runs that failed"),
        html.text_table("Their figures are missing above", ("Run", "Error", "Traceback"), rows),
    ]


def _reproduce(environment: Mapping[str, Any], options: Mapping[str, str]) -> list[str]:
    command = environment.get("command", [])
    line = shlex.join([Path(command[0]).name, *command[1:]]) if command else ""
    packages = environment.get("packages", {})
    about = {key: str(value) for key, value in environment.items() if key not in ("command", "packages")}
    about["packages"] = ", ".join(f"{name} {version}" for name, version in packages.items())
    return [
        html.heading("How to repeat it"),
        html.code(line),
        html.folded("Environment", html.definitions(about)),
        html.folded("Every option", html.definitions(options)),
    ]


def _environment(folder: Path) -> dict[str, Any]:
    path = folder / files.ENVIRONMENT
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _composition(flat: Mapping[str, Any]) -> str:
    if flat["task"] == "localise":
        supervised = f"{flat['localise.supervision']} supervised"
        return ", ".join(part for part in (flat["localise.name"], supervised, flat["balance.name"]) if part)
    parts = [flat["fusion.name"], flat["fusion.attention"], f"{flat['head.name']} head", flat["balance.name"]]
    return ", ".join(part for part in parts if part)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
