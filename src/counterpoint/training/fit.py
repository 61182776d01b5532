"""Train, take up again, load and judge runs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from counterpoint import _atomic, guests
from counterpoint._progress import ProgressDisplay
from counterpoint.data import SPLITS
from counterpoint.errors import ConfigError, DataError, RunError
from counterpoint.media.spec import MediaSpec
from counterpoint.models import LocalisationModel, Model
from counterpoint.registry import did_you_mean
from counterpoint.training import run_dir as files
from counterpoint.training.build import admit_guests, build_for, check_names, load_parts
from counterpoint.training.callbacks.checkpoint import read_checkpoint
from counterpoint.training.config import DataConfig, TrainConfig
from counterpoint.training.datamodule import ClipData, list_clips, media_spec
from counterpoint.training.engine import train_epochs
from counterpoint.training.evaluate import evaluate_split
from counterpoint.training.module import CounterpointModule
from counterpoint.training.objective import build_balancer, build_loss
from counterpoint.training.precision import pick_device, require_device, resolve_precision
from counterpoint.training.task import build_task


@dataclasses.dataclass
class Run:
    """A run with its weights in memory.

    Attributes:
        folder: where it lies.
        config: what it was asked to do.
        module: ``.model`` (`MultimodalModel` or `LocalisationModel`) and ``.transforms``, in ``eval()``.
        classes: names, in the order of the logits; background, which is behind them in localisation, is not named.
        spec: the shape of the clips that it takes.
        epoch: whose weights these are, from 0.
    """

    folder: Path
    config: TrainConfig
    module: CounterpointModule
    classes: tuple[str, ...]
    spec: MediaSpec
    epoch: int
    _data: ClipData | None = None

    @property
    def data(self) -> ClipData:
        """The run's own clips, decoded (or found in the cache) when first asked for."""
        if self._data is None:
            self._data = _load_data(self.config, self.spec, self.module.model)
        return self._data

    @property
    def result(self) -> dict[str, Any]:
        """Validation and test metrics at the best epoch, as in ``result.json``; no ``test`` where `fit` left it out.

        Raises:
            RunError: the run is not finished.
        """
        result = files.read_result(self.folder)
        if result is None:
            raise RunError(f"{self.folder} is not finished: it has no {files.RESULT}. Continue it with --resume")
        return result


