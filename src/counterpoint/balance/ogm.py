"""On-the-fly gradient modulation: OGM, OGM-GE, and the decoupling-free scheme of SimAM² (Sec. 2.3)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from counterpoint.balance.base import BALANCERS, Balancer
from counterpoint.balance.noise import add_noise, standard_deviation
from counterpoint.balance.parameters import Which, by_device, reach, select_parameters
from counterpoint.balance.update import LastStep, steps_with_gradients
from counterpoint.distributed import all_reduce_sum
from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.functional import logit_scores, modality_ratios, ogm_coefficients, zeta_scores
from counterpoint.fusion.output import FusionOutput


@BALANCERS.register("ogm")
class OGM(Balancer):
    """Slows the encoder of the modality that is ahead: its gradients, or its steps, times k = 1 - tanh(alpha * ratio).

    The papers scale gradients, under SGD. An optimizer that normalises them, as Adam does, divides k out again and
    steps as far as before; there k belongs on the step. All is changed in place and stays on the device: no step waits
    for the host. Ratios are of the batch over all processes.

    Args:
        encoders: per modality the module whose gradients are scaled.
        alpha: how strongly, at least 0. OGM-GE uses 0.8 on CREMA-D and 0.1 on VGGSound. k jumps where the ratio passes
            one: at alpha 0.8 it is 1 below, 0.336 just above, 0.078 at a ratio of 2.
        ratio: what tells which modality is ahead. ``"score"``: the decoupled ratio of OGM-GE, the summed probability
            that each modality's own logits give the right class (`functional.score_ratio`). ``"zeta"``: the
            decoupling-free ratio, Eq. (11) of SimAM², from the weights of the superposition (`functional.zeta_ratio`).
            A fusion that has no such weights, as concatenation, keeps the decoupled ratio (Sec. 4 of SimAM²); weights
            that are not learned give a ratio that never changes, at 0.5 one that slows nobody.
        epochs: first and last epoch in which gradients are scaled, both included; None: always. OGM-GE uses (0, 50).
            Counted by `set_epoch`: a loop that never calls it stays in epoch 0.
        parameters: ``"conv"``: weights of convolutions alone, as OGM-GE's release does; ``"all"``: every one;
            ``"auto"``: as released where convolutions are a fifth of what is trained of an encoder or more (those of
            the papers: 88 % and more); else, as in transformers and encoders of vectors, all weights of two axes or
            more.
        on: what k multiplies. ``"gradient"``: as published. ``"update"``: the step that `optimizer` makes, weight decay
            included; its own averages run on as if nobody were slowed. ``"auto"``: the gradient where a tenth of it
            makes a tenth of the step, as under SGD, or where the optimizer is not known; else the update.
        optimizer: what steps on the encoders; `attach` gives it afterwards. `step` comes before its step all the same.

    Raises:
        ConfigError: an option outside its range; an encoder without such parameters, or of which they are less than a
            tenth of what is trained; or encoders that share parameters.

    Warns:
        UserWarning: less than a fifth of an encoder is reached, or more than its convolutions, which are few; and in
            the first step, that ``ratio="zeta"`` has weights which are not learned.

    Example:
        >>> from counterpoint.fusion import Concat
        >>> encoders = {"audio": nn.Linear(4, 4), "visual": nn.Linear(6, 4)}
        >>> features = {m: encoder(torch.randn(2, encoder.in_features)) for m, encoder in encoders.items()}
        >>> output, target = Concat({"audio": 4, "visual": 4}, num_classes=3)(features), torch.tensor([0, 2])
        >>> balance = OGM(encoders, alpha=0.8, parameters="all")
        >>> balance.loss(output, target).backward()
        >>> balance.step(output, target)["coefficient"].shape
        torch.Size([2])
    """

    wants: ClassVar[tuple[str, ...]] = ("parameters", "optimizer")

    def __init__(
        self,
        encoders: Mapping[str, nn.Module] | nn.ModuleDict,
        *,
        alpha: float = 0.8,
        ratio: Literal["score", "zeta"] = "score",
        epochs: Sequence[int] | None = (0, 50),
        parameters: Which = "auto",
        on: Literal["auto", "gradient", "update"] = "auto",
        optimizer: Optimizer | None = None,
    ) -> None:
        super().__init__(encoders)
        if not (alpha >= 0 and math.isfinite(alpha)):
            raise ConfigError(f"alpha={alpha} is not a number of at least 0.")
        if epochs is not None and not (
            isinstance(epochs, Sequence) and len(epochs) == 2 and 0 <= epochs[0] <= epochs[1]
        ):
            raise ConfigError(f"epochs={epochs} is not (first, last) with 0 <= first <= last.")
        self.alpha = alpha
        self.ratio = ratio
        self.epochs = None if epochs is None else (epochs[0], epochs[1])
        self.parameters = select_parameters(self.encoders, parameters)
        reached, look = reach(self.encoders, self.parameters)
        self.notes = (f"{type(self).__name__} acts on {reached}",)
        if look:
            warnings.warn(f"{self.notes[0]}; `parameters` chooses.", stacklevel=2)
        self._checked = False
        self.on = on
        self._scores: Tensor | None = None
        self._coefficients: Tensor | None = None
        self._last_step: LastStep | None = None
        if optimizer is not None:
            self.attach(optimizer)

    def attach(self, optimizer: Optimizer) -> None:
        """Take the optimizer of the encoders: its steps are what k multiplies, where `on` says so.

        Args:
            optimizer: of the encoders at least.

        Warns:
            UserWarning: ``on="gradient"`` under an optimizer that divides k out again.
        """
        super().attach(optimizer)
        if self._last_step is not None:
            self._last_step.remove()
            self._last_step = None
        normalises = self.on != "update" and not steps_with_gradients(optimizer)
        if self.on == "update" or (self.on == "auto" and normalises):
            parameters = [p for of_one in self.parameters.values() for p in of_one]
            self._last_step = LastStep(optimizer, parameters, lambda: self._coefficients is not None, self._slow_step)
        elif normalises:
            warnings.warn(
                f"{type(self).__name__}(on='gradient') scales gradients, and {type(optimizer).__name__} divides their "
                "size out again: no encoder is slowed. on='update' scales its steps instead.",
                stacklevel=2,
            )

    @property
    def active(self) -> bool:
        """Whether the running epoch lies in the window."""
        return self.epochs is None or self.epochs[0] <= self.epoch <= self.epochs[1]

    def check(self, output: FusionOutput) -> None:
        """Refuse weights that are not learned, where the ratio is made of them.

        Args:
            output: of the fusion, with gradients.

        Raises:
            ConfigError: see above.
        """
        weights = output.weights
        if self.ratio == "zeta" and weights and not any(weight.requires_grad for weight in weights.values()):
            raise ConfigError(
                "ratio='zeta' goes by the weights of the superposition, which are not learned here: the ratio never "
                "changes, and at zeta 0.5 nobody is slowed. Learn them (fusion.zeta=learned), or take ratio='score'"
            )

    @torch.no_grad()
    def observe(self, output: FusionOutput, target: Tensor) -> None:
        """Add a part of the batch to what `step` judges; see `Balancer` on accumulation."""
        if not self._checked:
            self._checked = True
            try:
                self.check(output)
            except ConfigError as error:
                warnings.warn(str(error), stacklevel=2)
        scores = self._score(output, target)
        self._scores = scores if self._scores is None else self._scores + scores

    @torch.no_grad()
    def step(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """Scale the encoders' gradients in place.

        Args:
            output: what the fusion returned for the (last part of the) batch.
            target: classes, ``(B,)``.

        Returns:
            ``"ratio"`` and ``"coefficient"``, each ``(M,)`` in the order of `modalities`, on the device of the logits;
            coefficients are one outside the window of epochs.

        Raises:
            ConfigError: `output` lacks a modality, or has one more.
            CounterpointError: no gradient is there to scale.
        """
        self.observe(output, target)
        assert self._scores is not None
        # Scores are sums over samples, so they can be joined over processes and parts of a batch; ratios cannot.
        scores, self._scores = all_reduce_sum(self._scores), None
        ratios = modality_ratios(scores)
        if not self.active:
            return {"ratio": ratios, "coefficient": torch.ones_like(ratios)}
        coefficients = ogm_coefficients(ratios, self.alpha)
        gradients = [None if p.grad is None else p.grad.detach() for of in self.parameters.values() for p in of]
        if all(gradient is None for gradient in gradients):
            raise CounterpointError(
                f"{type(self).__name__}.step() found no gradient in the encoders of {', '.join(self.modalities)}: call "
                "it after backward() and before zero_grad(), with the encoders that are trained."
            )
        if self._last_step is None:
            self._modulate(coefficients, coefficients, gradients)
        else:
            self._coefficients = coefficients
        return {"ratio": ratios, "coefficient": coefficients}

    def _score(self, output: FusionOutput, target: Tensor) -> Tensor:
        """What ratios are made of: per modality a sum over this batch, ``(M,)``."""
        per_modality = output.unimodal_logits
        if set(per_modality) != set(self.modalities):
            raise ConfigError(
                f"The output is of the modalities {sorted(per_modality)}, but {type(self).__name__} balances the "
                f"encoders of {sorted(self.modalities)}: both need the same names."
            )
        if self.ratio == "zeta" and output.weights is not None:
            return zeta_scores([output.weights[m] for m in self.modalities])
        return logit_scores([per_modality[m] for m in self.modalities], target)

    def _slow_step(self, back: list[Tensor | None]) -> None:
        """Make of minus the optimizer's step what takes it back to k times its length: (1 - k) of it."""
        assert self._coefficients is not None
        coefficients, self._coefficients = self._coefficients, None
        self._modulate(coefficients, 1 - coefficients, back)

    def _modulate(self, coefficients: Tensor, factors: Tensor, tensors: list[Tensor | None]) -> None:
        """Change one tensor per parameter in place, given k and the factor of each modality, both ``(M,)``."""
        position = 0
        for coefficient, factor, parameters in zip(coefficients, factors, self.parameters.values(), strict=True):
            of_one = tensors[position : position + len(parameters)]
            for device, (positions, same) in by_device(of_one, position).items():
                self._change(coefficient.to(device), factor.to(device), positions, same)
            position += len(parameters)

    def _change(self, coefficient: Tensor, factor: Tensor, positions: list[int], tensors: list[Tensor]) -> None:
        """Change the tensors of one modality on one device, given its k and its factor, tensors of no axes."""
        torch._foreach_mul_(tensors, factor)


