"""Convolutions over clips that are right for short ones too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_REDUCED = (torch.bfloat16, torch.float16)


class Conv3d(nn.Conv3d):
    """``torch.nn.Conv3d`` that lengthens clips shorter than its kernel where CPU kernels cannot be trusted with them.

    With bfloat16 hardware, oneDNN 3.12 (in torch 2.13) reads memory that it never wrote when a clip has fewer frames
    than the kernel is long: weights get gradients of any size, the process may be aborted, and single frames may come
    out as zeros. Zeros behind the last frame, which the convolution pads with anyway, avoid that at the cost of the
    steps that they add; those are cut off. In float32, on GPUs, and for longer clips nothing changes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T, H, W) -> (B, C', T', H', W')``, as of ``torch.nn.Conv3d``."""
        lacking = self.kernel_size[0] - x.shape[2]
        if lacking <= 0 or not _reduced_on_cpu(x):
            return super().forward(x)
        steps = (x.shape[2] + 2 * int(self.padding[0]) - self.kernel_size[0]) // self.stride[0] + 1
        return super().forward(F.pad(x, (0, 0, 0, 0, 0, lacking)))[:, :, :steps]


def _reduced_on_cpu(x: Tensor) -> bool:
    if x.device.type != "cpu":
        return False
    return (torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype) in _REDUCED
