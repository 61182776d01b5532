"""Multimodal compact bilinear pooling: all products of features, sketched (Fukui et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from counterpoint.errors import ConfigError
from counterpoint.functional import compact_bilinear, count_sketch, unit_rows
from counterpoint.functional.precision import widened
from counterpoint.fusion.base import FUSED, FUSIONS, Fusion, Joined
from counterpoint.heads import create_head

# Of vectors of length one, whose sketches have entries of about 1 / sqrt(size): below what float32's FFT can tell from
# zero, the slope of the square root, infinite at zero, would be one of rounding errors.
_FLOOR = 1e-6


class Sketch(nn.Module):
    """A count sketch whose indices and signs are drawn once, and saved with the weights.

    Args:
        width: D.
        size: d.
        generator: draws them, on the CPU.
    """

    index: Tensor
    sign: Tensor

    def __init__(self, width: int, size: int, generator: torch.Generator) -> None:
        super().__init__()
        device = torch.get_default_device()
        self.size = size
        index = torch.randint(size, (width,), generator=generator, device="cpu")
        sign = 2.0 * torch.randint(2, (width,), generator=generator, device="cpu") - 1
        self.register_buffer("index", index.to(device))
        self.register_buffer("sign", sign.to(device, torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D)`` to ``(..., d)``."""
        return count_sketch(x, self.index, self.sign, self.size)

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{self.index.shape[0]}, {self.size}"


@FUSIONS.register("mcb")
class MCB(Fusion):
    """Multimodal compact bilinear pooling: all products of features, sketched; "MCBP" of CFN-SR, Table 1.

    By Fukui et al. 2016: the outer product of all modalities' features in a count sketch of `size` dimensions, its
    signed square root, brought to length one, and classified. The result does not depend on the features' lengths,
    which are brought to one first, so that products neither overflow nor vanish; the transforms run in float32 at
    least.

    The fused vector is a product of all modalities: with one of them at zero it is zero, so that the unimodal logits,
    which come from ablation, are those of the head's bias and the same for every modality.

    The parameters that the papers report for it (51.03M in CFN-SR, Table 1) fit no published configuration; as here,
    with the sketch of 16000 that Fukui et al. use, the trunks of CFN-SR come to 26,014,376.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        head: registered head.
        head_options: its keyword options.
        size: d, the dimensions of the sketch, at least 2.
        seed: of the sketch's indices and signs.

    Raises:
        ConfigError: an option outside its range.

    Example:
        >>> fusion = MCB({"audio": 4, "visual": 6}, num_classes=3, size=64)
        >>> fusion({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}).logits.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        head: str = "linear",
        head_options: Mapping[str, Any] | None = None,
        size: int = 16000,
        seed: int = 0,
    ) -> None:
        super().__init__(dims, num_classes)
        if size < 2:
            raise ConfigError(f"size, the dimensions of the sketch, must be 2 or more, got {size}")
        generator = torch.Generator("cpu").manual_seed(seed)
        self.sketches = nn.ModuleDict({m: Sketch(width, size, generator) for m, width in dims.items()})
        self.head = create_head(head, {FUSED: size}, num_classes, **(head_options or {}))

    @override
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        narrow = next(iter(features.values())).dtype
        sketches = [sketch(unit_rows(widened(features[m]))) for m, sketch in self.sketches.items()]
        product = compact_bilinear(sketches)
        fused = unit_rows(product * torch.rsqrt(product.abs() + _FLOOR)).to(narrow)
        return Joined(self.head({FUSED: fused})[FUSED], fused, None, {})
