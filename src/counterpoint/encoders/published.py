"""Weights that others published, into networks that carry the same names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from counterpoint.encoders.base import Encoder
from counterpoint.errors import ConfigError


def load_published(
    encoder: Encoder,
    state_dict: Mapping[str, Tensor],
    *,
    first: str = "conv1.weight",
    left_out: tuple[str, ...] = ("fc.",),
) -> None:
    """Copy a published checkpoint into an encoder; either all of it fits, or nothing is changed.

    The prefix ``module.``, which networks have that were trained by ``DataParallel``, is taken off, and the classifier
    left out. Where the checkpoint's first convolution reads another number of channels, its kernels are summed
    over theirs and shared out evenly among the encoder's: a grey picture, given in all channels, is seen as before.

    Args:
        encoder: with the checkpoint's names, but for the classifier.
        state_dict: names to tensors, as ``torch.load(path, weights_only=True)`` gives them.
        first: name of the first convolution's kernels, ``(channels, C, ...)``.
        left_out: how the names begin of what the encoder does not have.

    Raises:
        ConfigError: the checkpoint is of another architecture.
    """
    theirs = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    theirs = {name: tensor for name, tensor in theirs.items() if not name.startswith(left_out)}
    own = encoder.state_dict()
    weight = theirs.get(first)
    if weight is not None and weight.ndim == own[first].ndim and weight.shape[1] != encoder.in_channels:
        spread = weight.sum(1, keepdim=True) / encoder.in_channels
        theirs[first] = spread.expand(-1, encoder.in_channels, *weight.shape[2:])
    # Checkpoints older than PyTorch 0.4.1 do not count batches.
    missing = [n for n in own if n not in theirs and not n.endswith("num_batches_tracked")]
    strange = [n for n in theirs if n not in own]
    unequal = [n for n, tensor in theirs.items() if n in own and tensor.shape != own[n].shape]
    for what, names in (("lacks", missing), ("has the unknown", strange), ("has other shapes for", unequal)):
        if names:
            raise ConfigError(
                f"the checkpoint {what} {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}: it is not one of a "
                f"published {type(encoder).__name__}"
            )
    with torch.no_grad():
        for name, tensor in theirs.items():
            own[name].copy_(tensor)