def fit(
    config: TrainConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    test: bool = True,
    progress: bool = True,
) -> Run:
    """Train one composition and judge it once on test, at the epoch that validation data chose.

    Args:
        config: what to train.
        folder: the run's; made here.
        resume: go on after the last finished epoch of an interrupted run, to the very result that the uninterrupted
            run would have had; a run not begun is begun, a finished one is loaded (and judged on test, where that was
            left out).
        overwrite: remove a run that is there already, as soon as nothing is left that could be wrong with the new one.
        test: False leaves the test split alone, for the trials of a search.
        progress: show bars on standard error; where that is no terminal, a line per epoch.

    Returns:
        The run with its best weights.

    Raises:
        RunError: the folder holds a run already (or, with `resume`, one of another configuration; with `overwrite`,
            something that is no run).
        CounterpointError: whatever is wrong with names, options or data.
        KeyboardInterrupt: on Ctrl-C and SIGTERM; finished epochs are kept.
    """
    began = time.perf_counter()
    admit_guests(config)
    config.check()
    files.require_one_intent(resume, overwrite)
    folder = Path(folder)
    main = files.is_main_process()
    if main and overwrite:
        files.require_removable(folder)
    elif main:
        _require_place(folder, config, resume)
        if resume and files.read_result(folder) is not None:
            return _finished(folder, test)
    check_names(config)
    device = require_device(config.accelerator, config.devices)
    state = read_checkpoint(folder / files.LAST) if resume and (folder / files.LAST).exists() else None
    with ProgressDisplay(progress and main) as display:
        table = list_clips(config.data, display.callback("render"), events=config.task == "localise")
    spec = media_spec(table, config.data.media)
    torch.manual_seed(config.seed)
    parts = build_for(config, table, spec)
    balancer = build_balancer(config, parts.model)
    loss = build_loss(config, balancer, parts.model)
    precision = resolve_precision(config.precision, parts.model, device) if state is None else state["precision"]
    with ProgressDisplay(progress and main) as display:
        data = _load_data(config, spec, parts.model, display)
        for split in SPLITS:
            data.clips.clips(split)  # an empty one is told now, and not after the last epoch
        if balancer is not None and balancer.holdout:
            data.hold_out(balancer.holdout)
        module = CounterpointModule(
            parts.model,
            parts.transforms,
            balancer=balancer,
            loss=loss,
            task=build_task(config, len(table.classes)),
            optim=config.optim,
            total_steps=config.epochs * len(data.loader("train", train=True)),
            precision=precision,
            seed=config.seed,
        )
        if main and overwrite:
            files.remove_run(folder)
        if main:
            _open(folder, config, data, module, 0 if state is None else state["finished_epochs"])
        train_epochs(config, folder, module, data, state, display)
    best = read_checkpoint(folder / files.BEST)
    parts.model.load_state_dict(best["state_dict"])
    epoch = best["finished_epochs"] - 1
    scores = {split: evaluate_split(module, data, split, device) for split in ("val", *(["test"] if test else []))}
    module.eval()
    if main:
        parts.model.cpu().save_pretrained(
            folder,
            extra={
                "inputs": parts.inputs,
                "classes": list(table.classes),
                "media": dataclasses.asdict(spec),
                "precision": precision,
                **({guests.IMPORTS: config.imports} if config.imports else {}),
            },
        )
        result = {
            "epoch": epoch,
            "epochs": config.epochs,
            "metric": config.metric,
            **scores,
            "data": table.name,
            "clips": {split: len(data.clips.clips(split)) for split in SPLITS},
            "skipped": len(data.clips.skipped),
            **({"held_out": len(data.held_out)} if data.held_out else {}),
            "notes": list(data.clips.table.notes),
            "parameters": sum(p.numel() for p in parts.model.parameters()),
            "precision": precision,
            "seconds": round(time.perf_counter() - began, 2),
        }
        _atomic.write_json(folder / files.RESULT, result)
    return Run(folder, config, module, table.classes, spec, epoch, data)


def load_run(folder: str | Path, which: str = "best", *, trust_code: bool = False) -> Run:
    """A run from its folder.

    Args:
        folder: a run's; or, with ``which="best"``, any with ``config.json`` and ``model.safetensors``: its `config` is
            then the default one, which is not what it was trained with.
        which: ``"best"``: the epoch that validation chose; ``"last"``: the last finished one.
        trust_code: import the code that the folder names, where it is not counterpoint's own.

    Raises:
        RunError: no such run, or no epoch of it is finished.
        ConfigError: another `which`.
        UntrustedCodeError: the run is made of code that is neither trusted nor named by the user.
    """
    if which not in ("best", "last"):
        raise ConfigError(f"which is {which!r}.{did_you_mean(which, ('best', 'last'))}")
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"There is no run at {folder}")
    exported = (folder / files.WEIGHTS).is_file() and (folder / files.MODEL).is_file()
    if not exported and not (folder / files.CONFIG).is_file():
        raise RunError(f"{folder} is not a run: it has neither {files.CONFIG}, nor {files.MODEL} and {files.WEIGHTS}")
    with guests.trusting(trust_code):
        config = files.read_config(folder) if (folder / files.CONFIG).is_file() else TrainConfig()
        guests.import_all(config.imports)
        loaded = load_parts(folder) if exported else None
    if loaded is not None:
        parts, classes, spec, precision = loaded
    else:
        table = list_clips(config.data, events=config.task == "localise")
        classes, spec = table.classes, media_spec(table, config.data.media)
        parts = build_for(config, table, spec)
        precision = config.precision
    epoch = (files.read_result(folder) or {"epoch": 0})["epoch"]
    if which == "last" or not exported:
        state = read_checkpoint(folder / (files.LAST if which == "last" else files.BEST))
        parts.model.load_state_dict(state["state_dict"])
        epoch, precision = state["finished_epochs"] - 1, state["precision"]
    module = CounterpointModule(
        parts.model,
        parts.transforms,
        task=build_task(config, len(classes)),
        optim=config.optim,
        precision=precision,
        seed=config.seed,
    )
    return Run(folder, config, module.eval(), classes, spec, epoch)


