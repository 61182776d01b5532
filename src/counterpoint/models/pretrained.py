"""Weights out and back: a folder with ``config.json`` and ``model.safetensors``, no network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typing_extensions import override

from counterpoint import guests
from counterpoint._atomic import to_json, writing
from counterpoint._checksums import require_whole
from counterpoint._limits import read_json
from counterpoint._version import __version__
from counterpoint.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self

    from counterpoint.fusion import FusionOutput
    from counterpoint.localise import LocaliserOutput
    from counterpoint.models.feature_scaler import FeatureScaler

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Model(nn.Module, ABC):
    """What all models share: they are of modalities, and know how to be saved and made again.

    Attributes:
        config: ``name`` and ``options`` by which a builder makes this model again, and ``extra``; empty for one that
            was put together by hand, which cannot be saved by `save_pretrained`.
    """

    config: dict[str, Any]

    if TYPE_CHECKING:

        @override
        def __call__(self, inputs: Mapping[str, Tensor]) -> FusionOutput | LocaliserOutput: ...

    @property
    @abstractmethod
    def modalities(self) -> tuple[str, ...]:
        """In declared order."""

    @property
    @abstractmethod
    def balanced(self) -> dict[str, nn.Module]:
        """Per modality what it alone passes through, whose gradients a balancer may change."""

    @property
    def scalers(self) -> dict[str, FeatureScaler]:
        """Per modality what brings given features to one scale, once fitted on training clips; none behind encoders."""
        return {}

    @abstractmethod
    def encode(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features per modality."""

    def save_pretrained(self, folder: str | Path, extra: Mapping[str, Any] | None = None) -> None:
        """Write ``config.json`` and ``model.safetensors``.

        Args:
            folder: made where it is missing.
            extra: what belongs to the model beside its weights (classes, inputs); comes back as ``config["extra"]``.

        Raises:
            ConfigError: the model was put together by hand, or `extra` holds what JSON does not know; what stood in the
                folder is left then.
            WriteError: a file cannot be written.
        """
        save_pretrained(self, folder, extra)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, trust_code: bool = False) -> Self:
        """The model that `save_pretrained` wrote, in evaluation mode; see `from_pretrained`."""
        model = from_pretrained(folder, trust_code=trust_code)
        if not isinstance(model, cls):
            raise ConfigError(f"{folder} holds a {type(model).__name__}, not a {cls.__name__}")
        return model


BUILDERS: dict[str | None, Callable[..., Model]] = {}
"""``name`` in ``config.json`` -> what makes that model of its ``options``; None: every other name, given first."""


def save_pretrained(
    model: Model, folder: str | Path, extra: Mapping[str, Any] | None = None, *, checked: bool = False
) -> None:
    """Write a model; see `Model.save_pretrained`. With `checked`, which is for runs, digests are kept of both files."""
    if not model.config:
        raise ConfigError(
            "only a model made by name (create_model) can be saved with its configuration; save its state_dict"
        )
    config = {"counterpoint": __version__, "name": model.config["name"], "options": model.config["options"]}
    kept = model.config.get("extra", {}) if extra is None else extra
    try:
        text = to_json({**config, "extra": dict(kept)})
    except TypeError as error:
        raise ConfigError(f"options and extra must be values that JSON knows: {error}") from error
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    folder = Path(folder)
    # Both files are whole before either takes the place of an older one.
    with writing(folder / CONFIG, checked=checked) as new_config:
        new_config.write_text(text + "\n", encoding="utf-8")
        with writing(folder / WEIGHTS, checked=checked) as new_weights:
            new_weights.touch()
            mode = new_weights.stat().st_mode
            save_file(tensors, new_weights)
            new_weights.chmod(mode)  # safetensors writes for the owner alone, whatever the umask allows


def from_pretrained(folder: str | Path, *, trust_code: bool = False) -> Model:
    """The model in a folder that `Model.save_pretrained` wrote, in evaluation mode.

    Args:
        folder: holds ``config.json`` and ``model.safetensors``.
        trust_code: import the code that ``config.json`` names, where it is not counterpoint's own.

    Raises:
        ConfigError: a file is missing or damaged, or the weights are of another model.
        UntrustedCodeError: the model is made of code that is not trusted.
    """
    folder = Path(folder)
    config = _read_config(folder)
    with guests.trusting(trust_code):
        guests.require_trust(folder / CONFIG, config)
    try:
        guests.import_all((config.get("extra") or {}).get(guests.IMPORTS, ()))
        model = _create(config["name"], config["options"])
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{folder / CONFIG} does not describe a model: {error}") from error
    model.config = {key: config[key] for key in ("name", "options", "extra") if key in config}
    weights = _read_weights(folder)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"{folder / WEIGHTS} holds the weights of another model than {CONFIG} says: {error}"
        ) from error
    return model.eval()


def _create(name: str, options: Mapping[str, Any]) -> Model:
    return BUILDERS[name](**options) if name in BUILDERS else BUILDERS[None](name, **options)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    require_whole(path)
    try:
        config = read_json(path, ConfigError)
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} holds no model: it needs {CONFIG} and {WEIGHTS}") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("options"), dict):
        raise ConfigError(f"{path} does not describe a model: it needs a 'name' and 'options'")
    return config


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise ConfigError(f"{folder} holds no weights: {WEIGHTS} is missing")
    require_whole(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
