"""The one Lightning module: whatever the fusion, head and balancer, this trains it."""

from __future__ import annotations

import contextlib
import functools
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from counterpoint.balance import Balancer
from counterpoint.functional import draw_mix
from counterpoint.losses import CrossEntropy
from counterpoint.models import Model
from counterpoint.training.config import OptimConfig
from counterpoint.training.epoch_metrics import EpochMetrics
from counterpoint.training.optim import create_optimizer, create_schedule
from counterpoint.training.precision import DTYPES, channels_last
from counterpoint.training.step_record import StepRecord, not_finite
from counterpoint.training.task import Classification, Output, Task
from counterpoint.wants import wants


class CounterpointModule(pl.LightningModule):
    """Encoders, fusion and head with the transforms before them and the balancer behind them.

    Optimization is manual, so that the balancer acts between ``backward()`` and ``step()``, on gradients that are
    no longer scaled; the joint norm is clipped after it. Everything random in an epoch follows from `seed`, the
    epoch and the process, so that a resumed run draws what the uninterrupted one would have drawn.

    Args:
        model: encoders, fusion, head; or encoders and localiser.
        transforms: per modality, decoded media ``(B, ...)`` to the encoder's input; run on the device.
        balancer: acts on the encoders' gradients, or by its loss; None: nothing does.
        loss: what is minimised, called like `Loss`; None: the cross entropy of the joint logits.
        task: what the model is trained and evaluated for.
        optim: optimizer and schedule.
        mixup: alpha of `functional.draw_mix`, by which training clips are mixed; 0: they are not.
        total_steps: optimizer steps of the whole run, for the schedule.
        epochs: of the whole run, for the same.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        seed: see above.
    """

    def __init__(
        self,
        model: Model,
        transforms: nn.ModuleDict,
        *,
        balancer: Balancer | None = None,
        loss: Callable[..., Tensor] | None = None,
        task: Task | None = None,
        optim: OptimConfig | None = None,
        mixup: float = 0.0,
        total_steps: int = 1,
        epochs: int = 1,
        precision: str = "32-true",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        channels_last(model)
        self.transforms = transforms
        self.balancer = balancer
        # Registered here, so that they follow the module to its device and under a data-parallel wrapper.
        self.balancer_parts = nn.ModuleDict() if balancer is None else balancer.parts
        self.loss: Callable[..., Tensor] = loss or CrossEntropy()
        self.task = task or Classification()
        self.optim = optim or OptimConfig()
        self.mixup = mixup
        self.total_steps = total_steps
        self.precision = precision
        self.seed = seed
        self.epoch = 0
        self.lr_at_start = self.optim.lr
        self.steps: list[StepRecord] = []
        self.train_scores = EpochMetrics(self.task)
        self.val_scores = EpochMetrics(self.task)
        self.running_statistics: dict[str, Tensor] = {}
        """Those of training, while statistics that fit the weights stand in the model; see `FitStatistics`."""
        self.train_metrics: dict[str, float] = {}
        self.val_metrics: dict[str, float] = {}
        self.optimizer = create_optimizer(self.optim, self.trained)
        self.schedule = create_schedule(self.optim, self.optimizer, total_steps, epochs)
        if balancer is not None and "optimizer" in wants(balancer):
            balancer.attach(self.optimizer)
        self._scaler: torch.amp.GradScaler | None = None
        self._scaler_state: dict[str, Any] | None = None

    # ------------------------------------------------------------------ one batch

    def inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Decoded media to what the encoders take, modality by modality."""
        return {name: channels_last(transform(batch[name])) for name, transform in self.transforms.items()}

    def forward(self, batch: Mapping[str, Tensor]) -> Output:
        """Transforms and model; logits are float32 whatever the precision.

        Args:
            batch: per modality decoded media on this module's device, as the dataset gives it.
        """
        answer: Output = self._answer(self.inputs(batch))
        return answer

    def _answer(self, inputs: Mapping[str, Tensor]) -> Any:  # an Output; a balancer has its own kind
        with self._autocast():
            return self.model(inputs).float()

    @contextlib.contextmanager
    def _autocast(self) -> Iterator[None]:
        dtype = DTYPES[self.precision]
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            yield

    def objective(self, output: Output, target: Tensor) -> Tensor:
        """The loss with label smoothing, a scalar."""
        return self.loss(output, target, label_smoothing=self.optim.label_smoothing)

    # ------------------------------------------------------------------ training

    @property
    def trained(self) -> list[nn.Parameter]:
        """The parameters of the model, and after them those of what the balancer trains beside it."""
        return [*self.model.parameters(), *self.balancer_parts.parameters()]

    @property
    def names(self) -> list[str]:
        """Of the parameters in `trained`."""
        return [name for name, _ in (*self.model.named_parameters(), *self.balancer_parts.named_parameters())]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer; the schedule is stepped by hand."""
        return self.optimizer

    @property
    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss under float16, and does nothing under every other precision."""
        if self._scaler is None:
            self._scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "16-mixed")
            if self._scaler_state is not None:
                self._scaler.load_state_dict(self._scaler_state)
        return self._scaler

    def begin_epoch(self, epoch: int) -> None:
        """Make everything random that follows a function of seed, epoch and process; statistics run on."""
        self.epoch = epoch
        self.model.load_state_dict(self.running_statistics, strict=False)
        self.running_statistics = {}
        self.lr_at_start = self.optimizer.param_groups[0]["lr"]
        torch.manual_seed(zlib.crc32(f"{self.seed}/{epoch}/{self.global_rank}".encode()))
        if self.balancer is not None:
            self.balancer.set_epoch(epoch)
        self.steps.clear()
        self.train_scores.clear()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """One optimizer step; reads nothing back from the device."""
        inputs, target = self.inputs(batch), self.task.trained_on(batch["target"])
        mix = draw_mix(len(target), self.mixup, target.device) if self.mixup else None
        output = self._answer(inputs if mix is None else mix.inputs(inputs))
        objective = functools.partial(self.objective, output)
        loss = objective(target) if mix is None else mix.loss(objective, target)
        self.optimizer.zero_grad()
        self.manual_backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        gradients = not_finite([parameter.grad for parameter in self.trained], loss)
        balance: Mapping[str, Tensor] = {}
        if self.balancer is not None:
            balance = self.balancer.step(output, target)
        if self.optim.clip_norm is not None:
            clip_grad_norm_(self.trained, self.optim.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        modalities = not_finite(list(output.unimodal_logits.values()), loss)
        ratio, coefficient = balance.get("ratio"), balance.get("coefficient")
        self.steps.append(StepRecord(loss.detach(), ratio, coefficient, modalities, gradients))
        self.train_scores.add(output, batch["target"], batch["index"])

    # ------------------------------------------------------------------ evaluating

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Gather the scores of a batch."""
        self.val_scores.add(self(batch), batch["target"], batch["index"])

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's scores."""
        self.val_scores.clear()

    def on_validation_epoch_end(self) -> None:
        """Count this epoch's scores, of training too: callbacks write them before `on_train_epoch_end`."""
        self.train_metrics = self.train_scores.compute("train_", scores=True)
        self.val_metrics = self.val_scores.compute("val_", scores=True)

    # ------------------------------------------------------------------ out and back

    def training_state(self) -> dict[str, Any]:
        """All that a resumed run needs beside the number of finished epochs; plain containers and tensors."""
        return {
            "state_dict": self.model.state_dict(),
            "running_statistics": self.running_statistics,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "balancer": None if self.balancer is None else self.balancer.state_dict(),
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Bring back what `training_state` gave; to be called before the module is moved to its device."""
        self.model.load_state_dict(state["state_dict"])
        self.running_statistics = state.get("running_statistics", {})  # there are none from before 0.2
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self._scaler_state = state["scaler"]
        if self.balancer is not None:
            self.balancer.load_state_dict(state["balancer"])

    def reschedule(self) -> None:
        """Have the learning rate that the schedule of `total_steps` steps gives here: the state is of a shorter one."""
        of = self.schedule
        for group, lr, share in zip(self.optimizer.param_groups, of.base_lrs, of.lr_lambdas, strict=True):
            group["lr"] = lr * share(of.last_epoch)
