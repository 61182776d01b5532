"""`counterpoint verify`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from counterpoint._lock import locked
from counterpoint.commands.options import Parser, config_of
from counterpoint.commands.output_files import csv_of, json_of, picture, require_own
from counterpoint.commands.runs import allocate_largely, parse_with_own_data
from counterpoint.commands.terminal import table, terminal
from counterpoint.errors import ConfigError
from counterpoint.training.config import DataConfig

if TYPE_CHECKING:
    from counterpoint.metrics import ErrorCurve, OperatingPoint
    from counterpoint.training.load import Run
    from counterpoint.verify.trial_lists import How, ScoredTrials

SCORES, FIGURES, MISSING, PICTURE = "scores.csv", "verification.json", "missing.csv", "det.png"
_OWN = {
    SCORES: csv_of("target", "first", "second"),
    FIGURES: json_of("run", "list", "systems"),
    MISSING: csv_of("utterance", "reason"),
    PICTURE: picture,
}
_BLOCK = 2**16  # trials that are written at once
_ROWS = 8  # missing utterances that are printed; all are in the file


def main(words: list[str]) -> None:
    """Evaluate a trained model on trials: are two utterances, or a voice and a face, of one speaker?"""
    parser = Parser("verify", main.__doc__)
    parser.add_config()
    parser.add_argument("run", type=str, help="a run's folder, or one with config.json and model.safetensors")
    parser.add_argument("--trials", type=str, required=True, help="list of pairs, `1 a b` or `1,a,b` a line")
    parser.add_argument(
        "--by",
        type=Literal["embedding", "logits"],
        default="embedding",
        help="or logits, as MMCosine's released code has it",
    )
    parser.add_argument("--modality", type=str, help="this one alone; default: all together, and each beside")
    parser.add_argument("--crops", type=int, default=1, help="stretches of each utterance that are averaged")
    parser.add_argument("--cohort", type=str, help="normalise scores by so many training speakers; split: by all")
    parser.add_argument("--snorm", type=str, help="so many of the cohort, the most alike, count; all: all of it")
    parser.add_argument("--p_target", type=float, default=0.01, help="of minDCF: how probable one speaker is")
    parser.add_argument("--c_miss", type=float, default=1.0, help="of minDCF: cost of a miss")
    parser.add_argument("--c_fa", type=float, default=1.0, help="of minDCF: cost of a false alarm")
    parser.add_argument("--output", type=str, help="folder of what is written; default: verification in the run's")
    parser.add_class_arguments(DataConfig, "data")
    options, _ = parse_with_own_data(parser, words)
    data = config_of(DataConfig, options, "data")
    allocate_largely()

    from counterpoint.verify.trial_lists import How

    cohort, snorm = (number_or_word(options[name]) for name in ("cohort", "snorm"))
    how = How(options["by"], options["modality"], options["crops"], cohort, snorm)
    costs = {name: options[name] for name in ("p_target", "c_miss", "c_fa")}
    verify_trials(options["run"], options["trials"], data, how, costs, options["output"])


def verify_trials(
    run: str, trials: str, data: DataConfig | None, how: How, costs: Mapping[str, float], output: str | None
) -> None:
    """Score a list by a run, print what comes out, and write scores, figures, what is missing, and the DET picture.

    Args:
        run: folder of a run, or of a model with its ``config.json``.
        trials: see `score_list`.
        data: the dataset that the list is of; None: the run's.
        how: how trials are scored.
        costs: ``p_target``, ``c_miss`` and ``c_fa``.
        output: folder; None: one in the run's that is called after the list.

    Raises:
        CounterpointError: see `score_list`; a folder that cannot be written, or has another's files of these names.
    """
    from counterpoint._atomic import write_csv, write_json
    from counterpoint._progress import ProgressDisplay
    from counterpoint.report.det_curve import save_det
    from counterpoint.training.load import load_run
    from counterpoint.training.run_dir import require_place_for_file
    from counterpoint.verify.trial_lists import score_list

    how.check()
    _check_costs(costs)
    loaded = load_run(run)
    folder = loaded.folder / "verification" / Path(trials).stem if output is None else Path(output)
    with locked(folder):
        require_place_for_file(folder / FIGURES)
        for name, own in _OWN.items() if output is not None else ():
            require_own(folder / name, own)
        with ProgressDisplay() as display:
            found = score_list(loaded, trials, data, how, progress=display.callback("decode"))
        curves = found.curves()
        figures = {system: _figures(curve, costs) for system, curve in curves.items()}
        write_csv(folder / SCORES, _scores(found))
        if found.missing.utterances:
            write_csv(folder / MISSING, _missing(found), ("utterance", "reason"))
        else:
            (folder / MISSING).unlink(missing_ok=True)
        write_json(folder / FIGURES, _to_dict(loaded, found, how, costs, figures))
        save_det(folder / PICTURE, curves, **costs)
    _print(loaded, found, how, costs, figures, folder)


def number_or_word(value: str | None) -> int | str | None:
    """``"20"`` as a number, every other word as it is."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else value


