"""One run, from its configuration to its folder: resolve, build, decode, train, evaluate, write."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from counterpoint import _atomic, guests
from counterpoint._lock import locked
from counterpoint._moved import former_names
from counterpoint._progress import ProgressDisplay
from counterpoint.data import SPLITS
from counterpoint.data.splits.draw import used_note
from counterpoint.errors import DivergedError, RunError
from counterpoint.models.pretrained import save_pretrained
from counterpoint.training import run_dir as files
from counterpoint.training.budget import as_begun, budget_note, planned
from counterpoint.training.build import Parts, build
from counterpoint.training.calibrate import calibrate
from counterpoint.training.callbacks.checkpoint import ROWS, read_checkpoint, read_progress, restore_rows
from counterpoint.training.config import TrainConfig
from counterpoint.training.datamodule import ClipData
from counterpoint.training.engine import train_epochs
from counterpoint.training.evaluate import evaluate_split
from counterpoint.training.few_steps import few_steps, gap
from counterpoint.training.load import Run, load_run
from counterpoint.training.module import CounterpointModule
from counterpoint.training.place import remove_run, require_place
from counterpoint.training.precision import pick_device
from counterpoint.training.resolve import admit_guests, resolve
from counterpoint.training.resolved import Resolved
from counterpoint.training.scaling import fit_scalers


def fit(
    config: TrainConfig | Resolved,
    folder: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    test: bool = True,
    progress: bool = True,
) -> Run:
    """Train one composition and evaluate it once on test, at the epoch that validation data chose.

    Args:
        config: what to train; one that is resolved already is not checked again.
        folder: the run's; made here.
        resume: go on after the last finished epoch of an interrupted run, to the very result that the uninterrupted
            run would have had; a run not begun is begun, a finished one is loaded (and evaluated on test, where that
            was left out), or goes on where `config` has more epochs than it had. What is damaged is made anew from the
            checkpoints.
        overwrite: remove a run that is there already, as soon as nothing is left that could be wrong with the new one;
            its own files alone.
        test: False leaves the test split alone, for the trials of a search.
        progress: show bars on standard error; where that is no terminal, a line per epoch.

    Returns:
        The run with its best weights.

    Raises:
        RunError: the folder holds a run already (or, with `resume`, one of another configuration; with `overwrite`,
            something that is no run); another process is at work in it; a file cannot be written.
        DivergedError: the loss, a gradient or a weight is not finite any more; ``result.json`` says since when, and the
            checkpoints are those of the last finite epoch.
        CounterpointError: whatever is wrong with names, options or data.
        KeyboardInterrupt: on Ctrl-C and SIGTERM; finished epochs are kept.
    """
    folder = Path(folder)
    admit_guests(config.config if isinstance(config, Resolved) else config)
    with locked(folder) if files.is_main_process() else contextlib.nullcontext():
        return _fit(config, folder, resume=resume, overwrite=overwrite, test=test, progress=progress)


def _fit(
    config: TrainConfig | Resolved, folder: Path, *, resume: bool, overwrite: bool, test: bool, progress: bool
) -> Run:
    began, main = time.perf_counter(), files.is_main_process()
    asked = config.config if isinstance(config, Resolved) else config
    if main:
        require_place(folder, asked, resume=resume, overwrite=overwrite)
    if resume and (folder / files.CONFIG).is_file():
        asked = as_begun(asked, files.read_config(folder))
        if main and asked.epochs is not None and files.is_finished(folder, asked.epochs):
            return _finished(folder, test)
    with ProgressDisplay(progress and main) as display:
        run = config if isinstance(config, Resolved) else resolve(asked, display.callback("list"))
        state = read_progress(folder) if resume else None
        if state is None and resume and (folder / files.WEIGHTS).exists():
            raise RunError(
                f"{folder} was finished, but is damaged, and has no checkpoint that would make it whole again"
            )
        torch.manual_seed(run.config.seed)
        parts = build(run)
        data = _decode(run, parts, display)
        fit_scalers(parts.model, data)
        module = _module(run, parts, data, state)
        extended = _extended(run.config, state)
        if main:
            if overwrite:
                remove_run(folder)
            _begin(folder, run, data, module, state)
            display.log = folder / files.LOG
        clips = len(data.clips.clips("train")) - len(data.held_out)
        few, fitted = few_steps(run.config, clips), budget_note(asked, run.config, clips)
        for note in (fitted, few, *(parts.balancer.notes if parts.balancer else ())):
            if note is not None:
                display.say(f"Note: {note}")
        try:
            train_epochs(run.config, folder, module, data, state, extended, display)
        except DivergedError as error:
            display.record(str(error))
            if main:
                _write_diverged(folder, run, error)
            kept = ". The last finite epoch is kept" if (folder / files.LAST).is_file() else ""
            raise DivergedError(f"{folder}: {error}{kept}", error.found) from None
    best = read_checkpoint(folder / files.BEST)
    module.model.load_state_dict(best["state_dict"])
    calibrate(module, data, run.device)
    epoch = best["finished_epochs"] - 1
    scores = {split: evaluate_split(module, data, split, run.device) for split in ("val", *(["test"] if test else []))}
    module.eval()
    if main:
        listed = data.clips.table
        notes = [
            *listed.notes,
            *used_note(listed.clips, data.clips.skipped),
            *([few, *_gap(folder, run, epoch)] if few is not None else []),
        ]
        notes += _of_schedule(run.config, extended)
        _write(folder, run, data, module, {"epoch": epoch, **scores}, notes, time.perf_counter() - began)
    return Run(folder, run.config, module, run.classes, run.spec, epoch, data)


def _extended(config: TrainConfig, state: Mapping[str, Any] | None) -> list[int]:
    """After which epochs the run had come to the end of its plan, and was given more."""
    if state is None:
        return []
    epochs, _ = planned(config)
    before = state.get("epochs", epochs)
    return [*state.get("extended", ()), *([before] if before < epochs else [])]


def _of_schedule(config: TrainConfig, extended: Sequence[int]) -> list[str]:
    """What a learning rate that depends on the number of epochs makes of a run that was made longer."""
    if not extended or config.optim.schedule == "constant" or config.optim.schedule_options.get("milestones"):
        return []
    epochs = " and ".join(map(str, extended))
    return [
        f"the run was planned for {epochs} epochs and made longer; from there its learning rate (optim.schedule "
        f"{config.optim.schedule}) is that of {config.epochs} epochs, so that a run planned for them would differ"
    ]


def _finished(folder: Path, test: bool) -> Run:
    """A finished run, evaluated on test now if that was left out and is asked for."""
    run = load_run(folder)
    if test and "test" not in run.result:
        scores = evaluate_split(run.module, run.data, "test", pick_device(run.config.accelerator))
        _atomic.write_json(folder / files.RESULT, {**run.result, "test": scores}, checked=True)
    return run


def _decode(run: Resolved, parts: Parts, display: ProgressDisplay) -> ClipData:
    """The clips, without those that the balancer wants held out."""
    data = run.decode(display.callback("decode"))
    if parts.balancer is not None and parts.balancer.holdout:
        data.hold_out(parts.balancer.holdout)
    return data


def _module(run: Resolved, parts: Parts, data: ClipData, state: dict[str, Any] | None) -> CounterpointModule:
    epochs, _ = planned(run.config)
    return CounterpointModule(
        parts.model,
        parts.transforms,
        balancer=parts.balancer,
        loss=parts.loss,
        task=parts.task,
        optim=run.config.optim,
        mixup=run.config.regularise.mixup,
        total_steps=epochs * len(data.loader("train", train=True)),
        epochs=epochs,
        precision=run.precision if state is None else state["precision"],
        seed=run.config.seed,
    )


def _begin(
    folder: Path, run: Resolved, data: ClipData, module: CounterpointModule, state: Mapping[str, Any] | None
) -> None:
    """Write what stands before the first step, and the rows of the epochs that are finished."""
    files.write_config(folder, run.config)
    device = torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else str(run.device)
    machine = files.environment(precision=module.precision, device=device, threads=torch.get_num_threads())
    _atomic.write_json(folder / files.ENVIRONMENT, machine, checked=True)
    rows = [{"clip": clip, "reason": reason} for clip, reason in data.clips.skipped.items()]
    _atomic.write_csv(folder / files.SKIPPED, rows, ("clip", "reason"), checked=True)
    (folder / files.FORMER_SKIPPED).unlink(missing_ok=True)
    for name in ROWS:
        restore_rows(folder / name, state)


def _gap(folder: Path, run: Resolved, epoch: int) -> list[str]:
    """How far training is ahead of validation in the chosen epoch, where that is far."""
    row = next(row for row in _atomic.read_csv(folder / files.METRICS) if int(row["epoch"]) == epoch)
    metric = run.config.metric
    told = gap(run.config, *(float(row[f"{split}_{metric}"]) for split in ("train", "val")))
    return [] if told is None else [told]


def _write_diverged(folder: Path, run: Resolved, error: DivergedError) -> None:
    found = {"status": files.DIVERGED, "epochs": run.config.epochs, **error.found}
    _atomic.write_json(folder / files.RESULT, found, checked=True)


def _write(
    folder: Path,
    run: Resolved,
    data: ClipData,
    module: CounterpointModule,
    found: dict[str, Any],
    notes: list[str],
    seconds: float,
) -> None:
    """Write the trained model and what it came to; `found` has the epoch and its scores."""
    media = dataclasses.asdict(run.spec)
    extra = {"inputs": run.inputs, "classes": list(run.classes), "media": media, "precision": module.precision}
    if run.config.imports:
        extra[guests.IMPORTS] = run.config.imports
    for name in ROWS:  # from now on they do not change
        _atomic.write_text(folder / name, (folder / name).read_text(encoding="utf-8"), checked=True)
    save_pretrained(module.model.cpu(), folder, extra, checked=True)
    result = {
        "status": "finished",
        "epoch": found.pop("epoch"),
        "epochs": run.config.epochs,
        "metric": run.config.metric,
        **found,
        "data": data.clips.table.name,
        "clips": {split: len(data.clips.clips(split)) for split in SPLITS},
        "skipped": len(data.clips.skipped),
        "alterations": [dataclasses.asdict(row) for row in data.clips.alterations],
        **({"held_out": len(data.held_out)} if data.held_out else {}),
        "notes": notes,
        "parameters": sum(p.numel() for p in module.model.parameters()),
        "precision": module.precision,
        "seconds": round(seconds, 2),
    }
    _atomic.write_json(folder / files.RESULT, result, checked=True)


__getattr__ = former_names(__name__, {"evaluate": "training.evaluate"})
