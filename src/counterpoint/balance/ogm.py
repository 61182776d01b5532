"""On-the-fly gradient modulation: OGM, OGM-GE, and the decoupling-free scheme of SimAM² (Sec. 2.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from counterpoint.balance.base import BALANCERS, Balancer
from counterpoint.balance.noise import add_noise, standard_deviation
from counterpoint.balance.parameters import gradients_by_device, select_parameters
from counterpoint.distributed import all_reduce_sum
from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.functional import logit_scores, modality_ratios, ogm_coefficients, zeta_scores
from counterpoint.fusion.output import FusionOutput


@BALANCERS.register("ogm")
class OGM(Balancer):
    """Slows the encoder of the modality that is ahead: its gradients are multiplied by k = 1 - tanh(alpha * ratio).

    Gradients are changed in place and stay on the device: no step waits for the host. Ratios are of the batch over all
    processes.

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
        parameters: ``"conv"``: weights of convolutions alone, as OGM-GE's release does; ``"all"``: every one.

    Raises:
        ConfigError: an option outside its range, an encoder without convolutions, or encoders that share parameters.

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

    wants: ClassVar[tuple[str, ...]] = ("parameters",)

    def __init__(
        self,
        encoders: Mapping[str, nn.Module] | nn.ModuleDict,
        *,
        alpha: float = 0.8,
        ratio: Literal["score", "zeta"] = "score",
        epochs: Sequence[int] | None = (0, 50),
        parameters: Literal["conv", "all"] = "conv",
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
        self._scores: Tensor | None = None

    @property
    def active(self) -> bool:
        """Whether the running epoch lies in the window."""
        return self.epochs is None or self.epochs[0] <= self.epoch <= self.epochs[1]

    @torch.no_grad()
    def observe(self, output: FusionOutput, target: Tensor) -> None:
        """Add a part of the batch to what `step` judges; see `Balancer` on accumulation."""
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
        self._modulate(coefficients)
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

    def _modulate(self, coefficients: Tensor) -> None:
        """Change all gradients in place, given k per modality."""
        position, found = 0, False
        for coefficient, parameters in zip(coefficients, self.parameters.values(), strict=True):
            for device, (positions, gradients) in gradients_by_device(parameters, position).items():
                found = True
                self._change(coefficient.to(device), positions, gradients)
            position += len(parameters)
        if not found:
            raise CounterpointError(
                f"{type(self).__name__}.step() found no gradient in the encoders of {', '.join(self.modalities)}: call "
                "it after backward() and before zero_grad(), with the encoders that are trained."
            )

    def _change(self, coefficient: Tensor, positions: list[int], gradients: list[Tensor]) -> None:
        """Change the gradients of one modality on one device, given its k, a tensor of no axes."""
        torch._foreach_mul_(gradients, coefficient)


@BALANCERS.register("ogm_ge")
class OGMGE(OGM):
    """OGM with generalisation enhancement: Gaussian noise as large as the gradient's own spread is added to it.

    Each gradient g becomes k * g + N(0, std(g)²), with one standard deviation for a whole tensor. The noise depends on
    `seed` and the number of steps alone: it is the same on every process, leaves the global generators untouched, and
    goes on where it was after `load_state_dict`. (On another type of device it is another noise.) On a CPU it is
    drawn to 16 bits: 65536 equally probable values that end at 4.3 standard deviations.

    Args:
        encoders: as for `OGM`, and so are `alpha`, `ratio`, `epochs` and `parameters`.
        alpha: as for `OGM`.
        ratio: as for `OGM`.
        epochs: as for `OGM`; noise is added in the same window.
        parameters: as for `OGM`.
        noise: which modalities receive it. ``"all"``: every one, also where k is one, as the paper and its release do;
            ``"slowed"``: those alone whose gradients are scaled down.
        noise_std: whose spread it has. ``"unscaled"``: that of the gradient before it is scaled, as the release does
            today (plus 1e-8); ``"scaled"``: that of k * g, as its first versions did.
        seed: of the noise, not negative; the same on every process.

    Raises:
        ConfigError: as for `OGM`.

    Example:
        >>> encoders = {"audio": nn.Conv1d(1, 4, 3), "visual": nn.Conv2d(1, 4, 3)}
        >>> OGMGE(encoders, alpha=0.8, ratio="zeta").modalities
        ('audio', 'visual')
    """

    wants = ("parameters", "seed")

    def __init__(
        self,
        encoders: Mapping[str, nn.Module] | nn.ModuleDict,
        *,
        alpha: float = 0.8,
        ratio: Literal["score", "zeta"] = "score",
        epochs: Sequence[int] | None = (0, 50),
        parameters: Literal["conv", "all"] = "conv",
        noise: Literal["all", "slowed"] = "all",
        noise_std: Literal["unscaled", "scaled"] = "unscaled",
        seed: int = 0,
    ) -> None:
        super().__init__(encoders, alpha=alpha, ratio=ratio, epochs=epochs, parameters=parameters)
        if seed < 0:
            raise ConfigError(f"seed={seed} is negative; the noise needs a seed of at least 0.")
        self.noise = noise
        self.noise_std = noise_std
        self.seed = seed
        self.noise_step = 0

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and what the next noise depends on: plain numbers."""
        return {**super().state_dict(), "seed": self.seed, "noise_step": self.noise_step}

    def _modulate(self, coefficients: Tensor) -> None:
        super()._modulate(coefficients)
        self.noise_step += 1

    def _change(self, coefficient: Tensor, positions: list[int], gradients: list[Tensor]) -> None:
        scales = torch.stack([standard_deviation(g) for g in gradients])
        if self.noise_std == "scaled":
            scales = scales * coefficient
        scales = scales + 1e-8
        if self.noise == "slowed":
            scales = scales * (coefficient < 1)
        super()._change(coefficient, positions, gradients)
        add_noise(self.seed, self.noise_step, positions, gradients, scales.unbind())
