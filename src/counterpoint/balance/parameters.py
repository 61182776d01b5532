"""Which of an encoder's parameters a balancer acts on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from counterpoint.errors import ConfigError

Which = Literal["auto", "conv", "all"]

ENOUGH = 0.2
"""Share of an encoder's trained parameters that its convolutions must have for ``"auto"`` to leave it at them."""

LEAST = 0.1
"""Share of an encoder's trained parameters below which acting on them is acting on next to nothing."""


def _convolutions(encoder: nn.Module) -> list[nn.Parameter]:
    """Weights of convolutions, and whatever else has four axes or more, as a convolution written by hand has."""
    weights = {id(m.weight) for m in encoder.modules() if isinstance(m, _ConvNd)}
    return [p for p in encoder.parameters() if p.ndim >= 4 or id(p) in weights]


def _share(chosen: Sequence[nn.Parameter], encoder: nn.Module) -> float:
    """Of the encoder's trained parameters, 0 to 1."""
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    return sum(p.numel() for p in chosen if p.requires_grad) / max(1, trained)


def _select(encoder: nn.Module, which: Which) -> list[nn.Parameter]:
    if which == "all":
        return list(encoder.parameters())
    convolutions = _convolutions(encoder)
    if which == "conv" or _share(convolutions, encoder) >= ENOUGH:
        return convolutions
    return [p for p in encoder.parameters() if p.ndim >= 2]


def select_parameters(encoders: Mapping[str, nn.Module], which: Which) -> dict[str, list[nn.Parameter]]:
    """Per modality the parameters to act on.

    Args:
        encoders: per modality its module.
        which: ``"conv"``: weights of convolutions alone; ``"all"``: every one; ``"auto"``: weights of convolutions
            where they are a fifth of what is trained or more, else all weights of two axes or more.

    Raises:
        ConfigError: an encoder without such parameters, or of which they are less than a tenth; or a parameter that two
            encoders share.
    """
    selected: dict[str, list[nn.Parameter]] = {}
    owners: dict[int, str] = {}
    for modality, encoder in encoders.items():
        parameters = _select(encoder, which)
        if not parameters:
            some = next(encoder.parameters(), None) is not None
            hint = ", and no other weights" if which == "auto" else ""
            hint = "; parameters='all' would balance every one" if some else hint
            kind = "parameters" if which == "all" else "convolutions"
            raise ConfigError(f"The encoder of {modality!r} has no {kind} to balance{hint}.")
        if which != "all" and any(p.requires_grad for p in encoder.parameters()):
            share = _share(parameters, encoder)
            if share < LEAST:
                raise ConfigError(
                    f"parameters={which!r} acts on {share:.1%} of what is trained of the encoder of {modality!r}: it "
                    "would hardly notice; parameters='all' acts on every one."
                )
        for parameter in parameters:
            other = owners.setdefault(id(parameter), modality)
            if other != modality:
                raise ConfigError(
                    f"The encoders of {other!r} and {modality!r} share a parameter of shape {tuple(parameter.shape)}: "
                    "it cannot be slowed for one modality and not for the other."
                )
        selected[modality] = parameters
    return selected


def reach(encoders: Mapping[str, nn.Module], selected: Mapping[str, Sequence[nn.Parameter]]) -> tuple[str, bool]:
    """How much of what is trained was selected, in words, and whether that should be looked at.

    Args:
        encoders: per modality its module.
        selected: what `select_parameters` gave.

    Returns:
        The words; and whether less than a fifth of an encoder is reached, or more than its convolutions, being few.
    """
    said, look = [], False
    for modality, encoder in encoders.items():
        chosen, few = selected[modality], _convolutions(encoder)
        widened = len(chosen) < len(list(encoder.parameters())) and len(chosen) > len(few)
        look = look or widened or _share(chosen, encoder) < ENOUGH
        beside = f"; its convolutions are {_share(few, encoder):.1%}" if widened else ""
        tensors = f"{len(chosen)} of {len(list(encoder.parameters()))} tensors"
        said.append(f"{tensors} of {modality} ({_share(chosen, encoder):.1%} of what is trained{beside})")
    return " and ".join(said), look


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
