"""The speaker network of voxceleb_trainer: a narrow ResNet-34 with squeeze-and-excitation and attentive pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from counterpoint.encoders.attentive_pool import Attention, Pooling, attentive_pool, pooled_channels
from counterpoint.encoders.base import Encoder, Stage
from counterpoint.encoders.published import load_published
from counterpoint.encoders.registry import ENCODERS
from counterpoint.encoders.resnet import Axes, Block
from counterpoint.errors import ConfigError, ShapeError

_DEPTHS = (3, 4, 6, 3)
_SHRINK = 8  # of frequency, from the input to the last stage


class SqueezeExcitation(nn.Module):
    """Channels weighed by what all of them are over the whole map (Hu et al. 2018): ``(B, C, F, T)`` to the same.

    Args:
        channels: C.
        reduction: how many times fewer there are in between.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        inside = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, inside), nn.ReLU(inplace=True), nn.Linear(inside, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """The weighed channels."""
        out: Tensor = x * self.fc(x.mean((2, 3)))[..., None, None]
        return out


class SEBasicBlock(Block):
    """Two 3-wide convolutions and squeeze-and-excitation beside a shortcut.

    The first convolution's ReLU comes before its batch normalisation: so the published weights were trained.
    """

    expansion = 1
    norm_after: Mapping[str, str] = {"conv2": "bn2"}

    def __init__(self, axes: Axes, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = axes.conv(inputs, width, 3, stride)
        self.bn1 = axes.norm(width)
        self.conv2 = axes.conv(width, width, 3)
        self.bn2 = axes.norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.se = SqueezeExcitation(width)
        self.downsample = axes.shortcut(inputs, width, stride)

    def residual(self, x: Tensor) -> Tensor:
        """Convolutions, then channels weighed."""
        y = self.bn1(self.relu(self.conv1(x)))
        out: Tensor = self.se(self.bn2(self.conv2(y)))
        return out


@ENCODERS.register("resnet_se34")
class ResNetSE34(Encoder):
    """ResNetSE34V2 of Heo et al. (2020), the audio network in MMCosine's released code for VoxCeleb.

    (The paper says ResNet-18.) It reads log-mel spectrograms ``(B, C, n_mels, T)`` of any length, and first brings
    every band of a clip to mean 0 and variance 1 over time, so that a channel's colour and loudness do not tell
    speakers apart. MMCosine's defaults are these: 40 bands and self-attentive pooling, 6.4 M parameters. The published
    checkpoint that reaches 1.18 % EER on VoxCeleb1 has 64 bands and attentive statistics pooling, 8.0 M parameters.

    Both were trained on what the transform ``speaker_mel`` gives.

    Args:
        in_channels: C.
        n_mels: bands, a multiple of 8.
        pooling: ``"sap"``, or ``"asp"`` (see `attentive_pool`).
        out_features: width of the features.

    Raises:
        ConfigError: a size out of its range, or no such pooling.

    Example:
        >>> ResNetSE34()(torch.ones(1, 1, 40, 200)).shape
        torch.Size([1, 512])
    """

    attention: nn.Module

    wants: ClassVar = ("in_channels", "n_mels")

    def __init__(
        self, *, in_channels: int = 1, n_mels: int = 40, pooling: Pooling = "sap", out_features: int = 512
    ) -> None:
        if n_mels < _SHRINK or n_mels % _SHRINK:
            raise ConfigError(f"resnet_se34: n_mels is {n_mels}; it must be a multiple of {_SHRINK}")
        channels = {"conv1": 32} | {f"layer{k + 1}": 32 * 2**k for k in range(4)}
        super().__init__(in_channels, out_features, ("B, C, F, T",), channels)
        self.n_mels, self.pooling = n_mels, pooling
        self.conv1 = nn.Conv2d(in_channels, channels["conv1"], 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.bn1 = nn.BatchNorm2d(channels["conv1"])
        axes, inputs = Axes(2), channels["conv1"]
        for k, depth in enumerate(_DEPTHS):
            width = channels[f"layer{k + 1}"]
            first = SEBasicBlock(axes, inputs, width, 2 if k else 1)
            rest = [SEBasicBlock(axes, width, width, 1) for _ in range(depth - 1)]
            self.add_module(f"layer{k + 1}", nn.Sequential(first, *rest))
            inputs = width
        steps = inputs * (n_mels // _SHRINK)
        self.attention = Attention(steps)
        self.fc = nn.Linear(pooled_channels(pooling, steps), out_features)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def check_input(self, x: Tensor) -> None:
        """Refuse what this encoder cannot read.

        Raises:
            ShapeError: another rank, number of channels or bands, or kind of number.
        """
        super().check_input(x)
        if x.shape[2] != self.n_mels:
            raise ShapeError(
                f"{type(self).__name__} needs (B, C, F, T) with F = n_mels = {self.n_mels}, but got shape "
                f"{tuple(x.shape)}"
            )

    def stages(self) -> dict[str, Stage]:
        """``conv1`` with the normalisation in front, and ``layer1`` to ``layer4``; maps ``(B, C, F, T)``."""
        parts: list[Stage] = [self._stem, *(self.get_submodule(f"layer{k + 1}") for k in range(len(_DEPTHS)))]
        return dict(zip(self.stage_channels, parts, strict=True))

    def _stem(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, 3, correction=0, keepdim=True)
        out: Tensor = self.bn1(self.relu(self.conv1((x - mean) * (variance + 1e-5).rsqrt())))
        return out

    def pool(self, maps: Tensor) -> Tensor:
        """Attentive pooling over time of channels and bands together: ``(B, 256, F, T) -> (B, out_features)``."""
        steps = maps.flatten(1, 2)
        out: Tensor = self.fc(attentive_pool(steps, self.attention(steps), self.pooling))
        return out

    def load_checkpoint(self, state_dict: Mapping[str, Tensor]) -> None:
        """Start from published weights, with the same bands and pooling.

        Loss and front end, which checkpoints hold too, are left out, as are the prefixes that voxceleb_trainer's
        wrappers put before names. Another number of input channels is made to fit: see `load_published`.

        Args:
            state_dict: names to tensors.

        Raises:
            ConfigError: the checkpoint is of another architecture; nothing is changed then.
        """
        bare = {name.removeprefix("module.").removeprefix("__S__."): tensor for name, tensor in state_dict.items()}
        load_published(self, bare, left_out=("__L__.", "torchfb."))
