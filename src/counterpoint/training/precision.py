"""Number formats and memory layout: bfloat16 and channels-last where they pay."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from counterpoint._cpu import cores
from counterpoint.errors import ConfigError

T = TypeVar("T", Tensor, nn.Module)

DTYPES: dict[str, torch.dtype | None] = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""What autocast computes in; None: nothing is cast."""

WORTH_BFLOAT16 = 1_000_000
"""Weights of convolutions and linear layers above which `auto` takes bfloat16.

On a core with AVX-512 bfloat16 a training step of two ResNet-18 (22 M) ran 1.9 times as fast as in float32, one of
``small_av`` (0.3 M) 1.2 to 1.5 times. Where training takes seconds, that is not worth figures that hang on the
machine.
"""

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # as Linux names them on x86 and on ARM


def channels_last(part: T) -> T:
    """Convolution weights and inputs, 4-D ``(N, C, H, W)`` and 5-D ``(N, C, T, H, W)``, with channels innermost.

    Convolutions run 1.2 to 1.3 times as fast so on CPUs; shapes and values stay the same.
    """
    if isinstance(part, nn.Module):
        for parameter in part.parameters():
            parameter.data = channels_last(parameter.data)
        return part
    if part.dim() == 4:
        return part.contiguous(memory_format=torch.channels_last)
    if part.dim() == 5:
        return part.contiguous(memory_format=torch.channels_last_3d)
    return part


def pick_device(accelerator: str) -> torch.device:
    """Where Lightning would compute for ``accelerator``: for ``auto`` on a GPU where there is one."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def require_device(accelerator: str, devices: int = 1) -> torch.device:
    """The same, but no CPU in place of a GPU that was asked for, and no more processes than have a device each.

    On the CPU that is one per core; two are let through on any machine, to try how runs of several processes behave.

    Raises:
        ConfigError: this machine has none, or this build of torch cannot use it, or it has fewer than `devices`.
    """
    device = pick_device(accelerator)
    if device.type == "cpu" and accelerator not in ("auto", "cpu"):
        raise ConfigError(
            f"accelerator is {accelerator!r}, but torch {torch.__version__} finds no such device here; "
            "choose auto or cpu"
        )
    if device.type == "cpu":
        most, have = max(2, cores()), f"this machine has {cores()} CPU cores"
    else:
        most = torch.cuda.device_count() if device.type == "cuda" else 1
        have = f"this machine has {most} of the type {device.type}"
    if devices > most:
        raise ConfigError(f"devices is {devices}, but {have}; take at most {most}")
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        with contextlib.suppress(OSError):
            return not _BF16_FLAGS.isdisjoint(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    return False


def resolve_precision(precision: str, model: nn.Module, device: torch.device) -> str:
    """What ``auto`` means for a model on a device; any other precision stays what it is.

    That is ``bf16-mixed`` where the device is fast at it and the model has `WORTH_BFLOAT16` weights of convolutions and
    linear layers or more, else ``32-true``.
    """
    if precision != "auto":
        return precision
    weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, (_ConvNd, nn.Linear)))
    return "bf16-mixed" if weights >= WORTH_BFLOAT16 and has_fast_bfloat16(device) else "32-true"
