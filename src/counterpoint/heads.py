"""Features of M modalities to logits: linear, as everyone has it, and cosine, as MMCosine has it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from counterpoint._features import check_dims, check_features
from counterpoint._moved import former_names
from counterpoint.errors import ConfigError
from counterpoint.functional import cosine_logits, mmcosine_scale_bound
from counterpoint.registry import Part, Registry, check_options

__getattr__ = former_names(__name__, dict.fromkeys(("check_dims", "check_modalities", "check_features"), "_features"))


class HeadOptions(TypedDict, total=False):
    """Which head a fusion has.

    Attributes:
        head: registered, ``"linear"`` by default; in late fusion every modality gets one.
        head_options: its keyword options.
    """

    head: str
    head_options: Mapping[str, Any] | None


class Head(Part, nn.Module, ABC):
    """Features per modality in, logits per modality out; the joint logits are their sum.

    A head of one's own overrides `forward` and `weights`; one whose weights are a block per modality derives from
    `Blocks`, which has them, and overrides `forward` alone.

    Args:
        dims: per modality the width D_m of its features; one modality or more.
        num_classes: C, at least 1.

    Raises:
        ConfigError: no modality, a size below 1, or an unusable name.

    Example:
        >>> class Dot(Blocks):
        ...     def forward(self, features):
        ...         return {m: x @ self.weight[m].T for m, x in features.items()}
        >>> weights = Dot({"audio": 8, "visual": 16}, num_classes=5).weights()
        >>> {modality: tuple(weight.shape) for modality, weight in weights.items()}
        {'audio': (5, 8), 'visual': (5, 16)}
    """

    if TYPE_CHECKING:

        @override
        def __call__(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]: ...

    def __init__(self, dims: Mapping[str, int], num_classes: int) -> None:
        super().__init__()
        check_dims("a head", dims, num_classes)
        self.dims = dict(dims)
        self.num_classes = num_classes

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``(B, ..., D_m)`` per modality to ``(B, ..., C)`` per modality."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Per modality its ``(C, D_m)`` block of the weight: the parameters themselves."""

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"dims={self.dims}, num_classes={self.num_classes}"


class Blocks(Head):
    """A head with one weight over the concatenated features, kept in a block per modality.

    Args:
        dims: per modality the width D_m of its features.
        num_classes: C.

    Example:
        >>> sorted((name, tuple(w.shape)) for name, w in Linear({"audio": 4, "visual": 6}, 3).weights().items())
        [('audio', (3, 4)), ('visual', (3, 6))]
    """

    def __init__(self, dims: Mapping[str, int], num_classes: int) -> None:
        super().__init__(dims, num_classes)
        self.weight = nn.ParameterDict({name: nn.Parameter(torch.empty(num_classes, d)) for name, d in dims.items()})
        bound = 1 / math.sqrt(sum(dims.values()))  # as one linear layer over the concatenated features
        for weight in self.weight.values():
            nn.init.uniform_(weight, -bound, bound)

    def weights(self) -> dict[str, Tensor]:
        """Per modality its ``(C, D_m)`` block of the weight: the parameters themselves."""
        return {name: self.weight[name] for name in self.dims}


HEADS: Registry[type[Head]] = Registry("head", classes_of=Head)


