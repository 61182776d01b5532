"""What every encoder shares: it says what it takes and how wide its features are, and runs stage by stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn
from typing_extensions import override

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.registry import Part

Stage = Callable[[Tensor], Tensor]


class Encoder(Part, nn.Module, ABC):
    """One modality in, one vector per sample out: ``(B, C, ...) -> (B, out_features)``.

    It is a chain of named `stages` and a `pool` behind them, so that other modalities can have their say
    in between. An encoder of one's own takes its options by name, overrides `stages`, and `pool` where the mean over
    the clip will not do; `check_input` where it cannot read every size.

    Args:
        in_channels: C, at least 1.
        out_features: width of the features, at least 1.
        layouts: per accepted rank the names of the axes, e.g. ``("B, C, F, T",)``.
        stage_channels: per stage, in order, how many channels its maps have.

    Attributes:
        wants: of what follows from the clips and the transform in front, the arguments that the constructor wants to be
            given: ``in_channels``, ``n_mels``, ``n_mfcc``, ``num_frames``, ``spread`` (of pictures),
            ``clip_shape``, ``segments``, ``seed``; see `counterpoint.wants`.

    Example:
        >>> import torch
        >>> class Tiny(Encoder):
        ...     def __init__(self, *, in_channels=1, width=16):
        ...         super().__init__(in_channels, width, ("B, C, F, T",), {"conv": width})
        ...         self.conv = nn.Conv2d(in_channels, width, 3, padding=1)
        ...
        ...     def stages(self):
        ...         return {"conv": self.conv}
        >>> Tiny()(torch.ones(2, 1, 40, 100)).shape
        torch.Size([2, 16])
    """

    wants: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:

        @override
        def __call__(self, x: Tensor) -> Tensor: ...

    def __init__(
        self, in_channels: int, out_features: int, layouts: Sequence[str], stage_channels: Mapping[str, int]
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if in_channels < 1 or out_features < 1:
            raise ConfigError(
                f"{name}: in_channels is {in_channels} and out_features {out_features}; both must be at least 1"
            )
        self.in_channels = in_channels
        self.out_features = out_features
        self.stage_channels = dict(stage_channels)
        self._layouts = {layout.count(",") + 1: layout for layout in layouts}

    @abstractmethod
    def stages(self) -> dict[str, Stage]:
        """Functions by name, in the order of `stage_channels`; together they turn the input into maps.

        Each takes what the one before gives: maps ``(B, C, ...)`` with the clips in front, C channels, and any number
        of axes behind, over which the clip is spread.
        """

    def pool(self, maps: Tensor) -> Tensor:
        """The last stage's maps to features, ``(B, C, ...) -> (B, out_features)``: here the mean over the clip."""
        return maps.mean(tuple(range(2, maps.ndim)))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, ...) -> (B, out_features)``.

        Raises:
            ShapeError: see `check_input`.
        """
        self.check_input(x)
        for stage in self.stages().values():
            x = stage(x)
        return self.pool(x)

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


def per_frame(part: Stage, x: Tensor) -> Tensor:
    """Show a part that reads pictures each frame: ``(B, C, T, H, W) -> (B, C', T, H', W')``; pictures pass as they are.

    With channels innermost in memory, the frames of a clip already lie one behind the other: nothing is copied then.
    """
    if x.ndim == 4:
        return part(x)
    y = part(x.transpose(1, 2).flatten(0, 1))
    return y.view(x.shape[0], x.shape[2], *y.shape[1:]).transpose(1, 2)