def _check_costs(costs: Mapping[str, float]) -> None:
    for name, value in costs.items():
        if not 0 < value < (1 if name == "p_target" else math.inf):
            high = " and below 1" if name == "p_target" else ""
            raise ConfigError(f"{name} is {value:g}; it must be greater than 0{high}")


def _figures(curve: ErrorCurve, costs: Mapping[str, float]) -> dict[str, Any]:
    equal, cheapest = curve.eer(), curve.min_dcf(**costs)
    return {
        "eer": equal.value,
        "eer_threshold": _finite(equal),
        "min_dcf": cheapest.value,
        "min_dcf_threshold": _finite(cheapest),
        "min_dcf_misses": cheapest.fnr,
        "min_dcf_false_alarms": cheapest.fpr,
        "roc_auc": curve.roc_auc(),
    }


def _finite(point: OperatingPoint) -> float | None:
    """The threshold; None where no trial is accepted, which JSON has no number for."""
    return point.threshold if math.isfinite(point.threshold) else None


def _to_dict(
    run: Run, found: ScoredTrials, how: How, costs: Mapping[str, float], figures: Mapping[str, Any]
) -> dict[str, Any]:
    target = int(found.trials.target.sum())
    return {
        "run": str(run.folder),
        "epoch": run.epoch,
        "list": found.trials.name,
        "by": how.by,
        "crops": how.crops,
        "cohort": found.cohort,
        "snorm": (how.snorm or "all") if found.cohort else None,
        **costs,
        "trials": {"scored": len(found.trials), "targets": target, "nontargets": len(found.trials) - target},
        "utterances": {"listed": found.missing.listed, "missing": len(found.missing.utterances)},
        "left_out": {"trials": found.missing.targets + found.missing.nontargets, "targets": found.missing.targets},
        "systems": figures,
    }


def _scores(found: ScoredTrials) -> Iterator[dict[str, Any]]:
    names, trials = found.trials.utterances, found.trials
    for at in range(0, len(trials), _BLOCK):
        rows = slice(at, at + _BLOCK)
        sides = (trials.target[rows].tolist(), trials.first[rows].tolist(), trials.second[rows].tolist())
        columns = (scores[rows].tolist() for scores in found.scores.values())
        for target, first, second, *scores in zip(*sides, *columns, strict=True):
            row = {"target": int(target), "first": names[first], "second": names[second]}
            yield row | {system: f"{score:.7g}" for system, score in zip(found.scores, scores, strict=True)}


def _missing(found: ScoredTrials) -> list[dict[str, str]]:
    return [{"utterance": name, "reason": found.reasons.get(name, "")} for name in found.missing.utterances]


def _print(
    run: Run,
    found: ScoredTrials,
    how: How,
    costs: Mapping[str, float],
    figures: Mapping[str, Mapping[str, float]],
    folder: Path,
) -> None:
    console = terminal()
    headings = ("EER", f"minDCF at {costs['p_target']:g}", "AUC")
    shown = table("", *headings, title=f"{run.folder.name} on {Path(found.trials.name).name}", right=headings)
    for system, values in figures.items():
        shown.add_row(
            system, f"{100 * values['eer']:.2f} %", f"{values['min_dcf']:.3f}", f"{100 * values['roc_auc']:.2f} %"
        )
    console.print(shown)
    targets = int(found.trials.target.sum())
    scored = f"{len(found.trials):,} trials ({targets:,} of one speaker)"
    ways = [f"by {how.by}"]
    ways += [f"{how.crops} crops of each utterance"] if how.crops > 1 else []
    ways += [f"normalised by {found.cohort} training speakers"] if found.cohort else []
    console.print(f"{scored} of {len(found.trials.utterances):,} utterances, {', '.join(ways)}.", soft_wrap=True)
    if note := found.missing.note():
        console.print(f"Note: {note}", soft_wrap=True)
        for name in found.missing.utterances[:_ROWS]:
            console.print(f"  {name}: {found.reasons.get(name, '')}", soft_wrap=True)
        if len(found.missing.utterances) > _ROWS:
            console.print(f"  and {len(found.missing.utterances) - _ROWS:,} more, in {MISSING}", soft_wrap=True)
    written = [SCORES, FIGURES, PICTURE, *([MISSING] if found.missing.utterances else [])]
    console.print(f"Written: {', '.join(written)} in {folder}", soft_wrap=True)
