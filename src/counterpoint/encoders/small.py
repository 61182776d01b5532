"""Small encoders of short clips, for spoken words and lips: seconds of training on a CPU, not hours."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.encoders.base import Encoder, Stage, per_frame
from counterpoint.encoders.conv3d import Conv3d
from counterpoint.encoders.registry import ENCODERS
from counterpoint.encoders.temporal import TemporalPool, conv_bn_relu
from counterpoint.errors import ConfigError


def _check_sizes(name: str, width: int, out_features: int, cells: int) -> None:
    if width < 1 or cells < 1:
        raise ConfigError(f"{name}: width is {width} and the grid {cells}; both must be at least 1")
    if out_features % 2:
        raise ConfigError(f"{name}: out_features is {out_features}; it must be even (half maxima, half means)")


@ENCODERS.register("audio_cnn")
class AudioCNN(Encoder):
    """Spectrograms of any height and length: three convolutions, pooling to a few bands, then time.

    Time is read at a quarter of the spectrogram's rate (25 steps a second at a hop of 10 ms).

    Args:
        in_channels: C.
        out_features: width D of the features, even.
        width: channels of the first convolution; the third has four times as many.
        bands: how many frequency bands are told apart after the convolutions.

    Example:
        >>> AudioCNN()(torch.ones(2, 1, 40, 100)).shape
        torch.Size([2, 256])
    """

    wants: ClassVar = ("in_channels",)

    def __init__(self, *, in_channels: int = 1, out_features: int = 256, width: int = 8, bands: int = 4) -> None:
        channels = {"conv1": width, "conv2": 2 * width, "conv3": 4 * width, "temporal": out_features // 2}
        super().__init__(in_channels, out_features, ("B, C, F, T",), channels)
        _check_sizes("audio_cnn", width, out_features, bands)
        self.bands = bands
        self.convs = nn.Sequential(
            conv_bn_relu(in_channels, width, (5, 7), (2, 4)),
            conv_bn_relu(width, 2 * width, 3, (2, 1)),
            conv_bn_relu(2 * width, 4 * width, 3, (2, 1)),
        )
        self.temporal = TemporalPool(4 * width * bands, out_features)

    def stages(self) -> dict[str, Stage]:
        """Three convolutions with maps ``(B, C, F, T)``, and steps in time, ``(B, D / 2, T)``."""
        convs = {f"conv{k}": conv for k, conv in enumerate(self.convs, 1)}
        return {**convs, "temporal": self._steps}

    def _steps(self, x: Tensor) -> Tensor:
        return self.temporal.steps(F.adaptive_avg_pool2d(x, (self.bands, x.shape[-1])).flatten(1, 2))

    def pool(self, maps: Tensor) -> Tensor:
        """Maximum and mean over time, ``(B, D / 2, T) -> (B, D)``."""
        return self.temporal.pool(maps)


@ENCODERS.register("visual_cnn")
class VisualCNN(Encoder):
    """Frames of any size and number: a convolution over space and time, two over each frame, then time.

    Of frames at a steady rate, as lips are read from, the clip's mean frame is taken away first: who speaks, and where
    exactly the mouth lies, is the same in every frame and would be learnt by heart long before its movement. Of frames
    that are spread over the clip it stays: a face's expression, or a place, is what does not move. So it does of a
    single frame. The first convolution reads five frames (a fifth of a second at 25 per second) and steps by two, so
    that motion is seen before anything is pooled; where on the picture it was is kept as a coarse grid.

    Args:
        in_channels: C: 1 for grey frames, 3 for colour.
        out_features: width D of the features, even.
        width: channels of the first convolution; the third has four times as many.
        grid: how many cells a frame keeps in each direction after the convolutions.
        spread: the frames are spread over the clip, as ``media.frames`` takes them.

    Example:
        >>> VisualCNN()(torch.ones(2, 1, 10, 32, 32)).shape
        torch.Size([2, 256])
    """

    wants: ClassVar = ("in_channels", "spread")
    norm_after: ClassVar = {"stem": "stem_bn"}

    def __init__(
        self, *, in_channels: int = 1, out_features: int = 256, width: int = 16, grid: int = 3, spread: bool = False
    ) -> None:
        channels = {"conv1": width, "conv2": 2 * width, "conv3": 4 * width, "temporal": out_features // 2}
        super().__init__(in_channels, out_features, ("B, C, T, H, W",), channels)
        _check_sizes("visual_cnn", width, out_features, grid)
        self.grid, self.spread = grid, spread
        self.stem = Conv3d(in_channels, width, (5, 7, 7), (2, 4, 4), (2, 3, 3), bias=False)
        self.stem_bn = nn.BatchNorm2d(width)
        self.convs = nn.Sequential(
            conv_bn_relu(width, 2 * width, 3, 2),
            conv_bn_relu(2 * width, 4 * width, 3, 2),
        )
        self.temporal = TemporalPool(4 * width * grid * grid, out_features)

    def stages(self) -> dict[str, Stage]:
        """Three convolutions with maps ``(B, C, T, H, W)``, and steps in time, ``(B, D / 2, T)``."""
        convs = {f"conv{k}": partial(per_frame, conv) for k, conv in enumerate(self.convs, 2)}
        return {"conv1": self._motion, **convs, "temporal": self._steps}

    def _motion(self, x: Tensor) -> Tensor:
        if x.shape[2] > 1 and not self.spread:
            x = x - x.mean(2, keepdim=True)
        return per_frame(lambda pictures: F.relu(self.stem_bn(pictures)), self.stem(x))

    def _steps(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (self.grid, self.grid):
            x = per_frame(lambda pictures: F.adaptive_avg_pool2d(pictures, self.grid), x)
        return self.temporal.steps(x.transpose(1, 2).flatten(2).transpose(1, 2))

    def pool(self, maps: Tensor) -> Tensor:
        """Maximum and mean over time, ``(B, D / 2, T) -> (B, D)``."""
        return self.temporal.pool(maps)
