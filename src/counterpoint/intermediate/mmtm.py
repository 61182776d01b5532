"""The multimodal transfer module: every modality's channels are gated by what all modalities hold (MMTM, CVPR 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from counterpoint.errors import ConfigError
from counterpoint.intermediate.base import INTERMEDIATES, Intermediate, gate_like, squeeze


@INTERMEDIATES.register("mmtm")
class MMTM(Intermediate):
    """MMTM: squeeze, join, excite. One gate per sample and channel from the means of all modalities' channels.

    ``z = ReLU(W [mean(X_1); ...; mean(X_M)] + b)`` of width ``2 (C_1 + ... + C_M) / ratio``, and for each modality
    ``X_m * gate(W_m z + b_m)``.

    Args:
        channels: per modality the channels of its maps; M >= 2.
        ratio: by how much the joint vector is narrower, see above; above 0.
        variant: ``"paper"``: the gate is twice a sigmoid, in (0, 2), so that a network that has learnt nothing yet
            leaves the maps as they are; ``"released"``: a sigmoid, in (0, 1), as in its code.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> maps = {"audio": torch.ones(2, 4, 9), "visual": torch.ones(2, 8, 3, 7, 7)}
        >>> MMTM({"audio": 4, "visual": 8})(maps)["visual"].shape
        torch.Size([2, 8, 3, 7, 7])
    """

    default_layers: ClassVar[tuple[str, ...]] = ("mid", "late")

    def __init__(
        self,
        channels: Mapping[str, int],
        *,
        ratio: float = 4.0,
        variant: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__(channels)
        if not ratio > 0:
            raise ConfigError(f"MMTM: ratio is {ratio}; it must be above 0")
        width = int(2 * sum(channels.values()) / ratio)
        if width < 1:
            raise ConfigError(f"MMTM: ratio {ratio} leaves nothing of {sum(channels.values())} channels")
        self.squeeze = nn.Linear(sum(channels.values()), width)
        self.excite = nn.ModuleDict({name: nn.Linear(width, c) for name, c in channels.items()})
        self.gain = 2.0 if variant == "paper" else 1.0

    @override
    def exchange(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        joint = torch.relu(self.squeeze(torch.cat([squeeze(x) for x in maps.values()], 1)))
        gates = {name: self.gain * torch.sigmoid(self.excite[name](joint)) for name in maps}
        return {name: x * gate_like(gates[name], x) for name, x in maps.items()}

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{super().extra_repr()}, gain={self.gain:g}"
