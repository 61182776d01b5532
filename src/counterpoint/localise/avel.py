"""AVEL: audio-guided visual attention, a recurrent network per modality, and their concatenation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack, override

from counterpoint.errors import ConfigError
from counterpoint.fusion.superposition import SuperpositionOptions, is_plain
from counterpoint.localise.base import AUDIO, BOTH, LOCALISERS, VISUAL, Localiser
from counterpoint.localise.guided import GuidedAttention
from counterpoint.localise.heads import SegmentHead
from counterpoint.localise.join import LateJoin
from counterpoint.localise.output import LocaliserOutput
from counterpoint.localise.recurrent import BiLSTM


@LOCALISERS.register("avel")
class AVEL(Localiser):
    """AVEL (Tian et al. 2018), from its public code but for `variant`. The network that SimAM² calls AVGA.

    With ``dims={"audio": D_a}`` or ``{"visual": D_v}`` it is the table's audio only and video only; without sound
    there is nothing to guide attention by, and the positions' mean is taken.

    Weak supervision takes each class's maximum over segments. The released code feeds softmaxed scores to a loss for
    logits; that is ``loss="segments_soft_margin"`` (weakly ``"video_soft_margin"``), the default is cross entropy.

    SimAM² (its Table 2) takes the place of the concatenation, the network's late fusion: ``attention="simam2",
    zeta="learned"``. For its row with decoupling-free modulation, train it with ``OGMGE(net.encoders(), ratio="zeta",
    parameters="all")``. As the parameters are no convolutions, OGM-GE needs ``parameters="all"`` too.

    Args:
        dims: widths of one modality or both.
        num_classes: C.
        supervision: see `LocaliserOptions`.
        loss: see `LocaliserOptions`.
        guided: False for positions' mean instead of attention.
        hidden: width of the recurrent networks, per direction.
        inner: of `GuidedAttention`.
        variant: of the same: the paper's formula, or what the code computes.
        superposition: see `SuperpositionOptions`; the streams are the modalities' segments, and a learned zeta is a
            gate per segment and channel.

    Raises:
        ConfigError: an option outside its range, or fusion options for one modality, or a `variant` without attention.

    Example:
        >>> localiser = AVEL({"visual": 8, "audio": 4}, num_classes=3)
        >>> localiser({"visual": torch.ones(2, 10, 9, 8), "audio": torch.ones(2, 10, 4)}).segments().shape
        torch.Size([2, 10])
    """

    decoupled: ClassVar[bool] = True
    modality_sets: ClassVar[tuple[frozenset[str], ...]] = (BOTH, frozenset({AUDIO}), frozenset({VISUAL}))

    def __init__(
        self,
        dims: Mapping[str, int],
        num_classes: int,
        *,
        supervision: Literal["fully", "weakly"] = "fully",
        loss: str | None = None,
        guided: bool = True,
        hidden: int = 128,
        inner: int = 49,
        variant: Literal["paper", "released"] = "paper",
        **superposition: Unpack[SuperpositionOptions],
    ) -> None:
        super().__init__(dims, num_classes, supervision=supervision, loss=loss)
        self.recurrent = nn.ModuleDict({name: BiLSTM(width, hidden) for name, width in dims.items()})
        if variant != "paper" and (len(dims) == 1 or not guided):
            raise ConfigError(f"variant={variant!r} is of the guided attention, and there is none")
        self.guide: GuidedAttention | None = None
        self.join: LateJoin | None = None
        if len(dims) > 1:
            if guided:
                self.guide = GuidedAttention(dims[VISUAL], dims[AUDIO], inner=inner, variant=variant)
            self.join = LateJoin(self.modalities, 2 * hidden, how="concat", **superposition)
        elif not is_plain(superposition):
            raise ConfigError(
                f"attention and zeta weigh modalities against each other, but {self.modalities[0]!r} is alone"
            )
        self.head = SegmentHead(2 * hidden * len(dims), num_classes, supervision=supervision)

    @override
    def locate(self, features: dict[str, Tensor]) -> LocaliserOutput:
        extras: dict[str, Tensor] = {}
        pooled = dict(features)
        if self.guide is not None:
            pooled[VISUAL], weights = self.guide(features[VISUAL], features[AUDIO])
            extras["attention"] = weights.detach()
        elif VISUAL in features:
            pooled[VISUAL] = features[VISUAL].mean(-2)
        streams = {name: self.recurrent[name](pooled[name]) for name in self.modalities}
        if self.join is None:
            (alone,) = streams.values()
            return replace(self._classified(alone), extras=extras)
        output = self.join.classified(streams, self._classified, self._trained, update=self.training)
        return replace(output, extras={**extras, **output.extras})

    def _classified(self, fused: Tensor) -> LocaliserOutput:
        return self.head(F.relu(fused))

    @override
    def encoders(self) -> dict[str, nn.Module]:
        """Each modality's recurrent network, and its side of the attention."""
        sides = {} if self.guide is None else {AUDIO: self.guide.audio, VISUAL: self.guide.visual_part()}
        return {
            name: nn.ModuleList([*([sides[name]] if name in sides else []), self.recurrent[name]])
            for name in self.modalities
        }
