"""How the streams of a fusion are added up: plainly, weighted by zeta, or weighted and attended to by SimAM²."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from counterpoint.errors import ConfigError
from counterpoint.functional import superpose
from counterpoint.fusion.gate import ZetaGate
from counterpoint.fusion.simam2 import SimAM2
from counterpoint.registry import Part, check_options


class AttentionOptions(TypedDict, total=False):
    """How streams are attended to; options of every fusion that superposes.

    Attributes:
        attention: None (default), or ``"simam2"`` for Eq. (8) of SimAM²: every neuron of U is weighted by its energy.
        attention_options: keyword options of `SimAM2`.
        gate_hidden: width of the hidden layer behind a learned zeta, 128 by default; None for a single linear layer.
    """

    attention: Literal["simam2"] | None
    attention_options: Mapping[str, Any] | None
    gate_hidden: int | None


class SuperpositionOptions(AttentionOptions, total=False):
    """How streams are weighted and attended to: Eqs. (4) and (8) of SimAM², as `AttentionOptions` and zeta.

    Attributes:
        zeta: None (default) adds plainly, x_1 + x_2, and with attention takes equal weights, 0.5 for two streams as
            the paper has it. A number in (0, 1) is the first stream's weight, of which the others share the rest
            evenly. ``"learned"`` is a gate per sample and channel, `ZetaGate`, of all modalities' features.
    """

    zeta: float | Literal["learned"] | None


class Superposed(NamedTuple):
    """U, the weights behind it (None for a plain sum), and what SimAM² leaves to be recorded."""

    fused: Tensor
    weights: list[Tensor] | None
    extras: dict[str, Tensor]


class Superposition(Part, nn.Module):
    """Eq. (4) of SimAM², and Eq. (8) on top of it with ``attention="simam2"``.

    Args:
        num_streams: M.
        channels: width of the streams.
        context: summed width of the features that a learned zeta is computed from.
        zeta: see `SuperpositionOptions`.
        gate_hidden: see `SuperpositionOptions`.
        attention: see `SuperpositionOptions`.
        attention_options: see `SuperpositionOptions`.

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
        zeta: float | Literal["learned"] | None = None,
        gate_hidden: int | None = 128,
        attention: Literal["simam2"] | None = None,
        attention_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        options = dict(attention_options or {})
        if attention is None and options:
            raise ConfigError(f"attention_options={options} need an attention; choose attention='simam2'")
        check_options("Attention 'simam2'", SimAM2, options, given=2)
        self.gate: ZetaGate | None = None
        self.constants: list[float] | None = None
        if isinstance(zeta, str):
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

    if TYPE_CHECKING:

        @override
        def __call__(self, streams: Sequence[Tensor], context: Sequence[Tensor], *, update: bool) -> Superposed: ...

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


def is_plain(options: SuperpositionOptions) -> bool:
    """Whether these options leave streams as they are: no zeta, and no attention."""
    return options.get("zeta") is None and options.get("attention") is None


def side_by_side(parts: Sequence[Tensor]) -> list[Tensor]:
    """Streams whose sum is the concatenation of `parts`: each padded with zeros, [x_1; 0] and [0; x_2] (Sec. 2.2)."""
    widths = [part.shape[-1] for part in parts]
    return [F.pad(part, (sum(widths[:n]), sum(widths[n + 1 :]))) for n, part in enumerate(parts)]
