"""Which of an encoder's parameters a balancer acts on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from counterpoint.errors import ConfigError


def _convolutions(encoder: nn.Module) -> list[nn.Parameter]:
    """Weights of convolutions, and whatever else has four axes or more, as a convolution written by hand has."""
    weights = {id(m.weight) for m in encoder.modules() if isinstance(m, _ConvNd)}
    return [p for p in encoder.parameters() if p.ndim >= 4 or id(p) in weights]


def select_parameters(
    encoders: Mapping[str, nn.Module], which: Literal["conv", "all"]
) -> dict[str, list[nn.Parameter]]:
    """Per modality the parameters to act on: ``"conv"``, weights of convolutions alone, or ``"all"``.

    Raises:
        ConfigError: an encoder without such parameters, or a parameter that two encoders share.
    """
    selected: dict[str, list[nn.Parameter]] = {}
    owners: dict[int, str] = {}
    for modality, encoder in encoders.items():
        parameters = _convolutions(encoder) if which == "conv" else list(encoder.parameters())
        if not parameters:
            some = next(encoder.parameters(), None) is not None
            hint = "; parameters='all' would balance every one" if which == "conv" and some else ""
            kind = "convolutions" if which == "conv" else "parameters"
            raise ConfigError(f"The encoder of {modality!r} has no {kind} to balance{hint}.")
        for parameter in parameters:
            other = owners.setdefault(id(parameter), modality)
            if other != modality:
                raise ConfigError(
                    f"The encoders of {other!r} and {modality!r} share a parameter of shape {tuple(parameter.shape)}: "
                    "it cannot be slowed for one modality and not for the other."
                )
        selected[modality] = parameters
    return selected


def by_device(tensors: Sequence[Tensor | None], first: int) -> dict[torch.device, tuple[list[int], list[Tensor]]]:
    """Per device the tensors that there are, each with its parameter's position.

    Args:
        tensors: one per parameter of an encoder; None: nothing to act on, as of what is frozen.
        first: position of the first of them among the parameters of all encoders.
    """
    found: dict[torch.device, tuple[list[int], list[Tensor]]] = {}
    for position, tensor in enumerate(tensors, first):
        if tensor is not None:
            positions, same = found.setdefault(tensor.device, ([], []))
            positions.append(position)
            same.append(tensor)
    return found
