"""The configuration of `compare`: a plain dataclass, so that `--help` needs neither torch nor Lightning."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from counterpoint.errors import ConfigError
from counterpoint.training.config import TrainConfig

DEFAULT_METHODS = {
    "classify": ("late", "concat", "sum-simam2", "sum-df-simam2", "concat-ogm-ge", "mmcosine"),
    "localise": ("avel", "psp", "cmran", "bmfn"),
}
"""What is compared where no methods are named, by task.

To classify: what we recommend, vanilla fusion, and one of each idea: attention, the same with decoupling-free
modulation, modulation, cosine logits. The plain sum of logits is not among them: under a linear head it is the same
function as concatenation.
To localise: the plain baseline, and those that BMFN's Table 1 has at the top: propagation of positive pairs, relation
attention, fusion in both directions. All of them can be supervised weakly too.
"""

DEFAULT_BASELINE = {"classify": "concat", "localise": "avel"}
"""What they are tested against, by task: the plain one."""

RECOMMENDED = "late"
"""The recipe to take without thinking: docs/results.md says on what evidence."""


def default_search_space() -> dict[str, Any]:
    """What is searched for every method alike: a decade of the learning rate to either side of the default."""
    return {"optim.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


@dataclass
class CompareConfig:
    """Several methods under one protocol: same data, encoders, optimizer, epochs, seeds and search budget.

    Attributes:
        methods: names of recipes (``counterpoint list recipes``) or paths of recipe files; each gives fusion, head
            and balance, or the localiser. Empty: what suits the task: ``late``, ``concat``, ``sum-simam2``,
            ``sum-df-simam2``, ``concat-ogm-ge`` and ``mmcosine`` to classify; ``avel``, ``psp``, ``cmran`` and
            ``bmfn`` to localise.
        seeds: every method is trained once with each of them.
        folds: how many to deal out the clips to, or which of a dataset with folds of its own (``[0, 1]``): every method
            is trained once with each seed on each of them, and evaluated on their test clips pooled; the search runs
            on the first. A number n stands for ``base.data.folds`` n and all of these. Empty: the data have one split.
        baseline: the method that the others are tested against; None: the first, or the plain one (``concat``,
            ``avel``) where no methods are named.
        changes: what is set otherwise than in the recipes, for every method whose recipe sets or searches it: dotted
            name in `TrainConfig` to value, e.g. ``{"balance.options.alpha": 0.1}``.
        base: what all methods share: data, model, optimizer, epochs, precision. Its `seed` gives way to `seeds`.
        probe: fit a linear probe on each frozen encoder, and measure how much the features of two depend on each other.
        alone: train each modality alone as well, once per seed.
        ensemble: a row for modalities trained alone whose probabilities are averaged, each at the temperature that
            fits validation; needs `alone`. None: wherever clips of two modalities or more are classified.
        classical: a row for logistic regression and support vector machines on statistics of sound and picture, or on
            features as they are; validation chooses. None: wherever clips are classified.
        search_trials: hyper-parameter settings tried per method, the baseline and the single modalities included;
            0: none, every method runs with its recipe as it stands. The first trial is the recipe as it stands.
        search_metric: what chooses the setting, on validation data: a metric of the task, or `base.metric`.
        search_space: dotted names in `base` to values: a list of choices, or
            ``{"low": 1e-4, "high": 1e-2, "log": true}``. A recipe's own ``search:`` space is added for that recipe.
        search_seed: of the drawn settings.
        jobs: runs at the same time, each a process with its share of the cores.
    """

    methods: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2], metadata={"min": 0, "max": 2**32 - 1})
    folds: int | list[int] = field(default_factory=list)
    baseline: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    base: TrainConfig = field(default_factory=TrainConfig)
    probe: bool = True
    alone: bool = True
    ensemble: bool | None = None
    classical: bool | None = None
    search_trials: int = field(default=0, metadata={"min": 0})
    search_metric: str = "accuracy"
    search_space: dict[str, Any] = field(default_factory=default_search_space)
    search_seed: int = 0
    jobs: int = field(default=1, metadata={"min": 1})

    def __post_init__(self) -> None:
        """Name the methods of the task where none are, what they are tested against, and each of a number of folds."""
        if isinstance(self.folds, int):
            if self.base.data.folds not in (None, self.folds):
                raise ConfigError(f"folds is {self.folds}, but base.data.folds is {self.base.data.folds}; drop one")
            self.base = replace(self.base, data=replace(self.base.data, folds=self.folds))
            self.folds = list(range(min(self.folds, 1000)))  # more are refused with `base.data.folds`
        if not self.methods:
            self.methods = list(DEFAULT_METHODS.get(self.base.task, ()))
            self.baseline = self.baseline or DEFAULT_BASELINE.get(self.base.task)
