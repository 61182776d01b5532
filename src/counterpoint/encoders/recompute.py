"""Activation checkpointing that leaves every number as it is, running statistics included."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextlib.contextmanager
def _uncounted(block: nn.Module) -> Iterator[None]:
    """Let running statistics move by nothing, and no batch be counted."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    were = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, were, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches


def recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """``block(x)``, of which only `x` is kept for the backward pass, where the block is run once more.

    The second run gives batch normalisations the same batch, but must not count it twice: their running statistics stay
    as the first run left them. The block may draw nothing at random. Without gradients, and under ``torch.compile``,
    which plans by itself what it keeps, this is a plain call.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        out: Tensor = block(x)
        return out

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return contextlib.nullcontext(), _uncounted(block)

    kept: Tensor = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    return kept
