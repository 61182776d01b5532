"""ERANN: a residual network over spectrograms that may step over time faster than over frequency."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.encoders.base import Encoder, Stage
from counterpoint.encoders.registry import ENCODERS
from counterpoint.errors import ConfigError

_STAGES = 5
_BLOCKS = 4
_SLOPE = 0.01


class AudioResidualBlock(nn.Module):
    """Two convolutions, each behind batch normalisation and leaky ReLU, beside a shortcut.

    Where time steps by four, the convolutions are 6 and 5 wide over time, so that no frame is passed over.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: over frequency, 1 or 2, and over time, 1, 2 or 4.
    """

    norm_after: ClassVar = {"conv1": "bn2"}

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        first, second = (6, 5) if stride[1] == 4 else (3, 3)
        self.over_time = stride[1]
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, (3, first), stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, (3, second), padding=(1, second // 2), bias=False)
        same = inputs == outputs and stride == (1, 1)
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, F, T) -> (B, outputs, F / stride, T / stride)``, rounded up."""
        y = F.leaky_relu(self.bn1(x), _SLOPE)
        if self.over_time == 4:
            y = F.pad(y, (0, -y.shape[-1] % 4))  # six frames at each fourth: as many steps as the shortcut takes
        y = self.conv2(F.leaky_relu(self.bn2(self.conv1(y)), _SLOPE))
        out: Tensor = y + (x if self.shortcut is None else self.shortcut(x))
        return out


@ENCODERS.register("erann")
class ERANN(Encoder):
    """ERANN (Verbitskiy, Berikov, Vyshegorodtsev 2021) over log-mel spectrograms of any size: "ERANN-s-W".

    The authors released no code; this follows what is public of it, which is a re-implementation by others. Taken from
    there: five stages of four residual blocks, 8 W channels that double from stage to stage, pre-activation by leaky
    ReLU (0.01), strides, kernels, shortcuts without normalisation, and a linear layer with leaky ReLU before the
    classifier. With its classifier of 527 classes, ERANN-1-6 has 54.5 M parameters so. Our own reading: the global
    pooling, mean plus maximum, which is written there but not used; and that the spectrogram is normalised by the first
    block's batch normalisation alone. Which s and W gave the figure that CFN-SR quotes (74.80 on RAVDESS) it does not
    say.

    Args:
        in_channels: C.
        width: W; the features have 128 W numbers.
        fast_stages: s, from 0 to 3: in so many stages after the first, time steps by four, not by two.

    Raises:
        ConfigError: a size out of its range.

    Example:
        >>> ERANN()(torch.ones(2, 1, 128, 200)).shape
        torch.Size([2, 512])
    """

    wants: ClassVar = ("in_channels",)

    def __init__(self, *, in_channels: int = 1, width: int = 4, fast_stages: int = 0) -> None:
        if width < 1 or not 0 <= fast_stages <= 3:
            raise ConfigError(
                f"erann: width is {width} and fast_stages {fast_stages}; width must be at least 1, and fast_stages "
                "from 0 to 3"
            )
        channels = {f"stage{k}": 8 * width * 2**k for k in range(_STAGES)}
        super().__init__(in_channels, channels["stage4"], ("B, C, F, T",), channels)
        inputs = in_channels
        for k, (name, outputs) in enumerate(channels.items()):
            over_time = 4 if 1 <= k <= fast_stages else 2
            stride = (2, over_time) if k else (1, 1)
            rest = [AudioResidualBlock(outputs, outputs, (1, 1)) for _ in range(_BLOCKS - 1)]
            self.add_module(name, nn.Sequential(AudioResidualBlock(inputs, outputs, stride), *rest))
            inputs = outputs
        self.linear = nn.Linear(inputs, inputs)

    def stages(self) -> dict[str, Stage]:
        """``stage0`` to ``stage4``, maps ``(B, C, F, T)``."""
        return {name: self.get_submodule(name) for name in self.stage_channels}

    def pool(self, maps: Tensor) -> Tensor:
        """Mean plus maximum, then the linear layer: ``(B, 128 W, F, T) -> (B, 128 W)``."""
        pooled = maps.mean((2, 3)) + maps.amax((2, 3))
        return F.leaky_relu(self.linear(pooled), _SLOPE)