@HEADS.register("linear")
class Linear(Blocks):
    """One linear layer over the concatenated features, kept in blocks: Eq. (2) of MMCosine, ``W^a φ^a + W^v φ^v + b``.

    With cross entropy this is the vanilla loss, Eq. (1) of MMCosine. By Eq. (5) of MMCosine the gradient that reaches
    one encoder is the error of the *joint* logits times that encoder's own block W^m: a modality whose block has grown
    large both silences the other through the first factor and learns faster through the second.

    One bias is shared out evenly, ``b / M`` in each modality's logits, as OGM-GE and MMCosine judge modalities that are
    concatenated. Where OGM-GE sums logits, each modality has a layer with a bias of its own.

    Args:
        dims: per modality the width D_m of its features.
        num_classes: C.
        bias: ``"shared"``: one for all; ``"each"``: one per modality, which then begins as a layer over that modality
            alone begins, and so do the weights.

    Example:
        >>> head = Linear({"audio": 4, "visual": 6}, num_classes=3)
        >>> head({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)})["audio"].shape
        torch.Size([2, 3])
    """

    def __init__(
        self, dims: Mapping[str, int], num_classes: int, *, bias: Literal["shared", "each"] = "shared"
    ) -> None:
        super().__init__(dims, num_classes)
        bound = 1 / math.sqrt(sum(dims.values()))
        self.bias: nn.Parameter | nn.ParameterDict
        if bias == "shared":
            self.bias = nn.Parameter(torch.empty(num_classes).uniform_(-bound, bound))
            return
        self.bias = nn.ParameterDict()
        for name, width in dims.items():
            bound = 1 / math.sqrt(width)
            nn.init.uniform_(self.weight[name], -bound, bound)
            self.bias[name] = nn.Parameter(torch.empty(num_classes).uniform_(-bound, bound))

    def _bias(self, name: str) -> Tensor:
        """What stands in a modality's logits, ``(C,)``."""
        if isinstance(self.bias, nn.ParameterDict):
            own: Tensor = self.bias[name]
            return own
        return self.bias / len(self.dims)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits per modality, ``(B, ..., C)``."""
        features = check_features("the head", features, self.dims)
        return {name: F.linear(feature, self.weight[name], self._bias(name)) for name, feature in features.items()}

    def split(self, name: str, parts: Sequence[Tensor]) -> list[Tensor]:
        """What each of `parts` adds to the logits of the feature `name` that is their sum; the bias is shared out.

        Args:
            name: a modality of `dims`.
            parts: tensors ``(B, ..., D)``.
        """
        share = self._bias(name) / len(parts)
        return [F.linear(part, self.weight[name], share) for part in parts]


@HEADS.register("cosine")
class Cosine(Blocks):
    """MMCosine: features and weights of each modality are brought to length one, Eq. (3) of MMCosine; no bias.

    Args:
        dims: per modality the width D_m of its features.
        num_classes: C, at least 2.
        scale: the paper's s, above 0; None for the lower bound of Eq. (4) of MMCosine. The released code uses 10 for
            CREMA-D, its authors advise 50 for FiLM and gated fusion.
        p: the probability of the true class that Eq. (4) is to allow, if `scale` is None.

    Raises:
        ConfigError: `scale` or `p` outside its range.

    Example:
        >>> head = Cosine({"audio": 4, "visual": 6}, num_classes=3, scale=10.0)
        >>> head({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)})["audio"].shape
        torch.Size([2, 3])
    """

    def __init__(
        self, dims: Mapping[str, int], num_classes: int, *, scale: float | None = None, p: float = 0.999
    ) -> None:
        super().__init__(dims, num_classes)
        if scale is None:
            scale = mmcosine_scale_bound(num_classes, p, num_modalities=len(dims))
        if not 0 < scale < math.inf:
            raise ConfigError(f"scale must be finite and above 0, got {scale}")
        self.scale = float(scale)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits per modality, ``(B, ..., C)``, in ``[-scale, scale]``."""
        features = check_features("the head", features, self.dims)
        return {name: cosine_logits(feature, self.weight[name], self.scale) for name, feature in features.items()}

    def extra_repr(self) -> str:
        """Sizes and scale, for ``print(model)``."""
        return f"{super().extra_repr()}, scale={self.scale:.4g}"


def create_head(name: str, dims: Mapping[str, int], num_classes: int, **options: Any) -> Head:
    """The registered head of that name.

    Args:
        name: ``"linear"``, ``"cosine"``, or what else is registered.
        dims: per modality the width of its features.
        num_classes: C.
        options: the head's own keyword arguments.

    Raises:
        UnknownNameError: no such head.
        ConfigError: an option that the head does not take.
    """
    head = HEADS.get(name)
    check_options(f"Head {name!r}", head, options, given=2)
    return head(dims, num_classes, **options)


class Separate(Head):
    """Heads that know nothing of each other, one per modality: what late fusion joins the answers of.

    Args:
        name: registered head; each modality gets one of its own, declared with that modality alone.
        dims: per modality the width D_m of its features.
        num_classes: C.
        options: the heads' keyword arguments.

    Raises:
        UnknownNameError: no such head.
        ConfigError: a size below 1, or an option that the head does not take.

    Example:
        >>> head = Separate("cosine", {"audio": 4, "visual": 6}, num_classes=3)
        >>> head({"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)})["audio"].shape
        torch.Size([2, 3])
    """

    def __init__(self, name: str, dims: Mapping[str, int], num_classes: int, **options: Any) -> None:
        super().__init__(dims, num_classes)
        self.each = nn.ModuleDict(
            {m: create_head(name, {m: width}, num_classes, **options) for m, width in dims.items()}
        )

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits per modality, ``(B, ..., C)``."""
        features = check_features("the head", features, self.dims)
        return {m: head({m: features[m]})[m] for m, head in self.each.items()}

    def weights(self) -> dict[str, Tensor]:
        """Per modality the ``(C, D_m)`` weight of its head: the parameters themselves."""
        return {m: cast(Head, head).weights()[m] for m, head in self.each.items()}
