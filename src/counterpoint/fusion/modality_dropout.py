"""Modality dropout: in training, whole modalities of a clip are ablated before they are fused."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from counterpoint.errors import ConfigError


class ModalityDropout(nn.Module):
    """Ablates each modality of each clip with probability p in training, never all of one clip; none in evaluation.

    After ModDrop (Neverova, Wolf, Taylor and Nebout, TPAMI 2016), which drops whole channels so that none can lean on
    the others. What is dropped is at zero, as an ablated modality is; what is left is not scaled up, since a fusion
    sees all modalities at once when it predicts. Of a clip that would lose all of them one is kept, each with the same
    probability: of M modalities every one is dropped with probability ``p - p^M / M``. One modality alone is never
    dropped. Draws come from torch's generator of the features' device.

    Args:
        p: 0 to 1.

    Raises:
        ConfigError: `p` is outside its range.

    Example:
        >>> features = {"audio": torch.ones(8, 4), "visual": torch.ones(8, 6)}
        >>> dropped = ModalityDropout(1.0)(features)
        >>> (dropped["audio"][:, 0] + dropped["visual"][:, 0]).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p <= 1:  # nor NaN
            raise ConfigError(f"the probability of modality dropout must be between 0 and 1, got {p}")
        self.p = p

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The features of the modalities that are kept, and zeros in place of the others.

        Args:
            features: per modality ``(B, ..., D_m)``, all of the same B and on one device.
        """
        if not self.training or self.p == 0:
            return dict(features)
        first = next(iter(features.values()))
        drawn = torch.rand(len(features), len(first), device=first.device)
        kept = (drawn >= self.p) | (drawn == drawn.amax(0))
        return {
            name: torch.where(keep.view(-1, *[1] * (x.ndim - 1)), x, 0.0)
            for (name, x), keep in zip(features.items(), kept.unbind(), strict=True)
        }

    def extra_repr(self) -> str:
        """The probability, for ``print(model)``."""
        return f"p={self.p}"
