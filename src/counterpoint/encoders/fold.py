"""Batch normalisations folded into the convolutions before them: the same answers, in fewer passes over memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

T = TypeVar("T", bound=nn.Module)


def _declared(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of children of which the second surely reads what the first gives, and nothing else does."""
    if isinstance(module, nn.Sequential):
        yield from pairwise(dict(module.named_children()))
    declared = getattr(module, "norm_after", {})
    if isinstance(declared, Mapping):
        yield from declared.items()


def fold_batch_norms(module: T) -> T:
    """A copy for inference in which convolutions do the work of the batch normalisations behind them.

    Folded is what stands one behind the other in a ``Sequential``, and what a module declares by an attribute
    ``norm_after``, a mapping of the names of its convolutions to those of the batch normalisations that alone read
    them, as the blocks of all encoders here do. What stands behind something else, a ReLU or a sum, stays. The copy is
    in evaluation mode; put back into training, it would train another network.

    Args:
        module: an encoder, a whole model, or any other module.

    Returns:
        A module of the same class with the same output but for rounding; its ``state_dict`` has other names.
    """
    folded = copy.deepcopy(module).eval()
    for part in list(folded.modules()):
        for first, second in _declared(part):
            conv, norm = getattr(part, first), getattr(part, second)
            if not isinstance(conv, _ConvNd) or isinstance(conv, _ConvTransposeNd) or not isinstance(norm, _BatchNorm):
                continue
            if norm.running_mean is not None and norm.running_var is not None:
                setattr(part, first, fuse_conv_bn_eval(conv, norm))
                setattr(part, second, nn.Identity())
    return folded
