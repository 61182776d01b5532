"""What every encoder shares: it says what it takes and how wide its features are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from counterpoint.errors import ConfigError, ShapeError


class Encoder(nn.Module):
    """One modality in, one vector per sample out: ``(B, C, ...) -> (B, out_features)``.

    Args:
        in_channels: C, at least 1.
        out_features: width of the features, at least 1.
        layouts: per accepted rank the names of the axes, e.g. ``("B, C, F, T",)``.
    """

    def __init__(self, in_channels: int, out_features: int, layouts: Sequence[str]) -> None:
        super().__init__()
        name = type(self).__name__
        if in_channels < 1 or out_features < 1:
            raise ConfigError(
                f"{name}: in_channels is {in_channels} and out_features {out_features}; both must be at least 1"
            )
        self.in_channels = in_channels
        self.out_features = out_features
        self._layouts = {layout.count(",") + 1: layout for layout in layouts}

    def check_input(self, x: Tensor) -> None:
        """Refuse what this encoder cannot read.

        Raises:
            ShapeError: another rank, number of channels, or kind of number; the message says what is needed.
        """
        name = type(self).__name__
        if x.ndim not in self._layouts or x.shape[1] != self.in_channels:
            needed = " or ".join(f"({layout})" for layout in self._layouts.values())
            raise ShapeError(f"{name} needs {needed} with C = {self.in_channels}, but got shape {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ShapeError(f"{name} needs floating point numbers, but got {x.dtype}: put a transform in front of it")
