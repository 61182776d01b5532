"""What a configuration comes to: one run, checked, with all that follows from the clips and from the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from counterpoint.data import SPLITS
from counterpoint.data.cache.prepare import Progress
from counterpoint.data.clip_table import ClipTable
from counterpoint.media.spec import MediaSpec
from counterpoint.training.config import TrainConfig
from counterpoint.training.datamodule import ClipData

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

    def decode(self, progress: Progress | None = None) -> ClipData:
        """The clips, decoded and cached; an empty split is told now, and not after the last epoch.

        Args:
            progress: called with the clips done and to be done.

        Raises:
            CounterpointError: too many clips are unreadable, or all of a split.
        """
        data = ClipData.from_config(
            self.config.data,
            table=self.table,
            seed=self.config.seed,
            spec=self.spec,
            modalities=self.modalities,
            segments=self.segments,
            progress=progress,
        )
        for split in SPLITS:
            data.clips.clips(split)
        return data

    def __getstate__(self) -> dict[str, Any]:
        """All but the table."""
        return {**self.__dict__, "table": None}
