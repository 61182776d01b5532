"""SimAM² as a module: the energy attention of Eqs. (6) to (8), with the record that Eq. (6) keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from typing_extensions import override

from counterpoint.distributed import all_gather
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import simam2_with_energy, zeta_spread
from counterpoint.functional.precision import widened
from counterpoint.functional.simam import axes
from counterpoint.functional.simam2 import Sign
from counterpoint.registry import Part


class SimAM2(Part, nn.Module):
    """Superpose M streams and let every neuron of the sum be weighted by its energy.

    Fusions use it through ``attention="simam2"``; alone it replaces a sum or mean of streams inside any network.

    With constant weights, r is tanh(1). With learned ones, r comes from their variance over the batch, over all
    processes, against the highest variance on record, Eq. (6) of SimAM². Only training keeps the record; evaluation
    uses the r of the last training batch, so that a sample's result does not depend on its neighbours.

    Args:
        num_streams: M, at least 2.
        channels: width of the streams where the weights are learned; None for constant weights.
        s: scaling in Eq. (6).
        lam: lambda in Eqs. (6) and (7).
        sign: ``"paper"`` for sigmoid(E*), Eq. (8); ``"opposite"`` for sigmoid(-E*), see `functional.simam2`.
        dim: axes of the population: -1 for vectors and sequences, ``(-2, -1)`` for maps; never the batch.
        channel_axis: axis of the channels of weights: -1 for vectors and sequences, 1 for maps.
        correction: 0 divides squared deviations by n, 1 by n - 1 (SimAM's code).
        detach_r: whether r is a constant for the gradient; the paper does not say. False lets gradients through Eq.
            (6).

    Raises:
        ConfigError: a value outside its range.

    Example:
        >>> attention = SimAM2(num_streams=2)
        >>> fused, extras = attention([torch.randn(2, 8), torch.randn(2, 8)], [0.5, 0.5])
        >>> fused.shape
        torch.Size([2, 8])
    """

    r: Tensor
    var_max: Tensor

    def __init__(
        self,
        num_streams: int = 2,
        channels: int | None = None,
        *,
        s: float = 2.5,
        lam: float = 1e-6,
        sign: Sign = "paper",
        dim: int | Sequence[int] = -1,
        channel_axis: int = -1,
        correction: int = 0,
        detach_r: bool = True,
    ) -> None:
        super().__init__()
        if num_streams < 2:
            raise ConfigError(f"SimAM² weighs two streams or more against each other, got {num_streams}")
        if not (s > 0 and lam > 0):  # nor NaN
            raise ConfigError(f"SimAM² needs s > 0 and lam > 0, got s={s} and lam={lam}")
        if correction not in (0, 1):
            raise ConfigError(f"correction is 0 or 1, got {correction}")
        self.num_streams = num_streams
        self.channels = channels
        self.s = s
        self.lam = lam
        self.sign = sign
        self.dim = dim if isinstance(dim, int) else tuple(dim)
        self.channel_axis = channel_axis
        self.correction = correction
        self.detach_r = detach_r
        if channels is not None:
            neurons = channels if num_streams == 2 else num_streams * channels
            self.register_buffer("var_max", torch.zeros(neurons))
            self.register_buffer("r", torch.tensor(math.tanh(1.0)))

    if TYPE_CHECKING:

        @override
        def __call__(
            self, streams: Sequence[Tensor], weights: Sequence[Tensor | float], *, update: bool | None = None
        ) -> tuple[Tensor, dict[str, Tensor]]: ...

    def forward(
        self, streams: Sequence[Tensor], weights: Sequence[Tensor | float], *, update: bool | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Superpose and weigh.

        Args:
            streams: M tensors of one shape.
            weights: M numbers where `channels` is None, else M tensors that broadcast to the streams.
            update: whether the batch enters the record; None: while training.

        Returns:
            Ū, shaped like a stream, and ``{"r": scalar, "energy": E*}``, which carry no gradient.

        Raises:
            ConfigError: another number of streams than declared, or numbers for weights declared to be learned.
            ShapeError: a population that takes in the batch, weights of other channels, or see `simam2`.
        """
        if len(streams) != self.num_streams:
            raise ConfigError(f"SimAM² was declared with {self.num_streams} streams, but got {len(streams)}")
        if any(axis % streams[0].ndim == 0 for axis in axes(self.dim)):
            raise ShapeError(
                f"dim={self.dim} makes the batch part of a population of streams {tuple(streams[0].shape)}: a sample "
                "would depend on its neighbours"
            )
        r: Tensor | float = math.tanh(1.0)
        if self.channels is not None:
            r = self._spread(weights) if (self.training if update is None else update) else self.r.clone()
        updated, energy = simam2_with_energy(
            streams, weights, r, dim=self.dim, lam=self.lam, sign=self.sign, correction=self.correction
        )
        recorded = r.detach() if isinstance(r, Tensor) else energy.new_full((), r)
        return updated, {"r": recorded, "energy": energy}

    def _spread(self, weights: Sequence[Tensor | float]) -> Tensor:
        """r of this batch, Eq. (6); enters the batch into the record."""
        tensors = [widened(weight) for weight in weights if isinstance(weight, Tensor)]
        if len(tensors) != len(weights):
            raise ConfigError(
                f"SimAM² was declared with channels={self.channels}: its weights are tensors, not numbers"
            )
        # Of two weights the second is one minus the first, and the paper records zeta alone; of more, all are recorded.
        zeta = tensors[0] if self.num_streams == 2 else torch.cat(tensors, self.channel_axis)
        samples = zeta.movedim(self.channel_axis, -1).flatten(0, -2)
        r, var_max = zeta_spread(
            all_gather(samples.detach() if self.detach_r else samples), self.var_max, s=self.s, lam=self.lam
        )
        self.var_max.copy_(var_max)
        # A batch that is empty or overflowed has no r, and its step is skipped: evaluation goes on with the last one.
        self.r.copy_(torch.where(r.isnan(), self.r, r.detach()))
        return r

    def extra_repr(self) -> str:
        """Options, for ``print(model)``."""
        return f"streams={self.num_streams}, channels={self.channels}, s={self.s}, sign={self.sign!r}, dim={self.dim}"
