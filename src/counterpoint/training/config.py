"""The configuration of a run: plain dataclasses, so that `--help` needs neither torch nor Lightning.

Every part of a model is chosen by its registered name. ``None`` and absent `options` mean the part's own default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class DataConfig:
    """Which clips.

    Attributes:
        name: registered dataset: ``talkers``, ``grid`` or ``folder``.
        root: the dataset's folder (talkers: where it is rendered to); None: the dataset's default.
        task: which labels, e.g. ``digit``; None: the dataset's first.
        options: further arguments of the dataset, e.g. ``audio_snr_db`` of talkers.
        media: changes to the dataset's recommended shape of a clip, e.g. ``{"size": 96}``.
        cache: folder of decoded shards; None: ``$COUNTERPOINT_CACHE`` or ``~/.cache/counterpoint``.
        max_bad: share of unreadable clips above which the run is refused, 0 to 1.
        batch_size: clips per step.
        workers: processes that read shards; 0 reads in the main process.
    """

    name: str = "talkers"
    root: str | None = None
    task: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    media: dict[str, Any] = field(default_factory=dict)
    cache: str | None = None
    max_bad: float = 0.05
    batch_size: int = 32
    workers: int = 0


@dataclass
class ModelConfig:
    """Which encoders, and what is fed to them.

    Attributes:
        name: registered model, e.g. ``small_av``.
        options: further arguments of the model.
        inputs: per modality the transform in front of the encoder, e.g. ``{"audio": {"name": "log_mel", "n_mels": 80}}``;
            empty: the model's own.
        modalities: train on these alone; None: on all.
    """

    name: str = "small_av"
    options: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    modalities: list[str] | None = None


@dataclass
class FusionConfig:
    """How modalities are joined.

    Attributes:
        name: registered fusion: ``concat``, ``sum``, ``film``, ``gated``.
        attention: ``simam2`` or None.
        zeta: superposition weight of the first modality in (0, 1), ``learned``, or None for the fusion's default.
        options: further arguments, e.g. ``{"sum_at": "features"}`` or ``{"attention_options": {"sign": -1}}``.
    """

    name: str = "concat"
    attention: str | None = None
    zeta: float | str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class HeadConfig:
    """Features to logits: ``linear`` or ``cosine`` (MMCosine), with its options, e.g. ``{"scale": 10}``."""

    name: str = "linear"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class BalanceConfig:
    """What acts between backward and step: None, ``ogm`` or ``ogm_ge``, with its options, e.g. ``{"alpha": 0.8}``."""

    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class OptimConfig:
    """Optimizer and schedule.

    Attributes:
        name: ``sgd`` (momentum 0.9) or ``adamw``.
        lr: peak learning rate.
        weight_decay: L2 penalty (SGD) or decoupled decay (AdamW).
        schedule: ``constant``, ``cosine`` (with a linear warm-up over the first tenth), or ``step`` (times 0.1 at 70 %).
        label_smoothing: 0 to 1.
        clip_norm: largest norm of the joint gradient after balancing; None: unbounded.
    """

    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    label_smoothing: float = 0.0
    clip_norm: float | None = None


@dataclass
class TrainConfig:
    """One run: one composition of data, model, fusion, head, balance and optimizer.

    Attributes:
        epochs: passes over the training split.
        seed: of weights, order of clips, augmentation and noise.
        precision: ``auto`` (bfloat16 where the machine has it), ``bf16-mixed`` or ``32-true``.
        augment: random shifts, crops and masks of training clips.
        metric: what chooses the epoch on validation data: ``accuracy`` or ``mAP``.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    epochs: int = 20
    seed: int = 0
    precision: str = "auto"
    augment: bool = True
    metric: str = "accuracy"
