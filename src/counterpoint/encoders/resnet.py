"""ResNets without their classifier: over pictures (18, 34, 50) and over clips (18, ResNeXt-50), from the same blocks.

Parameters carry the names of torchvision and, over clips, of the usual 3-D ResNet release.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from counterpoint.encoders.base import Encoder, Stage, per_frame
from counterpoint.encoders.conv3d import Conv3d
from counterpoint.encoders.published import load_published
from counterpoint.encoders.recompute import recomputed
from counterpoint.encoders.registry import ENCODERS
from counterpoint.encoders.simam import SimAM, create_attention
from counterpoint.errors import ConfigError

_WITH_SIMAM = re.compile(r"\.conv2\.0\.weight$")  # its code puts convolution and attention in one sequence


class Axes:
    """Makes layers that run over 2 axes (pictures) or 3 (clips); blocks and stages do not know over how many."""

    def __init__(self, count: int, attention: SimAM | None = None) -> None:
        self.count = count
        self.attention = attention or nn.Identity()

    def conv(
        self, inputs: int, outputs: int, kernel: int, stride: int | tuple[int, ...] = 1, groups: int = 1
    ) -> nn.Module:
        """Convolution without bias that keeps the size but for its stride."""
        make: type[nn.Conv2d | nn.Conv3d] = nn.Conv2d if self.count == 2 else Conv3d
        return make(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)  # type: ignore[arg-type]

    def norm(self, channels: int) -> nn.Module:
        """Batch normalisation."""
        return nn.BatchNorm2d(channels) if self.count == 2 else nn.BatchNorm3d(channels)

    def shortcut(self, inputs: int, outputs: int, stride: int) -> nn.Module | None:
        """Type B: a convolution of width 1 where shapes change, else nothing."""
        if stride == 1 and inputs == outputs:
            return None
        return nn.Sequential(self.conv(inputs, outputs, 1, stride), self.norm(outputs))


class Block(nn.Module):
    """What a stage repeats: some convolutions beside a shortcut, ``Block(axes, inputs, width, stride)``."""

    first_width: ClassVar[int] = 64
    """Width of the blocks of the first stage; it doubles from stage to stage."""
    expansion: ClassVar[int]
    """How many times as many channels come out."""

    norm_after: Mapping[str, str]
    relu: nn.Module
    attention: nn.Module
    downsample: nn.Module | None

    def attend(self, attention: nn.Module) -> None:
        """Put an attention behind the second convolution, where SimAM has it; an identity changes nothing."""
        self.attention = attention
        if isinstance(attention, SimAM):  # which then stands between the convolution and its normalisation
            self.norm_after = {conv: norm for conv, norm in self.norm_after.items() if conv != "conv2"}

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, ...) -> (N, expansion * width, ... / stride)``."""
        y = self.residual(x)
        y += x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y)
        return out


