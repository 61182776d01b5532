"""What a configuration comes to: one run, checked, with all that follows from the clips and from the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from counterpoint.data.clip_table import ClipTable
from counterpoint.media.spec import MediaSpec
from counterpoint.training.config import TrainConfig

Inputs = dict[str, dict[str, Any]]
"""Modality -> name and options of its transform."""


@dataclass(frozen=True)
class Resolved:
    """One run, checked: whoever is handed this checks nothing again.

    Attributes:
        config: as asked for.
        classes: names, in the order of the logits.
        spec: the shape of a clip.
        segments: T in localisation; None: clips are classified whole.
        features: widths of the clips' features by modality, where clips are features and need no encoders; else None.
        modalities: that are trained on, in order.
        inputs: per modality the name and options of its transform.
        encoders: per modality the changes to its encoder, with what it wants to know of the clips; of features, whether
            they are brought to one scale (``standardise``) and filled up (``impute``).
        device: where to compute.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        table: the clips, where they are listed already; it stays behind when a run is sent to another process, which
            lists them itself.
    """

    config: TrainConfig
    classes: tuple[str, ...]
    spec: MediaSpec
    segments: int | None
    features: Mapping[str, int] | None
    modalities: tuple[str, ...]
    inputs: Inputs
    encoders: Mapping[str, Any]
    device: torch.device
    precision: str
    table: ClipTable | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """All but the table."""
        return {**self.__dict__, "table": None}
