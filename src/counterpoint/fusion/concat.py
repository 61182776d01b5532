"""Concatenation, of one modality or more; Eqs. (1) and (2) of MMCosine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack, override

from counterpoint.errors import ConfigError
from counterpoint.fusion.base import FUSED, FUSIONS, Fusion, Joined, total
from counterpoint.fusion.superposition import Superposition, SuperpositionOptions, is_plain, side_by_side
from counterpoint.heads import create_head


@FUSIONS.register("concat")
class Concat(Fusion):
    """Concatenates the features and classifies them, Eq. (9) of CFN-SR; with one modality, the unimodal baseline.

    SimAM² sees a concatenation as Eq. (4) of streams that are padded with zeros, X_1 = [x_1; 0] and X_2 = [0; x_2];
    their population is the concatenated vector. `weights` is None unless asked for, as the paper keeps the decoupled
    ratio for concatenation (Sec. 4).

    Without hidden layers the head's blocks tell the modalities' logits apart. Behind hidden layers, "Concat + FC" of
    CFN-SR, Table 1 (``hidden=[256, 128]`` for its 26.87M parameters), unimodal logits come from ablation.

    Args:
        dims: per modality the width of its features; M >= 1.
        num_classes: C.
        head: registered head.
        head_options: its keyword options.
        hidden: width of a fully connected layer with ReLU between concatenation and head, or widths of several; None
            for none. The last one's output is `fused` then.
        dropout: share of the hidden layers' outputs that training sets to zero, from 0 to below 1.
        report_weights: whether `weights` are the padded streams' zeta, so that Eq. (11) of SimAM² can be taken all the
            same, as in the last concatenation of its Table 1; needs zeta or attention, and no hidden layers.
        superposition: see `SuperpositionOptions`; the streams are the padded features; without zeta and
            attention, which need M >= 2, features are plainly concatenated.

    Raises:
        ConfigError: an option outside its range, or zeta or attention for one modality.

    Example:
        >>> fusion = Concat({"audio": 4, "visual": 6}, num_classes=3, hidden=8)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).logits.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        head: str = "linear",
        head_options: Mapping[str, Any] | None = None,
        hidden: int | Sequence[int] | None = None,
        dropout: float = 0.0,
        report_weights: bool = False,
        **superposition: Unpack[SuperpositionOptions],
    ) -> None:
        super().__init__(dims, num_classes, minimum=1)
        plain = is_plain(superposition)
        if len(dims) == 1 and not plain:
            raise ConfigError(
                f"attention and zeta weigh modalities against each other, but {next(iter(dims))!r} is alone"
            )
        width = sum(dims.values())
        widths = [] if hidden is None else [hidden] if isinstance(hidden, int) else list(hidden)
        if report_weights and (widths or plain):
            raise ConfigError(
                "report_weights=True needs zeta or attention, which make the weights, and no hidden layers"
            )
        self.report_weights = report_weights
        self.hidden = _fully_connected(width, widths, dropout)
        head_dims = {FUSED: widths[-1]} if widths else dims
        self.head = create_head(head, head_dims, num_classes, **(head_options or {}))
        self.superposition = Superposition(len(dims), width, width, **superposition)

    @override
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        extras: dict[str, Tensor] = {}
        named: dict[str, Tensor] | None = None
        parts = list(features.values())
        fused = torch.cat(parts, -1)
        if not self.superposition.plain:
            fused, weights, extras = self.superposition(side_by_side(parts), parts, update=update)
            named = dict(zip(self.modalities, weights or (), strict=True)) if self.report_weights else None
            parts = list(torch.split(fused, list(self.dims.values()), -1))
        if len(self.hidden):
            fused = self.hidden(fused)
            return Joined(self.head({FUSED: fused})[FUSED], fused, None, extras)
        logits: dict[str, Tensor] = self.head(dict(zip(self.modalities, parts, strict=True)))
        return Joined(total(logits), fused, named, extras, logits)


def _fully_connected(width: int, widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers of these widths, each with ReLU and dropout; without widths, nothing."""
    if any(size < 1 for size in widths):
        raise ConfigError(f"hidden layers must be 1 or more wide, got {list(widths)}")
    if not 0 <= dropout < 1 or (dropout and not widths):
        raise ConfigError(f"dropout is a share from 0 to below 1 of hidden layers' outputs, got {dropout}")
    layers: list[nn.Module] = []
    for before, size in zip([width, *widths], widths, strict=False):
        layers += [nn.Linear(before, size), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)
