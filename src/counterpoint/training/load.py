"""A run with its weights in memory, and how it is read back from its folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from counterpoint import guests
from counterpoint.errors import RunError
from counterpoint.media.spec import MediaSpec
from counterpoint.models import LocalisationModel, Model, from_pretrained
from counterpoint.registry import check_choice
from counterpoint.training import run_dir as files
from counterpoint.training.build import build_model, create_transforms
from counterpoint.training.callbacks.checkpoint import read_checkpoint
from counterpoint.training.config import TrainConfig
from counterpoint.training.datamodule import ClipData
from counterpoint.training.module import CounterpointModule
from counterpoint.training.place import runs_in
from counterpoint.training.resolve import resolve
from counterpoint.training.resolved import Inputs
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
            model = self.module.model
            self._data = ClipData.from_config(
                self.config.data,
                seed=self.config.seed,
                spec=self.spec,
                modalities=model.modalities,
                segments=model.segments if isinstance(model, LocalisationModel) else None,
            )
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


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained model with what it was trained on.

    Attributes:
        model: with its weights.
        inputs: per modality name and options of its transform.
        classes: names, in the order of the logits.
        spec: the shape of the clips.
        precision: that it was trained in.
    """

    model: Model
    inputs: Inputs
    classes: tuple[str, ...]
    spec: MediaSpec
    precision: str


def load_trained(folder: Path) -> Trained:
    """A trained model from a folder with ``config.json`` and ``model.safetensors``.

    Raises:
        RunError: the folder does not say what the model is fed with.
    """
    model: Model = from_pretrained(folder)
    extra = model.config.get("extra") or {}
    missing = {"inputs", "classes", "media"} - set(extra)
    if missing:
        raise RunError(f"{folder / 'config.json'} lacks {', '.join(sorted(missing))} under 'extra': it is not of a run")
    media: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in extra["media"].items()
    }
    precision = extra.get("precision", "32-true")
    return Trained(model, extra["inputs"], tuple(extra["classes"]), MediaSpec(**media), precision)


def load_run(folder: str | Path, which: Literal["best", "last"] = "best", *, trust_code: bool = False) -> Run:
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
    check_choice("which", which, ("best", "last"))
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"There is no run at {folder}.{files.runs_near(folder)}")
    if (folder / files.COMPARISON).is_file() and not (folder / files.CONFIG).is_file():
        inside = ", ".join(map(str, runs_in(folder)[:10])) or "none is begun"
        raise RunError(f"{folder} is a comparison; name one of its runs: {inside}")
    exported = (folder / files.WEIGHTS).is_file() and (folder / files.MODEL).is_file()
    if not exported and not (folder / files.CONFIG).is_file():
        runs = sorted(str(path.parent) for path in folder.glob(f"*/{files.CONFIG}"))
        known = f"; the runs in it are {', '.join(runs[:10])}" if runs else ""
        raise RunError(
            f"{folder} is not a run: it has neither {files.CONFIG}, nor {files.MODEL} and {files.WEIGHTS}{known}"
        )
    with guests.trusting(trust_code):
        config = files.read_config(folder) if (folder / files.CONFIG).is_file() else TrainConfig()
        guests.import_all(config.imports)
        made = load_trained(folder) if exported else _fresh(config)
    epoch, precision = (files.read_result(folder) or {"epoch": 0})["epoch"], made.precision
    if which == "last" or not exported:
        state = read_checkpoint(folder / (files.LAST if which == "last" else files.BEST))
        made.model.load_state_dict(state["state_dict"])
        epoch, precision = state["finished_epochs"] - 1, state["precision"]
    module = CounterpointModule(
        made.model,
        create_transforms(made.inputs, made.spec, augment=False),
        task=build_task(config, len(made.classes)),
        optim=config.optim,
        precision=precision,
        seed=config.seed,
    )
    return Run(folder, config, module.eval(), made.classes, made.spec, epoch)


def _fresh(config: TrainConfig) -> Trained:
    """The model of a run that is not finished, before its checkpoint is read."""
    of = resolve(dataclasses.replace(config, accelerator="cpu", devices=1))
    model = build_model(config, len(of.classes), encoders=of.encoders, segments=of.segments, features=of.features)
    return Trained(model, of.inputs, of.classes, of.spec, of.precision)
