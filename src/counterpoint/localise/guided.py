"""Where in the picture to look: attention over positions, guided by sound or by itself."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.errors import ShapeError
from counterpoint.registry import Part


class GuidedAttention(nn.Module):
    """Audio-guided visual attention (AVGA) of AVEL, which PSP and others keep.

    Both features are projected (ReLU), then to a common space; ``softmax(w tanh(v_l + g))`` weighs the positions l.

    Args:
        visual: D_v.
        audio: D_a.
        hidden: width of the projections.
        inner: width of the common space: 49, as many as AVEL has positions. Nothing ties the two together but
            ``variant="released"``.
        variant: ``"paper"``: the sound adds one vector of the common space to every position, as the formula has it;
            ``"released"``: it adds one number to all of a position's, as the code of AVEL and PSP does, whose sum runs
            along the other axis; there must be `inner` positions then.
    """

    def __init__(
        self,
        visual: int,
        audio: int,
        *,
        hidden: int = 512,
        inner: int = 49,
        variant: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__()
        self.inner, self.by_position = inner, variant == "released"
        self.visual = nn.Sequential(nn.Linear(visual, hidden), nn.ReLU(), nn.Linear(hidden, inner, bias=False))
        self.audio = nn.Sequential(nn.Linear(audio, hidden), nn.ReLU(), nn.Linear(hidden, inner, bias=False))
        self.score = nn.Linear(inner, 1, bias=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Maps ``(B, T, L, D_v)`` and sounds ``(B, T, D_a)`` to ``(B, T, D_v)`` and the weights ``(B, T, L)``.

        Raises:
            ShapeError: another number of positions than ``variant="released"`` has.
        """
        if self.by_position and visual.shape[-2] != self.inner:
            raise ShapeError(
                f"the maps have {visual.shape[-2]} positions, but the attention's inner width is {self.inner}; "
                "variant='released' adds the sound over positions: set inner to their number, or take variant='paper'"
            )
        common = torch.tanh(self.visual(visual) + self.audio(audio).unsqueeze(-1 if self.by_position else -2))
        weights = self.score(common).squeeze(-1).softmax(-1)
        return gather(weights, visual), weights

    def visual_part(self) -> nn.Module:
        """What only the picture passes through, and the score."""
        return nn.ModuleList([self.visual, self.score])


def gather(weights: Tensor, values: Tensor) -> Tensor:
    """Sum of ``values (..., L, D)`` weighted by ``weights (..., L)``."""
    return (weights.unsqueeze(-2) @ values).squeeze(-2)


class ChannelSpatialAttention(Part, nn.Module):
    """Channels first, then positions: Eq. (1) of BMFN without a guide, CMRAN's audio-guided attention with one.

    Args:
        visual: D_v.
        width: d of the bottleneck, and of the positions' hidden layer in ``variant="released"``.
        guide: D_a of the sound whose projections multiply those of the picture; None for none.
        variant: ``"paper"``: ``M_C v`` and ``W_3 v`` as printed; ``"released"``: ``(M_C + 1) v``, and a hidden layer
            with ReLU before the positions' score (both as CMRAN has it, whose code BMFN's starts from). A guide needs
            ``"released"``'s hidden layer and has it always.
    """

    def __init__(
        self,
        visual: int,
        width: int = 256,
        *,
        guide: int | None = None,
        variant: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__()
        self.project = nn.Linear(visual, visual)  # the paper's capital phi
        self.squeeze = nn.Linear(visual, width)
        self.excite = nn.Linear(width, visual)
        self.extra = 1.0 if variant == "released" else 0.0
        self.spatial = nn.Linear(visual, width) if variant == "released" or guide is not None else None
        self.score = nn.Linear(width if self.spatial is not None else visual, 1)
        self.channel_guide = None if guide is None else nn.Linear(guide, visual)
        self.spatial_guide = None if guide is None else nn.Linear(guide, width)

    def forward(self, visual: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps ``(B, T, L, D_v)`` to ``(B, T, D_v)`` and the positions' weights ``(B, T, L)``.

        Args:
            visual: the maps.
            guide: ``(B, T, D_a)``, where it was declared.
        """
        projected = F.relu(self.project(visual)).mean(-2)
        if self.channel_guide is not None and guide is not None:
            projected = projected * F.relu(self.channel_guide(guide))
        channels = self.excite(F.relu(self.squeeze(projected))).sigmoid() + self.extra
        visual = visual * channels.unsqueeze(-2)
        asked = visual
        if self.spatial is not None:
            asked = F.relu(self.spatial(visual))
        if self.spatial_guide is not None and guide is not None:
            asked = asked * F.relu(self.spatial_guide(guide)).unsqueeze(-2)
        weights = torch.tanh(self.score(asked)).squeeze(-1).softmax(-1)
        return gather(weights, visual), weights

    def visual_part(self) -> nn.Module:
        """What only the picture passes through."""
        parts = [self.project, self.squeeze, self.excite, self.score]
        return nn.ModuleList(parts if self.spatial is None else [*parts, self.spatial])
