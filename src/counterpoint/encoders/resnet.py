"""ResNet 18, 34 and 50 without their classifier; parameters carry torchvision's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from counterpoint.encoders.base import Encoder, Stage, per_frame
from counterpoint.encoders.registry import ENCODERS
from counterpoint.errors import ConfigError


# The only two places that know over how many axes a convolution runs; blocks and stages do not.
def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels)


class BasicBlock(nn.Module):
    """Two 3-wide convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, width, 3, stride)
        self.bn1 = _norm(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = _norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, ...) -> (N, width, ... / stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y)
        return out


class Bottleneck(nn.Module):
    """1, 3 and 1-wide convolutions beside a shortcut; the stride is at the 3-wide one, as torchvision has it."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, width, 1)
        self.bn1 = _norm(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = _norm(width)
        self.conv3 = _conv(width, width * self.expansion, 1)
        self.bn3 = _norm(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, ...) -> (N, 4 width, ... / stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y)
        return out


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_conv(inputs, outputs, 1, stride), _norm(outputs))


class ResNet(Encoder):
    """A ResNet that ends after its average pooling.

    Spectrograms and pictures are ``(B, C, H, W)``. Frames, ``(B, C, T, H, W)``, are read one by one as pictures, and
    pooled over T, H and W together (as OGM-GE does). Weights start as OGM-GE's: convolutions normal with variance
    2 / fan-out (Kaiming), batch normalisations 1 and 0.

    Args:
        block: what a stage repeats.
        depths: how often, for each of the four stages.
        in_channels: C.
    """

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, block: type[BasicBlock | Bottleneck], depths: Sequence[int], in_channels: int) -> None:
        channels = {"conv1": 64} | {f"layer{k + 1}": 64 * 2**k * block.expansion for k in range(4)}
        super().__init__(in_channels, 512 * block.expansion, ("B, C, H, W", "B, C, T, H, W"), channels)
        self.conv1 = _conv(in_channels, 64, 7, 2)
        self.bn1 = _norm(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = 64
        for stage, depth in enumerate(depths):
            width = 64 * 2**stage
            blocks: list[nn.Module] = []
            for k in range(depth):
                blocks.append(block(inputs, width, stride=2 if k == 0 and stage > 0 else 1))
                inputs = width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()

    def stages(self) -> dict[str, Stage]:
        """``conv1`` with the pooling behind it, and ``layer1`` to ``layer4``; maps have as many axes as the input."""
        parts: list[Stage] = [self._stem, self.layer1, self.layer2, self.layer3, self.layer4]
        return {name: partial(per_frame, part) for name, part in zip(self.stage_channels, parts, strict=True)}

    def _stem(self, x: Tensor) -> Tensor:
        out: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return out

    def load_torchvision(self, state_dict: Mapping[str, Tensor]) -> None:
        """Start from a checkpoint that torchvision published for the ResNet of the same depth, e.g. on ImageNet.

        The classifier ``fc`` is left out. Where the checkpoint's first convolution reads another number of channels,
        its kernels are summed over theirs and shared out evenly among C: a grey picture, given in all channels, is
        seen as before.

        Args:
            state_dict: names to tensors, as ``torch.load(path, weights_only=True)`` gives them.

        Raises:
            ConfigError: the checkpoint is of another architecture; nothing is changed then.
        """
        theirs = {name: tensor for name, tensor in state_dict.items() if not name.startswith("fc.")}
        first = theirs.get("conv1.weight")
        if first is not None and first.ndim == 4 and first.shape[1] != self.in_channels:
            spread = first.sum(1, keepdim=True) / self.in_channels
            theirs["conv1.weight"] = spread.expand(-1, self.in_channels, -1, -1)
        own = self.state_dict()
        # Checkpoints older than PyTorch 0.4.1 do not count batches.
        missing = [n for n in own if n not in theirs and not n.endswith("num_batches_tracked")]
        strange = [n for n in theirs if n not in own]
        unequal = [n for n, tensor in theirs.items() if n in own and tensor.shape != own[n].shape]
        for what, names in (("lacks", missing), ("has the unknown", strange), ("has other shapes for", unequal)):
            if names:
                raise ConfigError(
                    f"the checkpoint {what} {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}: it is not "
                    f"torchvision's of {type(self).__name__}"
                )
        with torch.no_grad():
            for name, tensor in theirs.items():
                own[name].copy_(tensor)


@ENCODERS.register("resnet18")
class ResNet18(ResNet):
    """ResNet-18: 11.2 M parameters, 512 features."""

    def __init__(self, *, in_channels: int = 3) -> None:
        super().__init__(BasicBlock, (2, 2, 2, 2), in_channels)


@ENCODERS.register("resnet34")
class ResNet34(ResNet):
    """ResNet-34: 21.3 M parameters, 512 features."""

    def __init__(self, *, in_channels: int = 3) -> None:
        super().__init__(BasicBlock, (3, 4, 6, 3), in_channels)


@ENCODERS.register("resnet50")
class ResNet50(ResNet):
    """ResNet-50: 23.5 M parameters, 2048 features."""

    def __init__(self, *, in_channels: int = 3) -> None:
        super().__init__(Bottleneck, (3, 4, 6, 3), in_channels)
