"""Encoders, what acts between them, fusion and head as one module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import override

from counterpoint._moved import former_option
from counterpoint.errors import ConfigError
from counterpoint.fusion import Fusion, FusionOutput, ModalityDropout
from counterpoint.intermediate import FusionPoint, Route
from counterpoint.models.pretrained import Model


class MultimodalModel(Model):
    """One encoder per modality, parts between their layers if any, and a fusion of their features.

    Args:
        encoders: per modality a module ``(B, ...) -> (B, D_m)``, in the order of the fusion's modalities.
        fusion: takes those features.
        points: where the encoders' maps act on each other, see `Interleaved`; none: nowhere.
        modality_dropout: probability by which a modality of a clip is ablated in training, 0 to 1; see
            `ModalityDropout`.
        config: how `create_model` makes this model again; None for one that was put together by hand, which
            cannot be saved by `save_pretrained`.

    Raises:
        ConfigError: encoders and fusion are of different modalities, or of different widths; or a probability outside
            its range.
        UnknownNameError: a point at a layer that is not there.

    Example:
        >>> from counterpoint.encoders import AudioCNN, VisualCNN
        >>> from counterpoint.fusion import Concat
        >>> encoders = {"audio": AudioCNN(), "visual": VisualCNN()}
        >>> model = MultimodalModel(encoders, Concat({m: e.out_features for m, e in encoders.items()}, num_classes=3))
        >>> model({"audio": torch.ones(2, 1, 40, 100), "visual": torch.ones(2, 1, 5, 32, 32)}).logits.shape
        torch.Size([2, 3])
    """

    @former_option("places", "points")
    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        fusion: Fusion,
        *,
        points: Sequence[FusionPoint] = (),
        modality_dropout: float = 0.0,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if tuple(encoders) != fusion.modalities:
            raise ConfigError(
                f"the encoders are of {', '.join(encoders) or 'nothing'}, but the fusion joins "
                f"{', '.join(fusion.modalities)}; both need the same names in the same order"
            )
        for name, encoder in encoders.items():
            width = getattr(encoder, "out_features", None)
            if isinstance(width, int) and width != fusion.dims[name]:
                raise ConfigError(
                    f"the {name} encoder gives {width} features, but the fusion takes {fusion.dims[name]}"
                )
        self.encoders = nn.ModuleDict(encoders)
        self.intermediate = nn.ModuleList(part for _, part in points)
        self.route = Route(encoders, points)
        self.modality_dropout = ModalityDropout(modality_dropout)
        self.fusion = fusion
        self.config: dict[str, Any] = dict(config or {})

    if TYPE_CHECKING:

        @override
        def __call__(self, inputs: Mapping[str, Tensor]) -> FusionOutput: ...

    @property
    def modalities(self) -> tuple[str, ...]:
        """In declared order."""
        return self.fusion.modalities

    @property
    def balanced(self) -> dict[str, nn.Module]:
        """Per modality what it alone passes through, whose gradients a balancer may change: its encoder."""
        return dict(self.encoders.items())

    def encode(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features per modality, ``(B, D_m)``.

        Args:
            inputs: per modality what its encoder takes; all of the same B.

        Raises:
            UnknownNameError: a modality is missing, or was never declared.
            ShapeError: batches of different sizes, or a shape that the encoder does not take.
        """
        return self.route.run(dict(self.encoders.items()), list(self.intermediate), inputs)

    def forward(self, inputs: Mapping[str, Tensor]) -> FusionOutput:
        """Encode and fuse, in training without the modalities that are dropped; see `encode`."""
        return self.fusion(self.modality_dropout(self.encode(inputs)))
