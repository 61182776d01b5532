"""A recurrent network over segments in both directions."""

from __future__ import annotations

from torch import Tensor, nn


class BiLSTM(nn.Module):
    """One layer of LSTM each way.

    Args:
        inputs: width of the features.
        hidden: width per direction.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, T, inputs)`` to ``(B, T, 2 hidden)``."""
        states: Tensor = self.lstm(features)[0]
        return states
