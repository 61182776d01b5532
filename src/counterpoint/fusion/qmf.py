"""Late fusion in which a modality counts by the energy of its own logits."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from typing_extensions import Unpack, override

from counterpoint.errors import ConfigError
from counterpoint.functional import energy_fusion
from counterpoint.fusion.base import FUSIONS
from counterpoint.fusion.late import Late
from counterpoint.heads import HeadOptions


@FUSIONS.register("qmf")
class QMF(Late):
    """Quality-aware multimodal fusion (Zhang et al. 2023), which SimAM² leans on: ``sum_m conf_m z_m``.

    The confidence of a modality is a tenth of its logits' log-sum-exp: sample by sample, whoever has seen less says
    less. The paper trains with the loss of the same name, ``"qmf"``.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        scale: of the confidence, above 0; see `functional.energy_confidence`.
        detach_weights: whether confidences are constants for the gradient; QMF's two releases differ in it, see
            `functional.energy_fusion`.
        head: see `HeadOptions`.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> fusion = QMF({"audio": 4, "visual": 6}, num_classes=3)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).unimodal_logits["visual"].shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        scale: float = 0.1,
        detach_weights: bool = False,
        **head: Unpack[HeadOptions],
    ) -> None:
        super().__init__(dims, num_classes, **head)
        if not scale > 0:
            raise ConfigError(f"scale must be above 0, got {scale}")
        self.scale = scale
        self.detach_weights = detach_weights

    @override
    def combine(self, logits: Mapping[str, Tensor]) -> Tensor:
        return energy_fusion(list(logits.values()), self.scale, detach_weights=self.detach_weights)

    def extra_repr(self) -> str:
        """Sizes and scale, for ``print(model)``."""
        return f"{super().extra_repr()}, scale={self.scale}"
