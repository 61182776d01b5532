"""What every localiser shares: features checked and flattened, losses, and one way out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from counterpoint._eval_mode import evaluating
from counterpoint._moved import former_method
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.heads import check_dims, check_modalities
from counterpoint.localise.losses import LOCALISER_LOSSES
from counterpoint.localise.output import LocaliserOutput
from counterpoint.registry import Registry, check_choice, check_options

AUDIO, VISUAL = "audio", "visual"
BOTH = frozenset({AUDIO, VISUAL})


class Localiser(nn.Module, ABC):
    """Features of T segments in, one `LocaliserOutput` out.

    Args:
        dims: the widths ``{"visual": D_v, "audio": D_a}``.
        num_classes: C, the classes of events, background not counted.
        supervision: ``"fully"``: a class for every segment is known; ``"weakly"``: one for the clip.
        loss: a name of `LOCALISER_LOSSES`; None for the network's own, `losses`.

    Raises:
        ConfigError: modalities that the network does not take, a size below 1, a supervision that it does not know, or
            a loss of the other supervision.
        UnknownNameError: no such loss.
    """

    modality_sets: ClassVar[tuple[frozenset[str], ...]] = (BOTH,)
    # Whether the output tells what each modality contributes, which balancers need.
    decoupled: ClassVar[bool] = False
    # Per supervision that it knows the loss it is trained with.
    losses: ClassVar[Mapping[str, str]] = {"fully": "segments", "weakly": "video"}

    def __init__(
        self, dims: Mapping[str, int], num_classes: int, *, supervision: str = "fully", loss: str | None = None
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_dims(name, dims, num_classes)
        if frozenset(dims) not in self.modality_sets:
            known = " or ".join(" and ".join(sorted(each)) for each in self.modality_sets)
            raise ConfigError(f"{name} takes the modalities {known}, got {', '.join(dims)}")
        check_choice("supervision", supervision, self.losses)
        chosen = LOCALISER_LOSSES.get(loss or self.losses[supervision])
        if chosen.supervision != supervision:
            raise ConfigError(f"loss={loss!r} is for {chosen.supervision} supervised training, not {supervision}")
        self.dims = dict(dims)
        self.modalities = tuple(dims)
        self.num_classes = num_classes
        self.supervision = supervision
        self.loss_name = loss or self.losses[supervision]
        self.config: dict[str, Any] = {}

    def forward(self, features: Mapping[str, Tensor]) -> LocaliserOutput:
        """Localise.

        Args:
            features: ``"visual"``: ``(B, T, L, D_v)`` or ``(B, T, H, W, D_v)``, a map per segment; ``"audio"``: ``(B,
                T, D_a)``. Any T and L.

        Raises:
            UnknownNameError: a modality is missing or was never declared.
            ShapeError: a tensor has another shape than declared, or the modalities differ in B or T.
        """
        return self._locate(self._checked(features))

    @abstractmethod
    def _locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        """The output for checked features: visual ``(B, T, L, D_v)``, audio ``(B, T, D_a)``."""

    @abstractmethod
    def encoders(self) -> dict[str, nn.Module]:
        """Per modality the parameters that it alone passes through, whose gradients a balancer may change.

        They are not convolutions: balance them with ``parameters="all"``.
        """

    def loss(self, output: LocaliserOutput, target: Tensor) -> Tensor:
        """The training loss, a scalar.

        Args:
            output: of this network.
            target: in full supervision ``(B, T)`` classes of segments, in weak ``(B,)`` classes of clips or ``(B, C +
                1)`` shares of each; C is background.

        Raises:
            ShapeError: another shape.
        """
        return LOCALISER_LOSSES.get(self.loss_name)(output, target)

    def _trained(self, output: LocaliserOutput) -> Tensor:
        """The logits that meet the target of this network's supervision."""
        return output.segment_logits if self.supervision == "fully" else output.video_logits

    @torch.no_grad()
    def ablated(self, features: Mapping[str, Tensor], keep: str | Collection[str]) -> LocaliserOutput:
        """The output in evaluation mode with the features of every modality but `keep` at zero.

        Args:
            features: as for a call.
            keep: one modality or several.

        Raises:
            UnknownNameError: `keep` names a modality that was not declared.
        """
        kept = {keep} if isinstance(keep, str) else set(keep)
        named = self._checked(features)
        check_modalities(type(self).__name__, kept | set(named), self.modalities)
        with evaluating(self):
            return self._locate({m: x if m in kept else torch.zeros_like(x) for m, x in named.items()})

    silenced = former_method("Localiser", "silenced", "ablated")

    def _checked(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        name = type(self).__name__
        check_modalities(name, features, self.modalities)
        ordered = {}
        for modality in self.modalities:
            x, width = features[modality], self.dims[modality]
            if not isinstance(x, Tensor) or not x.is_floating_point():
                kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
                raise ShapeError(f"{name} needs the feature {modality!r} as floating point numbers, got {kind}")
            maps = f"(B, T, L, {width}) or (B, T, H, W, {width})"
            allowed, wanted = ((4, 5), maps) if modality == VISUAL else ((3,), f"(B, T, {width})")
            if x.ndim not in allowed or x.shape[-1] != width or 0 in x.shape[1:]:
                raise ShapeError(f"the feature {modality!r} has shape {tuple(x.shape)}, but {name} needs {wanted}")
            ordered[modality] = x.flatten(2, 3) if x.ndim == 5 else x
        first, *rest = ordered.values()
        for x in rest:
            if x.shape[:2] != first.shape[:2]:
                shapes = {m: tuple(x.shape) for m, x in ordered.items()}
                raise ShapeError(f"{name} needs the same clips and segments of all modalities, got {shapes}")
        return ordered

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"dims={self.dims}, num_classes={self.num_classes}, supervision={self.supervision!r}"


LOCALISERS: Registry[type[Localiser]] = Registry("localiser", classes_of=Localiser)


def create_localiser(name: str, dims: Mapping[str, int], num_classes: int, **options: Any) -> Localiser:
    """The registered localiser of that name; its `config` says how to make it again.

    Args:
        name: e.g. ``"bmfn"``; see `list_localisers`.
        dims: the widths ``{"visual": D_v, "audio": D_a}``.
        num_classes: C, background not counted.
        options: the localiser's own keyword arguments.

    Raises:
        UnknownNameError: no such localiser.
        ConfigError: an option that it does not take, or one outside its range.
    """
    part = LOCALISERS.get(name)
    check_options(f"Localiser {name!r}", part, options, given=2)
    localiser = part(dims, num_classes, **options)
    localiser.config = {"name": name, "dims": dict(dims), "num_classes": num_classes, "options": dict(options)}
    return localiser


def list_localisers(pattern: str = "*") -> list[str]:
    """Names of registered localisers that match a shell pattern, sorted."""
    return LOCALISERS.names(pattern)
