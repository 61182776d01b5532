"""VGGs without their classifier: pictures, or frames one by one, to the maps that AVE's features are.

Parameters carry the names of torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import ClassVar

from torch import Tensor, nn

from counterpoint.encoders.base import Encoder, Stage, per_frame
from counterpoint.encoders.published import load_published
from counterpoint.encoders.registry import ENCODERS


def vgg_blocks(in_channels: int, widths: Sequence[Sequence[int]]) -> tuple[nn.Sequential, tuple[tuple[int, int], ...]]:
    """All layers of a VGG in one chain, 3-wide convolutions with a ReLU behind each and pooling behind each block.

    Args:
        in_channels: C.
        widths: per block the channels of its convolutions.

    Returns:
        The chain, and where in it each block begins and ends.
    """
    layers: list[nn.Module] = []
    for block in widths:
        for width in block:
            layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            in_channels = width
        layers.append(nn.MaxPool2d(2, stride=2))
    return nn.Sequential(*layers), tuple(pairwise(accumulate((2 * len(block) + 1 for block in widths), initial=0)))


def run(layers: nn.Sequential, start: int, stop: int, x: Tensor) -> Tensor:
    """Layers `start` to `stop` of a chain."""
    for k in range(start, stop):
        x = layers[k](x)
    return x


def start_weights(module: nn.Module) -> None:
    """Draw the weights as torchvision does: convolutions normal with variance 2 / fan-out, the rest narrow."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0, 0.01)
        if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


class VGG(Encoder):
    """A VGG that ends after its fifth pooling: the maps of its last stage, 512 channels, 7 x 7 for 224 x 224.

    Pictures are ``(B, C, H, W)``, at least 32 x 32; frames, ``(B, C, T, H, W)``, are read one by one as pictures.
    Features are the mean of the maps over H and W, and over T.

    Args:
        in_channels: C.

    Example:
        >>> VGG11().stage_channels
        {'block1': 64, 'block2': 128, 'block3': 256, 'block4': 512, 'block5': 512}
    """

    wants: ClassVar = ("in_channels",)
    depths: ClassVar[tuple[int, int, int, int, int]]
    """Convolutions per block."""

    def __init__(self, *, in_channels: int = 3) -> None:
        widths = dict(zip(range(1, 6), (64, 128, 256, 512, 512), strict=True))
        channels = {f"block{k}": width for k, width in widths.items()}
        super().__init__(in_channels, 512, ("B, C, H, W", "B, C, T, H, W"), channels)
        blocks = [[width] * depth for width, depth in zip(widths.values(), self.depths, strict=True)]
        self.features, self._spans = vgg_blocks(in_channels, blocks)
        start_weights(self)

    def stages(self) -> dict[str, Stage]:
        """``block1`` to ``block5``, each with the pooling behind it; the last gives what is known as pool5."""
        parts = [partial(per_frame, partial(run, self.features, *span)) for span in self._spans]
        return dict(zip(self.stage_channels, parts, strict=True))

    def load_checkpoint(self, state_dict: Mapping[str, Tensor]) -> None:
        """Start from torchvision's weights of the same VGG, without batch normalisation.

        The layers behind the fifth pooling, ``classifier``, are left out, and another number of input channels is made
        to fit: see `load_published`.

        Args:
            state_dict: names to tensors.

        Raises:
            ConfigError: the checkpoint is of another architecture; nothing is changed then.
        """
        load_published(self, state_dict, first="features.0.weight", left_out=("classifier.",))


@ENCODERS.register("vgg11")
class VGG11(VGG):
    """VGG-11 up to pool5: 9.2 M parameters, 512 features.

    Example:
        >>> VGG11()(torch.ones(1, 3, 64, 64)).shape
        torch.Size([1, 512])
    """

    depths = (1, 1, 2, 2, 2)


@ENCODERS.register("vgg16")
class VGG16(VGG):
    """VGG-16 up to pool5: 14.7 M parameters, 512 features.

    Example:
        >>> VGG16().out_features
        512
    """

    depths = (2, 2, 3, 3, 3)


@ENCODERS.register("vgg19")
class VGG19(VGG):
    """VGG-19 up to pool5: 20.0 M parameters, 512 features.

    Example:
        >>> VGG19().out_features
        512
    """

    depths = (2, 2, 4, 4, 4)
