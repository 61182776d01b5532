"""What every localiser shares: features checked and flattened, losses, and one way out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

import torch
from torch import Tensor, nn
from typing_extensions import override

from counterpoint._eval_mode import evaluating
from counterpoint._features import ablate, check_dims, check_floating, check_modalities
from counterpoint._moved import former_method
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.localise.losses import LOCALISER_LOSSES
from counterpoint.localise.output import LocaliserOutput
from counterpoint.registry import Part, Registry, check_choice, check_options

AUDIO, VISUAL = "audio", "visual"
BOTH = frozenset({AUDIO, VISUAL})


class LocaliserOptions(TypedDict, total=False):
    """What every localiser is trained with.

    Attributes:
        supervision: ``"fully"`` (default): a class for every segment is known; ``"weakly"``: one for the clip.
        loss: a name of `LOCALISER_LOSSES`; None (default) for the network's own.
    """

    supervision: Literal["fully", "weakly"]
    loss: str | None


class Localiser(Part, nn.Module, ABC):
    """Features of T segments in, one `LocaliserOutput` out.

    A localiser of one's own takes `dims` and `num_classes` first and its options by name, and hands
    ``**training: Unpack[LocaliserOptions]`` on. It overrides `locate`, which gets checked features, and `encoders`, for
    balancers. Where it differs, it says so in `modality_sets`, the modalities that it takes; `decoupled`, whether its
    output has `unimodal_logits`; and `losses`, the loss that it is trained with under each supervision that it knows.

    Args:
        dims: the widths ``{"visual": D_v, "audio": D_a}``.
        num_classes: C, the classes of events, background not counted.
        supervision: see `LocaliserOptions`.
        loss: see `LocaliserOptions`.

    Attributes:
        wants: what the run is to hand in, as arguments of the constructor: ``segments``, ``seed``; see
            `counterpoint.wants`.

    Raises:
        ConfigError: modalities that the network does not take, a size below 1, a supervision that it does not know, or
            a loss of the other supervision.
        UnknownNameError: no such loss.

    Example:
        >>> from counterpoint.localise.output import from_segments
        >>> class SoundOnly(Localiser):
        ...     modality_sets = (frozenset({"audio"}),)
        ...
        ...     def __init__(self, dims, num_classes, **training):
        ...         super().__init__(dims, num_classes, **training)
        ...         self.score = nn.Linear(dims["audio"], num_classes + 1)
        ...
        ...     def locate(self, features):
        ...         return from_segments(self.score(features["audio"]))
        ...
        ...     def encoders(self):
        ...         return {"audio": self.score}
        >>> output = SoundOnly({"audio": 128}, num_classes=28)({"audio": torch.ones(2, 10, 128)})
        >>> output.segments().shape
        torch.Size([2, 10])
    """

    wants: ClassVar[tuple[str, ...]] = ()
    modality_sets: ClassVar[tuple[frozenset[str], ...]] = (BOTH,)
    # Whether the output tells what each modality contributes, which balancers need.
    decoupled: ClassVar[bool] = False
    # Per supervision that it knows the loss it is trained with.
    losses: ClassVar[Mapping[str, str]] = {"fully": "segments", "weakly": "video"}

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        supervision: Literal["fully", "weakly"] = "fully",
        loss: str | None = None,
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

    if TYPE_CHECKING:

        @override
        def __call__(self, features: Mapping[str, Tensor]) -> LocaliserOutput: ...

    def forward(self, features: Mapping[str, Tensor]) -> LocaliserOutput:
        """Localise.

        Args:
            features: ``"visual"``: ``(B, T, L, D_v)`` or ``(B, T, H, W, D_v)``, a map per segment; ``"audio"``: ``(B,
                T, D_a)``. Any T and L.

        Raises:
            UnknownNameError: a modality is missing or was never declared.
            ShapeError: a tensor has another shape than declared, or the modalities differ in B or T.
        """
        return self.locate(self._checked(features))

    @abstractmethod
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        """The output for checked features, overridden by every localiser: ``(B, T, L, D_v)`` and ``(B, T, D_a)``."""

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
        kept = ablate(type(self).__name__, self._checked(features), keep)
        with evaluating(self):
            return self.locate(kept)

    silenced = former_method("Localiser", "silenced", "ablated")

    def _checked(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        name = type(self).__name__
        check_modalities(name, features, self.modalities)
        ordered = {}
        for modality in self.modalities:
            x, width = features[modality], self.dims[modality]
            check_floating(name, f"the feature {modality!r}", x)
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
