"""Sums and concatenations over the processes of a distributed run; the identity where there is one process.

Both are differentiable: the gradient of a term of the joint sum is the sum of what every process's loss sends back.
Together with a data-parallel wrapper, which averages gradients over processes, the update is then that of one process
whose loss is the mean over the joined batch.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor


def _alone() -> bool:
    return not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1


def _sum(tensor: Tensor) -> Tensor:
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _sum(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _sum(gradients[0])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.length = tensor.shape[0]
        tensor = tensor.detach().contiguous()
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _sum(gradients[0]).narrow(0, dist.get_rank() * ctx.length, ctx.length)


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """The sum of every process's `tensor`, the same on each; `tensor` itself where there is one process.

    Args:
        tensor: any shape, the same on every process; left as it is.
    """
    return tensor if _alone() else cast(Tensor, _Sum.apply(tensor))  # type: ignore[no-untyped-call]


def all_gather(tensor: Tensor) -> Tensor:
    """Every process's `tensor`, one after the other along axis 0 in order of rank; `tensor` itself where there is one.

    Args:
        tensor: ``(B, ...)``, of the same shape on every process (a sampler that pads or drops the last batch sees to
            that); left as it is.

    Returns:
        ``(B * processes, ...)``, the same on every process.
    """
    return tensor if _alone() else cast(Tensor, _Gather.apply(tensor))  # type: ignore[no-untyped-call]


def all_gather_ragged(tensor: Tensor) -> Tensor:
    """As `all_gather`, for tensors of different lengths along axis 0, which may be 0.

    Args:
        tensor: ``(B, ...)``; only B may differ between processes. Left as it is.

    Returns:
        ``(sum of B, ...)``, the same on every process.
    """
    if _alone():
        return tensor
    lengths = all_gather(torch.tensor([tensor.shape[0]], device=tensor.device)).tolist()
    longest = max(lengths)
    padding = tensor.new_zeros(longest - tensor.shape[0], *tensor.shape[1:])
    joined = all_gather(torch.cat([tensor, padding]))
    return torch.cat([joined[k * longest : k * longest + length] for k, length in enumerate(lengths)])
