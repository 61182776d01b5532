"""An encoder of your own: what each mel band does over a clip, in two numbers.

counterpoint train --import examples/own_encoder.py --model.options.audio.name own_encoder:BandStatistics
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from counterpoint.encoders import Encoder
from counterpoint.encoders.base import Stage


class BandStatistics(Encoder):
    """Spectrograms ``(B, C, F, T)`` to features ``(B, D)``: mean and deviation of each band, and one layer.

    An encoder is a chain of named `stages`, between which intermediate fusions may act, and a `pool` behind them.
    `wants` names what the run hands in: here the number of bands, which follows from the clips.

    Args:
        in_channels: C.
        n_mels: F.
        out_features: D.
        width: channels of the maps.
    """

    wants: ClassVar[tuple[str, ...]] = ("n_mels",)

    def __init__(self, *, in_channels: int = 1, n_mels: int = 64, out_features: int = 64, width: int = 16) -> None:
        super().__init__(in_channels, out_features, layouts=("B, C, F, T",), stage_channels={"lines": width})
        self.lines = nn.Conv2d(in_channels, width, (1, 9), stride=(1, 2), padding=(0, 4))  # along time alone
        self.project = nn.Linear(2 * width * n_mels, out_features)

    def stages(self) -> dict[str, Stage]:
        """One: maps ``(B, width, F, T / 2)``."""
        return {"lines": lambda x: self.lines(x).relu()}

    def pool(self, maps: Tensor) -> Tensor:
        """The maps to features, ``(B, D)``."""
        statistics = torch.cat([maps.mean(-1), maps.std(-1)], 1).flatten(1)
        return self.project(statistics).relu()
