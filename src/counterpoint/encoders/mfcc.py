"""The one-dimensional network over MFCCs that CFN-SR and MSAF use for speech."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from counterpoint.encoders.base import Encoder, Stage
from counterpoint.encoders.published import load_published
from counterpoint.encoders.registry import ENCODERS
from counterpoint.errors import ConfigError, ShapeError

_CHANNELS = {"conv1": 32, "conv2": 32, "conv3": 64}
_POOLED = 8
# The released network lays its layers side by side: name there -> name here.
_RELEASED = {
    "conv1": "conv1.0",
    "bn1": "conv1.2",
    "conv2": "conv2.0",
    "bn2": "conv2.3",
    "conv3": "conv3.0",
    "bn3": "conv3.2",
}
_LOST = 4  # frames that the first two convolutions, 7 wide and padded by 2, take away


@ENCODERS.register("mfcc_cnn")
class MFCCCNN(Encoder):
    """Three convolutions over time, Eqs. (1) to (3) of CFN-SR, whose output is laid out flat: 20,704 parameters.

    The coefficients are the channels. The paper's equations leave sizes open; they are those of the released code,
    which gives the paper's number of parameters exactly: 7, 7 and 5 wide, padded by 2 each; Eq. (1) with batch
    normalisation once, behind the first, since the second is normalised by Eq. (2).

    Args:
        in_channels: C, e.g. 3 for coefficients with their first and second differences.
        n_mfcc: coefficients, F.
        num_frames: T, at least 12; 212 are 2.45 s at 44.1 kHz, one every 512 samples. The width of the features,
            64 ((T - 4) // 8), hangs on it: 1664 for 212.
        dropout: share of channel steps that Eq. (2) drops.
        feature_dropout: share of the features that is dropped.

    Raises:
        ConfigError: a size below its least.

    Example:
        >>> MFCCCNN()(torch.ones(2, 1, 13, 212)).shape
        torch.Size([2, 1664])
    """

    wants: ClassVar = ("in_channels", "n_mfcc", "num_frames")

    def __init__(
        self,
        *,
        in_channels: int = 1,
        n_mfcc: int = 13,
        num_frames: int = 212,
        dropout: float = 0.2,
        feature_dropout: float = 0.4,
    ) -> None:
        if n_mfcc < 1 or num_frames < _LOST + _POOLED:
            raise ConfigError(
                f"mfcc_cnn: n_mfcc is {n_mfcc} and num_frames {num_frames}; they must be at least 1 and "
                f"{_LOST + _POOLED}: nothing would be left of a shorter clip"
            )
        steps = (num_frames - _LOST) // _POOLED
        super().__init__(in_channels, _CHANNELS["conv3"] * steps, ("B, C, F, T",), _CHANNELS)
        self.n_mfcc, self.num_frames = n_mfcc, num_frames
        self.conv1 = nn.Sequential(nn.Conv1d(in_channels * n_mfcc, 32, 7, padding=2), nn.ReLU(), nn.BatchNorm1d(32))
        self.conv2 = nn.Sequential(
            nn.Conv1d(32, 32, 7, padding=2), nn.ReLU(), nn.MaxPool1d(_POOLED), nn.BatchNorm1d(32), nn.Dropout(dropout)
        )
        self.conv3 = nn.Sequential(nn.Conv1d(32, 64, 5, padding=2), nn.ReLU(), nn.BatchNorm1d(64))
        self.dropout = nn.Dropout(feature_dropout)

    def check_input(self, x: Tensor) -> None:
        """Refuse what this encoder cannot read.

        Raises:
            ShapeError: another rank, number of channels, coefficients or frames, or kind of number.
        """
        super().check_input(x)
        if x.shape[2] != self.n_mfcc or x.shape[3] != self.num_frames:
            raise ShapeError(
                f"{type(self).__name__} needs (B, C, F, T) with F = n_mfcc = {self.n_mfcc} and T = num_frames = "
                f"{self.num_frames}, but got shape {tuple(x.shape)}: build it for these clips, or cut them"
            )

    def stages(self) -> dict[str, Stage]:
        """``conv1``: Eq. (1); ``conv2``: Eqs. (1) and (2); ``conv3``: Eq. (3) but for its Flatten; ``(B, C, T)``."""
        return {"conv1": self._first, "conv2": self.conv2, "conv3": self.conv3}

    def _first(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv1(x.flatten(1, 2))
        return out

    def pool(self, maps: Tensor) -> Tensor:
        """Flatten, Eq. (3): ``(B, 64, T) -> (B, 64 T)``."""
        out: Tensor = self.dropout(maps.flatten(1))
        return out

    def load_checkpoint(self, state_dict: Mapping[str, Tensor]) -> None:
        """Start from released weights of MSAF, from which CFN-SR starts too, or from this encoder's own state.

        The classifier ``fc1`` and the prefix ``module.`` are left out.

        Args:
            state_dict: names to tensors.

        Raises:
            ConfigError: the checkpoint is of another network, or of other coefficients; nothing is changed then.
        """
        state = {}
        for name, tensor in state_dict.items():
            layer, _, part = name.removeprefix("module.").partition(".")
            known = layer in _RELEASED and "." not in part
            state[f"{_RELEASED[layer]}.{part}" if known else f"{layer}.{part}"] = tensor
        load_published(self, state, first="", left_out=("fc1.",))