def evaluate(
    run: Run | str | Path, split: str = "test", *, data: DataConfig | None = None, trust_code: bool = False
) -> dict[str, float]:
    """Judge a trained model on a split.

    Args:
        run: a run, its folder, or any folder with ``config.json`` and ``model.safetensors``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        data: which clips; None: the run's own. They are brought to the shape that the model takes, whatever
            ``data.media`` says; their classes must be among the model's.
        trust_code: see `load_run`.

    Returns:
        ``clips`` and the metrics of the run's task; on the run's own data, the figures of ``result.json``.

    Raises:
        DataError: a class that the model does not know, or an empty split.
    """
    if not isinstance(run, Run):
        run = load_run(run, trust_code=trust_code)
    if data is None:
        clips = run.data
    else:
        other = dataclasses.replace(run.config, data=data)
        clips = _load_data(other, run.spec, run.module.model, check=partial(_require_known, run))
    table = clips.clips.table
    _require_known(run, table.name, table.classes)
    labels = torch.tensor([*(run.classes.index(name) for name in table.classes), len(run.classes)])
    scores = evaluate_split(run.module, clips, split, pick_device(run.config.accelerator), labels)
    return {"clips": len(clips.clips.clips(split)), **scores}


def _require_known(run: Run, data: str, classes: Sequence[str]) -> None:
    """Refuse classes that the model does not tell apart."""
    for name in classes:
        if name not in run.classes:
            raise DataError(
                f"{data} has the class {name!r}, which the model in {run.folder} does not know."
                f"{did_you_mean(name, run.classes)}"
            )


def _require_place(folder: Path, config: TrainConfig, resume: bool) -> None:
    """Nothing is overwritten: a new run needs a place without one, a resumed run one of the same configuration."""
    files.require_no_other(folder, "run", files.COMPARISON)
    if not (folder / files.CONFIG).exists():
        return
    if resume:
        files.require_same_config(folder, config)
    elif files.read_result(folder) is not None:
        raise RunError(f"{folder} holds a finished run. Give the new one another name, or replace it by --overwrite")
    elif (folder / files.LAST).exists():
        raise RunError(f"{folder} holds an unfinished run. Continue it with --resume, or give the new one another name")


def _finished(folder: Path, test: bool) -> Run:
    """A finished run, judged on test now if that was left out and is asked for."""
    run = load_run(folder)
    if test and "test" not in run.result:
        scores = evaluate_split(run.module, run.data, "test", pick_device(run.config.accelerator))
        _atomic.write_json(folder / files.RESULT, {**run.result, "test": scores})
    return run


def _load_data(
    config: TrainConfig,
    spec: MediaSpec,
    model: Model,
    display: ProgressDisplay | None = None,
    check: Callable[[str, Sequence[str]], None] | None = None,
) -> ClipData:
    return ClipData.from_config(
        config.data,
        seed=config.seed,
        spec=spec,
        modalities=model.modalities,
        segments=model.segments if isinstance(model, LocalisationModel) else None,
        progress=None if display is None else display.callback("decode"),
        check=check,
    )


def _open(folder: Path, config: TrainConfig, data: ClipData, module: CounterpointModule, first_epoch: int) -> None:
    """Write what stands before the first step, and drop rows of epochs that come again."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_config(folder, config)
    device = pick_device(config.accelerator)
    _atomic.write_json(
        folder / files.ENVIRONMENT,
        files.environment(
            precision=module.precision,
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            threads=torch.get_num_threads(),
        ),
    )
    rows = [{"clip": clip, "reason": reason} for clip, reason in data.clips.skipped.items()]
    _atomic.write_csv(folder / files.SKIPPED, rows, ("clip", "reason"))
    for name in (files.METRICS, files.STEPS):
        files.keep_epochs_before(folder / name, first_epoch)
