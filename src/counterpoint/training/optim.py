"""Optimizer and learning-rate schedule from their configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from counterpoint.training.config import OptimConfig


def create_optimizer(config: OptimConfig, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """SGD with momentum 0.9, or AdamW, as one fused kernel per step; parameters without gradient are left out."""
    trained = [p for p in parameters if p.requires_grad]
    if config.name == "sgd":
        return SGD(trained, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay, fused=True)
    return AdamW(trained, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def create_schedule(config: OptimConfig, optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """The learning rate over `total_steps` optimizer steps, relative to its peak."""
    warmup = max(1, total_steps // 10)

    def constant(step: int) -> float:
        return 1.0

    def late_drop(step: int) -> float:
        return 1.0 if step < 0.7 * total_steps else 0.1

    def cosine(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))

    return LambdaLR(optimizer, {"constant": constant, "step": late_drop, "cosine": cosine}[config.schedule])
