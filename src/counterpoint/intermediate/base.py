"""What every intermediate fusion shares: maps in, maps of the same shapes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn
from typing_extensions import override

from counterpoint._features import check_dims, check_floating, check_modalities
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.registry import Part, Registry, check_options


class Intermediate(Part, nn.Module, ABC):
    """Maps of M modalities act on each other: ``(B, C_m, ...)`` each in, the same shapes out.

    One of one's own takes `channels` first and its options by name, and overrides `exchange`, which gets checked maps
    in declared order; `default_layers` says where it acts unless told otherwise.

    What follows C may be any number of axes, also none, and need not be the same for all: time, or time, height and
    width. Statistics over a batch, where a part has them, are of one process, as those of the encoders are.

    Args:
        channels: per modality the C_m of its maps, in the order in which modalities are declared; M >= 2.

    Raises:
        ConfigError: one modality, a size below 1, or an unusable name.

    Example:
        >>> import torch
        >>> class Swap(Intermediate):
        ...     def exchange(self, maps):
        ...         means = {m: x.flatten(1).mean(1) for m, x in maps.items()}
        ...         total = sum(means.values())
        ...         return {m: x + (total - means[m]).reshape(-1, *[1] * (x.ndim - 1)) for m, x in maps.items()}
        >>> maps = Swap({"audio": 4, "visual": 8})({"audio": torch.ones(2, 4, 9), "visual": torch.ones(2, 8, 3, 7, 7)})
        >>> maps["visual"].shape
        torch.Size([2, 8, 3, 7, 7])
    """

    default_layers: ClassVar[tuple[str, ...]] = ("late",)
    """The levels at which its paper has it: ``"late"``, the encoders' last maps, and ``"mid"``, those before."""

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        name = type(self).__name__
        if len(channels) < 2:
            raise ConfigError(f"{name} acts between 2 modalities or more, got {', '.join(channels) or 'none'}")
        check_dims(name, channels)
        self.channels = dict(channels)
        self.modalities = tuple(channels)

    if TYPE_CHECKING:

        @override
        def __call__(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]: ...

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Exchange what the modalities know.

        Args:
            maps: per modality ``(B, C_m, ...)``; all of the same B.

        Returns:
            The same shapes and kinds of number, in declared order.

        Raises:
            UnknownNameError: a modality is missing or was never declared.
            ShapeError: a tensor has another shape than declared.
        """
        return self.exchange(self._named(maps))

    @abstractmethod
    def exchange(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same for checked maps in declared order; overridden by every part."""

    def _named(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        owner = type(self).__name__
        check_modalities(owner, maps, self.channels)
        named = {name: maps[name] for name in self.channels}
        for name, x in named.items():
            check_floating(owner, f"the {name} maps", x, verb="are")
        batch = named[self.modalities[0]].shape[:1]
        for name, x in named.items():
            if x.ndim < 2 or x.shape[1] != self.channels[name] or x.shape[:1] != batch or 0 in x.shape[2:]:
                raise ShapeError(
                    f"the {name} maps are of shape {tuple(x.shape)}, but {owner} needs (B, {self.channels[name]}, ...) "
                    "with the same B for all modalities, and no other axis empty"
                )
        return named

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"channels={self.channels}"


INTERMEDIATES: Registry[type[Intermediate]] = Registry("intermediate fusion", classes_of=Intermediate)


def create_intermediate(name: str, channels: Mapping[str, int], **options: Any) -> Intermediate:
    """The registered intermediate fusion of that name.

    Args:
        name: e.g. ``"cross_modal"``; see `list_intermediates`.
        channels: per modality the channels of its maps.
        options: the part's own keyword arguments.

    Raises:
        UnknownNameError: no such part.
        ConfigError: an option that it does not take, or one outside its range.
    """
    part = INTERMEDIATES.get(name)
    check_options(f"Intermediate fusion {name!r}", part, options, given=1)
    return part(channels, **options)


def list_intermediates(pattern: str = "*") -> list[str]:
    """Names of registered intermediate fusions that match a shell pattern, sorted."""
    return INTERMEDIATES.names(pattern)


def squeeze(maps: Tensor) -> Tensor:
    """The mean over all that follows the channels: ``(B, C, ...)`` to ``(B, C)``."""
    return maps.flatten(2).mean(-1) if maps.ndim > 2 else maps


def gate_like(gate: Tensor, maps: Tensor) -> Tensor:
    """A gate ``(B, C)`` with as many axes as `maps`, and of its kind of number."""
    return gate.to(maps.dtype).reshape(*gate.shape, *[1] * (maps.ndim - 2))