@BALANCERS.register("ogm_ge")
class OGMGE(OGM):
    """OGM with generalisation enhancement: Gaussian noise as large as the gradient's own spread is added to it.

    Each gradient g becomes k * g + N(0, std(g)²), with one standard deviation for a whole tensor. The noise depends on
    `seed` and the number of steps alone: it is the same on every process, leaves the global generators untouched, and
    goes on where it was after `load_state_dict`. (On another type of device it is another noise.) On a CPU it is
    drawn to 16 bits: 65536 equally probable values that end at 4.3 standard deviations. On the update it is as large
    as the spread of the step that the optimizer made, and added to k times that step.

    Args:
        encoders: as for `OGM`, and so are `alpha`, `ratio`, `epochs`, `parameters`, `on` and `optimizer`.
        alpha: as for `OGM`.
        ratio: as for `OGM`.
        epochs: as for `OGM`; noise is added in the same window.
        parameters: as for `OGM`.
        noise: which modalities receive it. ``"all"``: every one, also where k is one, as the paper and its release do;
            ``"slowed"``: those alone whose gradients are scaled down.
        noise_std: whose spread it has. ``"unscaled"``: that of the gradient before it is scaled, as the release does
            today (plus 1e-8); ``"scaled"``: that of k * g, as its first versions did.
        seed: of the noise, not negative; the same on every process.
        on: as for `OGM`.
        optimizer: as for `OGM`.

    Raises:
        ConfigError: as for `OGM`.

    Example:
        >>> encoders = {"audio": nn.Conv1d(1, 4, 3), "visual": nn.Conv2d(1, 4, 3)}
        >>> OGMGE(encoders, alpha=0.8, ratio="zeta").modalities
        ('audio', 'visual')
    """

    wants = ("parameters", "seed", "optimizer")

    def __init__(
        self,
        encoders: Mapping[str, nn.Module] | nn.ModuleDict,
        *,
        alpha: float = 0.8,
        ratio: Literal["score", "zeta"] = "score",
        epochs: Sequence[int] | None = (0, 50),
        parameters: Which = "auto",
        noise: Literal["all", "slowed"] = "all",
        noise_std: Literal["unscaled", "scaled"] = "unscaled",
        seed: int = 0,
        on: Literal["auto", "gradient", "update"] = "auto",
        optimizer: Optimizer | None = None,
    ) -> None:
        super().__init__(
            encoders, alpha=alpha, ratio=ratio, epochs=epochs, parameters=parameters, on=on, optimizer=optimizer
        )
        if seed < 0:
            raise ConfigError(f"seed={seed} is negative; the noise needs a seed of at least 0.")
        self.noise = noise
        self.noise_std = noise_std
        self.seed = seed
        self.noise_step = 0

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and what the next noise depends on: plain numbers."""
        return {**super().state_dict(), "seed": self.seed, "noise_step": self.noise_step}

    def _modulate(self, coefficients: Tensor, factors: Tensor, tensors: list[Tensor | None]) -> None:
        super()._modulate(coefficients, factors, tensors)
        self.noise_step += 1

    def _change(self, coefficient: Tensor, factor: Tensor, positions: list[int], tensors: list[Tensor]) -> None:
        scales = torch.stack([standard_deviation(one) for one in tensors])
        if self.noise_std == "scaled":
            scales = scales * coefficient
        if self._last_step is None:
            scales = scales + 1e-8  # as the release does; where nothing moved there is no step to add noise to
        if self.noise == "slowed":
            scales = scales * (coefficient < 1)
        super()._change(coefficient, factor, positions, tensors)
        add_noise(self.seed, self.noise_step, positions, tensors, scales.unbind())
