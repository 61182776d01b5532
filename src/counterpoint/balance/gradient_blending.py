"""G-Blending: a head for each modality beside the joint one, and losses weighed by how well each head generalises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterpoint._features import check_modalities
from counterpoint.balance.base import BALANCERS, Balancer
from counterpoint.balance.features import features_of
from counterpoint.errors import ConfigError
from counterpoint.functional import blending_weights
from counterpoint.fusion.base import Fusion
from counterpoint.fusion.output import FusionOutput
from counterpoint.heads import Cosine, Separate

JOINT = "joint"


@BALANCERS.register("gradient_blending")
class GradientBlending(Balancer):
    """Gradient-Blending (Wang, Tran and Feiszli 2020): the loss is ``sum_k w_k L_k`` over unimodal heads and the joint.

    Every modality gets a head of its own on its encoder's features (in `parts`; they are thrown away after
    training, predictions come from the joint head), and ``w_k ∝ G_k / O_k²`` says how well head k generalises against
    how much it overfits, see `functional.blending_weights`. To see both, a share of the training clips is held
    out and never trained on; whoever trains calls `review` with both parts' mean losses whenever it is
    `due`. In a loop of one's own `loss` is what is minimised, and the optimizer gets
    ``balance.parts.parameters()`` too.

    The paper's estimate trains a copy of every head's network alone, from where training stands, for `every` epochs.
    Here G and O are read off the one network as it trains, which costs one pass over the clips every so many epochs and
    no further training. The first `every` epochs run with equal weights; and as heads are trained by their weights, one
    that is near zero changes little from then on. Weights from networks that were trained apart, as in the paper's
    offline form, are given by `weights`; `functional.blending_weights` makes them from such losses.

    Args:
        encoders: per modality the module whose features its head reads.
        fusion: whose features, classes and head the unimodal heads follow: under MMCosine the joint head's scale, with
            plain cosine, as Table 3 of MMCosine has it.
        form: ``"online"``: weights are estimated anew after every `every` epochs, from these; ``"offline"``: once,
            after the first `every` epochs.
        every: epochs between two estimates, the paper's super-epoch; at least 1.
        holdout: share of the training clips to hold out, between 0 and 1; without effect where `weights` are given.
        weights: per modality and for ``"joint"`` a number of at least 0: nothing is estimated and nothing held out.
            None: estimated.
        head: registered head of the unimodal heads; None: ``"cosine"`` if the joint one is, else ``"linear"``.
        head_options: its keyword options.

    Raises:
        ConfigError: an option outside its range, or a fusion of other modalities than the encoders.

    Example:
        >>> from counterpoint.fusion import Concat
        >>> encoders = {"audio": nn.Linear(4, 4), "visual": nn.Linear(6, 4)}
        >>> balance = GradientBlending(encoders, fusion=Concat({"audio": 4, "visual": 4}, 3), every=5)
        >>> balance.due(0), balance.due(5)
        (True, True)
    """

    wants = ("fusion",)

    def __init__(
        self,
        encoders: Mapping[str, nn.Module] | nn.ModuleDict,
        *,
        fusion: Fusion,
        form: Literal["online", "offline"] = "online",
        every: int = 10,
        holdout: float = 0.1,
        weights: Mapping[str, float] | None = None,
        head: str | None = None,
        head_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(encoders)
        if every < 1 or not 0 < holdout < 1:
            raise ConfigError(f"every must be 1 or more and holdout between 0 and 1, got {every} and {holdout}")
        check_modalities("Gradient-Blending", fusion.modalities, self.modalities)
        if JOINT in self.modalities:
            raise ConfigError(f"a modality cannot be called {JOINT!r} here: it is what the joint head is called")
        self.form = form
        self.every = every
        self.names = (*self.modalities, JOINT)
        self.fixed = weights is not None
        self.holdout = 0.0 if self.fixed else holdout
        self.weights = dict.fromkeys(self.names, 1 / len(self.names)) if weights is None else self._checked(weights)
        self.before: dict[str, dict[str, float]] | None = None
        options = dict(head_options or {})
        # Late fusion has a joint head for each modality, all of one kind.
        joint = next(iter(fusion.head.each.values())) if isinstance(fusion.head, Separate) else fusion.head
        if head is None:
            head = "cosine" if isinstance(joint, Cosine) else "linear"
        if head == "cosine" and isinstance(joint, Cosine):
            options.setdefault("scale", joint.scale)
        dims = {name: fusion.dims[name] for name in self.modalities}
        self.parts["heads"] = Separate(head, dims, fusion.num_classes, **options)

    def _checked(self, weights: Mapping[str, float]) -> dict[str, float]:
        values = list(weights.values())
        if set(weights) != set(self.names) or not all(0 <= value < math.inf for value in values) or not any(values):
            raise ConfigError(
                f"weights={dict(weights)} must give each of {', '.join(self.names)} a number of at least 0, and one of "
                "them more"
            )
        return {name: float(weights[name]) for name in self.names}

    def measure(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """Cross entropy of every head on every sample, ``(B,)`` each; the joint one last.

        Raises:
            ConfigError: the output does not carry the features that the heads read.
        """
        return {
            name: F.cross_entropy(logits, target, reduction="none") for name, logits in self._answers(output).items()
        }

    def loss(self, output: FusionOutput, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """``sum_k w_k L_k``; see `Balancer.loss`.

        Raises:
            ConfigError: the output does not carry the features that the heads read.
        """
        each = [
            self.weights[name] * F.cross_entropy(logits, target, label_smoothing=label_smoothing)
            for name, logits in self._answers(output).items()
        ]
        return torch.stack(each).sum()

    def _answers(self, output: FusionOutput) -> dict[str, Tensor]:
        heads = self.parts["heads"]
        logits: dict[str, Tensor] = heads(features_of("Gradient-Blending", output, heads))
        return {**{name: logits[name] for name in self.modalities}, JOINT: output.logits}

    def due(self, finished: int) -> bool:
        """Whether `review` is to come after that many finished epochs, 0 before the first."""
        if self.fixed:
            return False
        return finished in (0, self.every) if self.form == "offline" else finished % self.every == 0

    def review(self, train: Mapping[str, float], held_out: Mapping[str, float]) -> None:
        """Estimate the weights from what changed since the last review; the first only takes note.

        Args:
            train: mean of `measure` over the clips that are trained on, in evaluation mode, over all processes.
            held_out: the same over those held out.
        """
        now = {
            "train": {name: float(train[name]) for name in self.names},
            "held_out": {name: float(held_out[name]) for name in self.names},
        }
        if self.before is not None:
            losses = [
                torch.tensor([list(then[part].values()) for then in (self.before, now)], dtype=torch.float64)
                for part in ("train", "held_out")
            ]
            self.weights = dict(zip(self.names, blending_weights(*losses).tolist(), strict=True))
        self.before = now

    def observe(self, output: FusionOutput, target: Tensor) -> None:
        """Nothing: gradients are weighed by the loss."""

    def step(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """Leave the gradients as they are.

        Returns:
            ``"coefficient"``, the weights of the modalities' own losses, ``(M,)``; the joint one has what is left.
        """
        weights = [output.logits.new_full((), self.weights[name]) for name in self.modalities]
        return {"coefficient": torch.stack(weights)}

    def state_dict(self) -> dict[str, Any]:
        """The epoch, the heads' parameters, the weights, and the losses of the last review."""
        return {**super().state_dict(), "weights": dict(self.weights), "before": self.before}
