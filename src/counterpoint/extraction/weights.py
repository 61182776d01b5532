"""Weights of encoders that others trained: where they are to be had, and how a file of them is read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from counterpoint.encoders import ENCODERS, Encoder
from counterpoint.encoders.published import load_published
from counterpoint.errors import ConfigError

RANDOM = "random"
"""In place of a file of weights: none, for trials."""

_TORCHVISION = "torchvision publishes them (download.pytorch.org/models) as "
_TO_BE_HAD = {
    "vgg11": f"{_TORCHVISION}vgg11-8a719046.pth",
    "vgg16": f"{_TORCHVISION}vgg16-397923af.pth",
    "vgg19": f"{_TORCHVISION}vgg19-dcbb9e9d.pth",
    "resnet18": f"{_TORCHVISION}resnet18-f37072fd.pth",
    "resnet34": f"{_TORCHVISION}resnet34-b627a593.pth",
    "resnet50": f"{_TORCHVISION}resnet50-0676ba61.pth",
    "vggish": "release v0.1 of github.com/harritaylor/torchvggish has them as vggish-10086976.pth",
}


def require_weights(wanted: Mapping[str, tuple[str, str | None]]) -> None:
    """Refuse encoders that nobody trained, before anything is listed or decoded.

    Args:
        wanted: modality -> name of its encoder, and a file of weights or ``"random"``.

    Raises:
        UnknownNameError: there is no such encoder.
        ConfigError: there are no weights; the message says where they are to be had.
    """
    lacking = []
    for modality, (encoder, weights) in wanted.items():
        ENCODERS.get(encoder)
        if weights is None:
            where = _TO_BE_HAD.get(encoder, "a file .pth or .safetensors of its own parameters will do")
            lacking.append(f"{encoder} needs trained weights (--{modality}.weights FILE): {where}")
        elif weights != RANDOM:
            for path in weight_files(weights):
                if not path.is_file():
                    raise ConfigError(f"{modality}.weights: there is no file {path}")
    if lacking:
        raise ConfigError(f"{'. '.join(lacking)}. In place of FILE, {RANDOM} does for a trial of everything else")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Names to tensors, from a ``.safetensors`` file or from one of ``torch.save``, of which nothing is executed.

    Raises:
        ConfigError: it holds something else, or is damaged.
    """
    path = Path(path).expanduser()
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise whatever the bytes lead them to
        raise ConfigError(f"cannot be read as weights ({type(error).__name__}); get the file again") from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ConfigError("holds no state: names to tensors, as of torch.save(module.state_dict(), ...)")
    return dict(state)


def weight_files(weights: str | Path) -> list[Path]:
    """The file, or the several with commas between, that a state is read from."""
    whole = Path(weights).expanduser()
    return [whole] if whole.is_file() else [Path(part).expanduser() for part in str(weights).split(",")]


def load_weights(encoder: Encoder, weights: str | Path) -> None:
    """Give an encoder the weights of a file: a published checkpoint, or the encoder's own state.

    Args:
        encoder: to be changed.
        weights: a file, or several with commas between, whose tensors are joined.

    Raises:
        ConfigError: they cannot be read, or are another network's.
    """
    load = getattr(encoder, "load_checkpoint", lambda state: load_published(encoder, state, first="", left_out=()))
    load({name: tensor for path in weight_files(weights) for name, tensor in read_weights(path).items()})


def digest_of(module: nn.Module) -> str:
    """Tells modules apart whose numbers differ, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
