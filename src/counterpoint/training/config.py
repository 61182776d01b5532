"""The configuration of a run: plain dataclasses, so that `--help` needs neither torch nor Lightning.

Every part is chosen by its registered name, or by ``package.module:Class``. ``None`` and absent `options` mean the
part's own default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from counterpoint._moved import former_names
from counterpoint._typecheck import check_values
from counterpoint.errors import ConfigError
from counterpoint.training.metrics import metrics_of

Task = Literal["classify", "localise"]
Supervision = Literal["fully", "weakly"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]

Impute = Literal["none", "mean"]

TASKS = get_args(Task)
# What makes a method: the parts of a run that a recipe composes.
COMPOSITION = ("intermediate", "fusion", "head", "loss", "balance", "regularise")
# Those of them that only whole clips are classified with.
CLASSIFYING = ("intermediate", "fusion", "head", "loss", "regularise")


@dataclass
class DataConfig:
    """Which clips.

    Attributes:
        name: ``counterpoint list datasets``.
        root: the dataset's folder (talkers: where it is rendered to); None: the dataset's default.
        task: which labels, e.g. ``digit``; None: the dataset's first.
        options: further arguments of the dataset, e.g. ``audio_snr_db`` of talkers.
        media: changes to the dataset's recommended shape of a clip, e.g. ``{"size": 96}``.
        cache: folder of decoded shards; None: ``$COUNTERPOINT_CACHE`` or ``~/.cache/counterpoint``.
        seed: of the split, and of what ``talkers`` renders; not the run's, so that runs under other seeds are evaluated
            on the same clips.
        folds: in place of the dataset's split, deal out all its clips to so many folds, by class, and by groups where
            there are several; validation clips are drawn from those that are not tested. None: the dataset's split.
        fold: which of them is tested, from 0.
        max_bad: share of unreadable clips above which the run is refused, 0 to 1.
        standardise: of clips that are features, bring each column to mean 0 and spread 1 by the training clips; None:
            as the dataset recommends, which is to do it but where a paper's protocol takes them as they are.
        impute: what is done with clips of features in which some values are NaN: ``none``, they are skipped; ``mean``,
            the mean of the column over the training clips is put there.
        batch_size: clips per step; None: what leaves about 20 steps an epoch, 4 to 32.
        workers: processes that read shards; 0 reads in the main process.
    """

    name: str = "talkers"
    root: str | None = None
    task: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    media: dict[str, Any] = field(default_factory=dict)
    cache: str | None = None
    seed: int = 0
    folds: int | None = field(default=None, metadata={"min": 2, "max": 1000})
    fold: int = field(default=0, metadata={"min": 0})
    max_bad: float = field(default=0.05, metadata={"min": 0, "max": 1})
    standardise: bool | None = None
    impute: Impute = "none"
    batch_size: int | None = field(default=None, metadata={"min": 1})
    workers: int = field(default=0, metadata={"min": 0})


@dataclass
class ModelConfig:
    """Which encoders, and what is fed to them.

    Attributes:
        name: ``counterpoint list models``.
        options: further arguments of the model.
        inputs: per modality the transform in front of the encoder, e.g.
            ``{"audio": {"name": "log_mel", "n_mels": 80}}``; empty: the model's own.
        modalities: train on these alone; None: on all.
    """

    name: str = "small_av"
    options: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    modalities: list[str] | None = None


@dataclass
class IntermediateConfig:
    """How the modalities' feature maps act on each other inside the encoders, before they are pooled and fused.

    Attributes:
        name: ``counterpoint list intermediates``; None: the encoders know nothing of each other.
        layers: where, one entry per place: a level of the model (``late``, ``mid``), or per modality the name of a
            layer, e.g. ``{"audio": "conv2", "visual": "layer3"}``; empty: the part's own default.
        options: further arguments.
    """

    name: str | None = None
    layers: list[Any] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class FusionConfig:
    """How modalities are joined.

    Attributes:
        name: ``counterpoint list fusions``.
        attention: ``simam2`` or None.
        zeta: superposition weight of the first modality in (0, 1), ``learned``, or None for the fusion's default.
        options: further arguments, e.g. ``{"sum_at": "features"}`` or ``{"attention_options": {"sign": "opposite"}}``.
    """

    name: str = "concat"
    attention: str | None = None
    zeta: float | str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class HeadConfig:
    """Features to logits.

    Attributes:
        name: ``counterpoint list heads``.
        options: its arguments, e.g. ``{"scale": 10}``.
    """

    name: str = "linear"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class LossConfig:
    """What is minimised, where the balancer has no loss of its own.

    Attributes:
        name: ``counterpoint list losses``.
        options: its arguments, e.g. ``{"beta": 0.3}``.
    """

    name: str = "cross_entropy"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class BalanceConfig:
    """What acts on the gradients between backward and step.

    Attributes:
        name: ``counterpoint list balancers``; None: nothing.
        options: its arguments, e.g. ``{"alpha": 0.8}``.
    """

    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class RegulariseConfig:
    """What is changed in training, beside `augment`, so that the model generalises; evaluation sees clips as they are.

    Attributes:
        modality_dropout: probability by which each modality of a clip is ablated before the fusion, never all of one.
        mixup: alpha of the Beta distribution by which clips are mixed in pairs, all modalities alike; 0: they are not.
    """

    modality_dropout: float = field(default=0.0, metadata={"min": 0, "max": 1})
    mixup: float = field(default=0.0, metadata={"min": 0})


@dataclass
class LocaliseConfig:
    """What says when something happens, where that is the task; it takes the place of fusion, head and loss.

    Attributes:
        name: ``counterpoint list localisers``.
        supervision: ``fully``: trained on the class of every segment; ``weakly``: on that of the clip alone.
        segments: into how many equal parts a clip is cut; None: as many as the dataset recommends.
        loss: registered localiser loss; None: the localiser's own.
        options: further arguments of the localiser, e.g. ``{"variant": "released"}``.
    """

    name: str = "bmfn"
    supervision: Supervision = "fully"
    segments: int | None = field(default=None, metadata={"min": 1})
    loss: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class OptimConfig:
    """Optimizer and schedule.

    Attributes:
        name: registered optimizer: ``sgd`` (momentum 0.9) or ``adamw``.
        lr: peak learning rate.
        weight_decay: L2 penalty (SGD) or decoupled decay (AdamW).
        schedule: registered schedule: ``constant``, ``cosine`` (with a linear warm-up over the first tenth), or
            ``step`` (times 0.1 at 70 %, or as its options say).
        label_smoothing: 0 to 1.
        clip_norm: largest norm of the joint gradient after balancing; None: unbounded.
        options: further arguments of the optimizer, e.g. ``{"betas": [0.9, 0.98]}``.
        schedule_options: arguments of the schedule, e.g. ``{"milestones": [10, 20, 30], "gamma": 0.5}`` of ``step``,
            in epochs.
    """

    name: str = "adamw"
    lr: float = field(default=1e-3, metadata={"min": 0})
    weight_decay: float = field(default=1e-4, metadata={"min": 0})
    schedule: str = "cosine"
    label_smoothing: float = field(default=0.0, metadata={"min": 0, "max": 1})
    clip_norm: float | None = field(default=None, metadata={"above": 0})
    options: dict[str, Any] = field(default_factory=dict)
    schedule_options: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrainConfig:
    """One run: one composition of data, model, fusion, head, balance and optimizer.

    Attributes:
        task: ``classify`` whole clips, or ``localise``: say which segments of a clip hold which event.
        epochs: passes over the training split; None: what makes 600 steps or more, 20 to 100.
        seed: of weights, order of clips, augmentation and noise; the split has its own, `data.seed`.
        precision: ``auto`` (bfloat16 where the machine has it and the model is large enough to gain),
            ``32-true``, ``bf16-mixed`` or ``16-mixed`` (with a gradient scaler).
        augment: random shifts, crops and masks of training clips.
        metric: what chooses the epoch on validation data: ``counterpoint list metrics``.
        accelerator: ``auto`` (a GPU where there is one), ``cpu``, ``gpu`` (of whatever make), ``cuda`` or ``mps``.
        devices: processes, each on a device of its own (a GPU, or a core) and with batches of `data.batch_size`.
        imports: modules, or ``.py`` files, that are imported first, so that their parts register.

    Example:
        >>> config = TrainConfig(fusion=FusionConfig("sum", zeta="learned"), epochs=3)
        >>> config.fusion.zeta, config.data.name
        ('learned', 'talkers')
    """

    task: Task = "classify"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    intermediate: IntermediateConfig = field(default_factory=IntermediateConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    localise: LocaliseConfig = field(default_factory=LocaliseConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    regularise: RegulariseConfig = field(default_factory=RegulariseConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    epochs: int | None = field(default=None, metadata={"min": 1})
    seed: int = field(default=0, metadata={"min": 0, "max": 2**32 - 1})
    precision: Precision = "auto"
    augment: bool = True
    metric: str = "accuracy"
    accelerator: Accelerator = "auto"
    devices: int = field(default=1, metadata={"min": 1})
    imports: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Refuse values of another type or outside their range; names of parts are left to the registries.

        Raises:
            ConfigError: says which value, and what it may be.
        """
        check_values(self)
        metrics_of(self.task, self.metric)  # refuses unknown ones
        self.check_together()

    def check_together(self) -> None:
        """Refuse values that do not fit each other, and what the task would overlook in silence.

        Raises:
            ConfigError: says which, and what to do.
        """
        if self.balance.name is None and self.balance.options:
            raise ConfigError(
                f"balance.options is {self.balance.options}, but balance.name is null; name a balancer or drop them"
            )
        if self.data.fold and self.data.folds is None:
            raise ConfigError(f"data.fold is {self.data.fold}, but data.folds is null; set it to the number of folds")
        unused = CLASSIFYING if self.task == "localise" else ("localise",)
        for name in unused:
            value = getattr(self, name)
            if value != type(value)():
                raise ConfigError(f"{name} is set, but task {self.task!r} does not use it; remove it")
        if self.task == "localise" and self.optim.label_smoothing:
            raise ConfigError("optim.label_smoothing is set, but the losses of localisers take none; leave it at 0")
        for name in ("dims", "num_classes", "supervision", "loss"):
            if name in self.localise.options:
                instead = f"say localise.{name}" if name in ("supervision", "loss") else "it follows from the data"
                raise ConfigError(f"localise.options has {name!r}; leave it out: {instead}")


__getattr__ = former_names(__name__, dict.fromkeys(("flatten", "from_dict", "to_dict"), "training.config_io"))
