"""SimAM inside an encoder: attention without parameters, from one modality alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from counterpoint.errors import ConfigError
from counterpoint.functional import simam
from counterpoint.registry import check_options


class SimAM(nn.Module):
    """Weighs every neuron by how much it stands out from its channel; see `functional.simam`.

    The population is a channel of one sample: all positions of a picture, or all positions of all frames of a clip.

    Args:
        axes: how many axes the maps are spread over: 2 for ``(B, C, H, W)``, 3 for ``(B, C, T, H, W)``.
        lam: regularisation lambda, at least 0.
        correction: 1 divides squared deviations by one less than the population's size, 0 by its size.

    Raises:
        ConfigError: a value outside its range.

    Example:
        >>> SimAM()(torch.randn(2, 8, 7, 7)).shape
        torch.Size([2, 8, 7, 7])
    """

    def __init__(self, axes: int = 2, *, lam: float = 1e-4, correction: int = 1) -> None:
        super().__init__()
        if lam < 0 or correction not in (0, 1):
            raise ConfigError(
                f"SimAM needs lam >= 0 and a correction of 0 or 1, got lam={lam}, correction={correction}"
            )
        self.dim = tuple(range(-axes, 0))
        self.lam = lam
        self.correction = correction

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, ...)`` to the same shape."""
        return simam(x, dim=self.dim, lam=self.lam, correction=self.correction)

    def extra_repr(self) -> str:
        """Options, for ``print(model)``."""
        return f"dim={self.dim}, lam={self.lam}, correction={self.correction}"


def create_attention(name: Literal["simam"] | None, options: Mapping[str, Any] | None, axes: int) -> SimAM | None:
    """The attention of that name over so many axes; None for none.

    Args:
        name: None or ``"simam"``.
        options: keyword options of `SimAM`.
        axes: see `SimAM`.

    Raises:
        ConfigError: options without attention, or options that it does not take.
    """
    options = dict(options or {})
    if name is None:
        if options:
            raise ConfigError(f"attention_options={options} need an attention; choose attention='simam'")
        return None
    check_options("Attention 'simam'", SimAM, options, given=1)
    return SimAM(axes, **options)