class BasicBlock(Block):
    """Two 3-wide convolutions beside a shortcut."""

    expansion = 1
    norm_after: Mapping[str, str] = {"conv1": "bn1", "conv2": "bn2"}

    def __init__(self, axes: Axes, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = axes.conv(inputs, width, 3, stride)
        self.bn1 = axes.norm(width)
        self.conv2 = axes.conv(width, width, 3)
        self.bn2 = axes.norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = axes.shortcut(inputs, width, stride)
        self.attend(axes.attention)

    def residual(self, x: Tensor) -> Tensor:
        """Both convolutions."""
        y = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.bn2(self.attention(self.conv2(y)))
        return out


class Bottleneck(Block):
    """1, 3 and 1-wide convolutions beside a shortcut; the stride is at the 3-wide one, as torchvision has it."""

    expansion = 4
    groups: ClassVar[int] = 1
    norm_after: Mapping[str, str] = {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3"}

    def __init__(self, axes: Axes, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = axes.conv(inputs, width, 1)
        self.bn1 = axes.norm(width)
        self.conv2 = axes.conv(width, width, 3, stride, self.groups)
        self.bn2 = axes.norm(width)
        self.conv3 = axes.conv(width, width * self.expansion, 1)
        self.bn3 = axes.norm(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = axes.shortcut(inputs, width * self.expansion, stride)
        self.attend(axes.attention)

    def residual(self, x: Tensor) -> Tensor:
        """The three convolutions."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.attention(self.conv2(y))))
        out: Tensor = self.bn3(self.conv3(y))
        return out


class ResNeXtBottleneck(Bottleneck):
    """A bottleneck twice as wide whose 3-wide convolution runs in 32 groups (cardinality 32)."""

    first_width = 128
    expansion = 2
    groups = 32


class ResNet(Encoder):
    """A ResNet that ends after its average pooling; subclasses say of which blocks.

    Over 2 axes, spectrograms and pictures are ``(B, C, H, W)``; frames, ``(B, C, T, H, W)``, are read one by one as
    pictures, and pooled over T, H and W together (as OGM-GE does). Over 3 axes, clips ``(B, C, T, H, W)`` are read
    whole; the first convolution steps by two over H and W, but not over T. Weights start as OGM-GE's: convolutions
    normal with variance 2 / fan-out (Kaiming), batch normalisations 1 and 0.

    Args:
        in_channels: C.
        checkpoint: keep only what goes into each block and run the block again in the backward pass: the same numbers
            in less memory, for about a quarter more time.
        attention: None, or ``"simam"``: every block weighs what comes out of its second convolution by
            `SimAM`, per picture or over the whole clip. It has no parameters, and those
            of the network keep their names.
        attention_options: keyword options of `SimAM`: ``lam``, ``correction``.

    Raises:
        ConfigError: an attention, or an option of it, that there is not.

    Example:
        >>> class Shallow(ResNet):
        ...     block, depths, axes = BasicBlock, (1, 1, 1, 1), 2
        >>> Shallow()(torch.ones(1, 3, 64, 64)).shape
        torch.Size([1, 512])
    """

    wants: ClassVar = ("in_channels",)
    norm_after: ClassVar = {"conv1": "bn1"}
    block: ClassVar[type[Block]]
    """What a stage repeats."""
    depths: ClassVar[tuple[int, int, int, int]]
    """How often, for each of the four stages."""
    axes: ClassVar[int] = 2

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(
        self,
        *,
        in_channels: int = 3,
        checkpoint: bool = False,
        attention: Literal["simam"] | None = None,
        attention_options: Mapping[str, Any] | None = None,
    ) -> None:
        block, axes = self.block, self.axes
        widths = [block.first_width * 2**k for k in range(4)]
        channels = {"conv1": 64} | {f"layer{k}": width * block.expansion for k, width in enumerate(widths, 1)}
        layouts = ("B, C, H, W", "B, C, T, H, W")[axes - 2 :]
        super().__init__(in_channels, channels["layer4"], layouts, channels)
        self.checkpoint = checkpoint
        make = Axes(axes, create_attention(attention, attention_options, axes))
        self.conv1 = make.conv(in_channels, 64, 7, (1, 2, 2)[-axes:])
        self.bn1 = make.norm(64)
        self.relu: nn.Module = nn.ReLU(inplace=True)
        self.maxpool = (nn.MaxPool2d if axes == 2 else nn.MaxPool3d)(3, stride=2, padding=1)
        inputs = 64
        for stage, (width, depth) in enumerate(zip(widths, self.depths, strict=True)):
            blocks: list[nn.Module] = []
            for k in range(depth):
                blocks.append(block(make, inputs, width, 2 if k == 0 and stage > 0 else 1))
                inputs = width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.reset_parameters()

    def stages(self) -> dict[str, Stage]:
        """``conv1`` with the pooling behind it, and ``layer1`` to ``layer4``; maps have as many axes as the input."""
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        parts: list[Stage] = [self._stem, *(partial(self._layer, layer) for layer in layers)]
        if self.axes == 2:
            parts = [partial(per_frame, part) for part in parts]
        return dict(zip(self.stage_channels, parts, strict=True))

    def _stem(self, x: Tensor) -> Tensor:
        out: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return out

    def _layer(self, layer: nn.Module, x: Tensor) -> Tensor:
        for block in layer.children():
            x = recomputed(block, x) if self.checkpoint else block(x)
        return x

    def load_checkpoint(self, state_dict: Mapping[str, Tensor]) -> None:
        """Start from published weights of the same architecture, e.g. of ImageNet or Kinetics.

        They may be torchvision's (pictures), of the usual 3-D ResNet release (clips), or SimAM's (pictures, for
        ``attention="simam"``; they were trained with a ``lam`` of 0.1). The classifier ``fc`` and the prefix
        ``module.`` are left out, and another number of input channels is made to fit: see `load_published`.

        Args:
            state_dict: names to tensors; of a file with more in it, that is its entry ``"state_dict"``.

        Raises:
            ConfigError: the checkpoint is of another architecture, or was trained with SimAM and this is built without;
                nothing is changed then.
        """
        state = {_WITH_SIMAM.sub(".conv2.weight", name): tensor for name, tensor in state_dict.items()}
        if state.keys() != state_dict.keys() and not any(isinstance(part, SimAM) for part in self.modules()):
            raise ConfigError("the checkpoint was trained with SimAM; build the encoder with attention='simam'")
        load_published(self, state)


@ENCODERS.register("resnet18")
class ResNet18(ResNet):
    """ResNet-18: 11.2 M parameters, 512 features; options as of `ResNet`.

    Example:
        >>> ResNet18(in_channels=1)(torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 512])
    """

    block = BasicBlock
    depths = (2, 2, 2, 2)


@ENCODERS.register("resnet34")
class ResNet34(ResNet):
    """ResNet-34: 21.3 M parameters, 512 features; options as of `ResNet`.

    Example:
        >>> ResNet34().out_features
        512
    """

    block = BasicBlock
    depths = (3, 4, 6, 3)


@ENCODERS.register("resnet50")
class ResNet50(ResNet):
    """ResNet-50: 23.5 M parameters, 2048 features; options as of `ResNet`.

    Example:
        >>> ResNet50().out_features
        2048
    """

    block = Bottleneck
    depths = (3, 4, 6, 3)


@ENCODERS.register("resnet18_3d")
class ResNet18In3D(ResNet):
    """ResNet-18 over clips: 33.2 M parameters, 512 features; options as of `ResNet`.

    Example:
        >>> ResNet18In3D().out_features
        512
    """

    block = BasicBlock
    depths = (2, 2, 2, 2)
    axes = 3


@ENCODERS.register("resnext50_3d")
class ResNeXt50In3D(ResNet):
    """ResNeXt-50 over clips, Eq. (4) of CFN-SR: 25.9 M parameters, 2048 features.

    Args:
        in_channels: see `ResNet`.
        checkpoint: see `ResNet`.
        attention: see `ResNet`.
        attention_options: see `ResNet`.
        variant: ``"paper"``: the published network; ``"released"``: without the ReLU between the first batch
            normalisation and the pooling, which the fused networks that were released with CFN-SR and MSAF leave out,
            though the checkpoints they start from were trained with it.

    Example:
        >>> ResNeXt50In3D().out_features
        2048
    """

    block = ResNeXtBottleneck
    depths = (3, 4, 6, 3)
    axes = 3

    def __init__(
        self,
        *,
        in_channels: int = 3,
        checkpoint: bool = False,
        attention: Literal["simam"] | None = None,
        attention_options: Mapping[str, Any] | None = None,
        variant: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            checkpoint=checkpoint,
            attention=attention,
            attention_options=attention_options,
        )
        if variant == "released":
            self.relu = nn.Identity()
