"""How the streams of a fusion are added up: plainly, weighted by zeta, or weighted and attended to by SimAM²."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from counterpoint.errors import ConfigError
from counterpoint.functional import superpose
from counterpoint.fusion.gate import ZetaGate
from counterpoint.fusion.simam2 import SimAM2
from counterpoint.registry import check_options, did_you_mean


class Superposed(NamedTuple):
    """U, the weights behind it (None for a plain sum), and what SimAM² leaves to be recorded."""

    fused: Tensor
    weights: list[Tensor] | None
    extras: dict[str, Tensor]


class Superposition(nn.Module):
    """Eq. (4) of SimAM², and Eq. (8) on top of it with ``attention="simam2"``.

    Args:
        num_streams: M.
        channels: width of the streams.
        context: summed width of the features that a learned zeta is computed from.
        zeta: None for the plain sum (with attention: equal weights, 0.5 for two streams as the paper has it); a
            number in (0, 1), the first stream's weight, of which the others share the rest evenly; ``"learned"``:
            `ZetaGate`.
        gate_hidden: width of the hidden layer of a learned zeta; None for a single linear layer.
        attention: None or ``"simam2"``.
        attention_options: keyword options of `SimAM2`.

    Raises:
        ConfigError: a value outside its range, an unknown attention, or options without attention.
    """

    numbers: Tensor

    def __init__(
        self,
        num_streams: int,
        channels: int,
        context: int,
        *,
        zeta: float | str | None,
        gate_hidden: int | None,
        attention: str | None,
        attention_options: Mapping[str, Any] | None,
    ) -> None:
        super().__init__()
        options = dict(attention_options or {})
        if attention not in (None, "simam2"):
            raise ConfigError(f"No attention is called {attention!r}.{did_you_mean(attention, ['simam2'])}")
        if attention is None and options:
            raise ConfigError(f"attention_options={options} need an attention; choose attention='simam2'")
        check_options("Attention 'simam2'", SimAM2, options, given=2)
        self.gate: ZetaGate | None = None
        self.constants: list[float] | None = None
        if isinstance(zeta, str):
            if zeta != "learned":
                raise ConfigError(f"zeta={zeta!r} is neither a number nor 'learned'.{did_you_mean(zeta, ['learned'])}")
            if gate_hidden is not None and gate_hidden < 1:
                raise ConfigError(f"gate_hidden must be 1 or more, or None, got {gate_hidden}")
            self.gate = ZetaGate(context, channels, num_streams, hidden=gate_hidden)
        elif zeta is not None:
            if isinstance(zeta, bool) or not 0 < zeta < 1:
                raise ConfigError(f"zeta must lie between 0 and 1, got {zeta}")
            self.constants = [float(zeta)] + [(1 - zeta) / (num_streams - 1)] * (num_streams - 1)
        elif attention is not None:
            self.constants = [1 / num_streams] * num_streams
        if self.constants is not None:
            self.register_buffer("numbers", torch.tensor(self.constants), persistent=False)
        self.attention: SimAM2 | None = None
        if attention is not None:
            self.attention = SimAM2(num_streams, channels if self.gate is not None else None, **options)
        self.zeta = zeta

    @property
    def plain(self) -> bool:
        """Whether streams are merely added."""
        return self.gate is None and self.constants is None

    @property
    def separable(self) -> bool:
        """Whether U is a sum of terms of which each depends on one stream alone."""
        return self.gate is None and self.attention is None

    def forward(self, streams: Sequence[Tensor], context: Sequence[Tensor], *, update: bool) -> Superposed:
        """Add up M streams ``(B, ..., channels)``.

        Args:
            streams: X_1 ... X_M.
            context: the features that a learned zeta is computed from.
            update: whether the batch enters SimAM²'s record.
        """
        if self.gate is not None:
            weights: Sequence[Tensor | float] = self.gate(context)
            recorded = [weight for weight in weights if isinstance(weight, Tensor)]
        elif self.constants is not None:
            weights, recorded = self.constants, list(self.numbers.unbind())
        else:
            return Superposed(superpose(streams, [1.0] * len(streams)), None, {})
        if self.attention is None:
            return Superposed(superpose(streams, weights), recorded, {})
        fused, extras = self.attention(streams, weights, update=update)
        return Superposed(fused, recorded, extras)

    def terms(self, streams: Sequence[Tensor]) -> list[Tensor]:
        """The terms whose sum U is, where it is `separable`."""
        if self.constants is None:
            return list(streams)
        return [weight * stream for weight, stream in zip(self.constants, streams, strict=True)]

    def extra_repr(self) -> str:
        """What is not a child module, for ``print(model)``."""
        return f"zeta={self.zeta!r}" if self.gate is None else ""
