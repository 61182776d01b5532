"""The cross-modal block of CFN-SR: one modality says where to look in another. Eqs. (5) to (8) of CFN-SR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from counterpoint._features import check_known
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.intermediate.base import INTERMEDIATES, Intermediate, squeeze
from counterpoint.intermediate.tokens import TokenEncoder
from counterpoint.registry import check_options


@INTERMEDIATES.register("cross_modal")
class CrossModal(Intermediate):
    """CFN-SR: the source, summed up by self-attention, weighs the positions of the target's maps.

    ``X_q = tanh((W_t X_t + b_t) + W_s x_s)``, Eq. (7) of CFN-SR, at each position of the target X_t, with x_s the
    source after Eqs. (5) and (6), `TokenEncoder`; and ``X_o = softmax(X_q) * X_t + X_t``, Eq. (8) of CFN-SR.
    There the shapes do not match, k channels against C: as in the released code, a linear layer takes the k to one
    score per position before the softmax. Only the target changes: the classifier's ``I = [X_o, X_s]``, Sec. 2.4 of
    CFN-SR, gets the source's own maps, the "original representation" of the text and of the released code, and not x_s
    as Eq. (6) has it. Of more than two modalities, the others pass unchanged.

    Every sample has its own map. (The released code adds up the maps of a batch and applies the sum to every sample,
    in training and in testing: a fault, and no option.)

    Args:
        channels: per modality the channels of its maps; M >= 2.
        source: which modality looks; None: the first.
        target: which one is looked at; None: the first other.
        hidden: k of Eq. (7).
        self_attention: without it, x_s is the mean over the source's positions (the code of this ablation was not
            released).
        residual: whether X_t is added in Eq. (8).
        variant: ``"paper"``: softmax over all positions; ``"released"``: over those of each frame, where the target
            has time and two axes more, and `gain` 16.
        gain: what the maps are multiplied by, above 0; None: 1, or 16 for ``"released"``, the size that its sum over a
            batch of 16 has.
        attention_options: keyword options of `TokenEncoder`.

    Raises:
        UnknownNameError: `source` or `target` is no modality.
        ConfigError: an option outside its range, or one modality as both.

    Example:
        >>> maps = {"audio": torch.ones(2, 4, 9), "visual": torch.ones(2, 8, 3, 7, 7)}
        >>> CrossModal({"audio": 4, "visual": 8}, hidden=8)(maps)["visual"].shape
        torch.Size([2, 8, 3, 7, 7])
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        *,
        source: str | None = None,
        target: str | None = None,
        hidden: int = 64,
        self_attention: bool = True,
        residual: bool = True,
        variant: Literal["paper", "released"] = "paper",
        gain: float | None = None,
        attention_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(channels)
        options = dict(attention_options or {})
        if options and not self_attention:
            raise ConfigError(f"attention_options={options} need self_attention")
        check_options("Self-attention", TokenEncoder, options, given=1)
        if hidden < 1:
            raise ConfigError(f"CrossModal: hidden is {hidden}; it must be at least 1")
        self.source, self.target = self._pair(source, target)
        self.residual, self.by_frame = residual, variant == "released"
        self.gain = gain if gain is not None else 16.0 if self.by_frame else 1.0
        if not self.gain > 0:
            raise ConfigError(f"CrossModal: gain is {gain}; it must be above 0")
        self.tokens = TokenEncoder(channels[self.source], **options) if self_attention else None
        width = channels[self.source] if self.tokens is None else self.tokens.width
        self.project_target = nn.Linear(channels[self.target], hidden)
        self.project_source = nn.Linear(width, hidden, bias=False)
        self.score = nn.Linear(hidden, 1)

    def attention(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Where the source looks: ``(B, ...)`` over the target's positions, not negative.

        It sums to `gain` over all positions, or over those of each frame.
        """
        return self._attention(self._named(maps))

    def _attention(self, maps: dict[str, Tensor]) -> Tensor:
        x = maps[self.target].movedim(1, -1)
        if x.ndim < 3:
            raise ShapeError(
                f"the {self.target} maps are of shape {tuple(x.shape)}: CrossModal needs positions to weigh"
            )
        summary = squeeze(maps[self.source]) if self.tokens is None else self.tokens(maps[self.source])
        asking = self.project_source(summary).unflatten(1, (*[1] * (x.ndim - 2), -1))
        joined = torch.tanh(self.project_target(x) + asking)
        scores: Tensor = self.score(joined)[..., 0]
        first = 2 if self.by_frame and scores.ndim == 4 else 1
        weights = self.gain * scores.flatten(first).softmax(-1)
        return weights.reshape(scores.shape)

    @override
    def exchange(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        x = maps[self.target]
        out = x * self._attention(maps).to(x.dtype)[:, None]
        return {**maps, self.target: out + x if self.residual else out}

    def _pair(self, source: str | None, target: str | None) -> tuple[str, str]:
        for name in (source, target):
            if name is not None:
                check_known("CrossModal", name, self.channels)
        if source is None:
            source = next(name for name in self.modalities if name != target)
        if target is None:
            target = next(name for name in self.modalities if name != source)
        if source == target:
            raise ConfigError(f"CrossModal: {source!r} cannot be source and target at once")
        return source, target

    def extra_repr(self) -> str:
        """What acts on what, for ``print(model)``."""
        return f"{super().extra_repr()}, {self.source} into {self.target}, residual={self.residual}, gain={self.gain:g}"
