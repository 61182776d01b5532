"""Audio-visual fusion attention: Eq. (2) of BMFN at every position, Eq. (3) of BMFN over channels and positions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.functional.mfb import folded_sum_pool, power_normalise, sum_pool
from counterpoint.localise.dropout import dropout
from counterpoint.localise.guided import gather
from counterpoint.registry import Part

WORTH_FOLDING = 4  # positions per factor, from which on a folded step was faster


class PositionwiseMFB(nn.Module):
    """Sound pooled bilinearly with every position of the picture, Eq. (2) of BMFN.

    Args:
        visual: D_v.
        audio: D_a.
        out: width of the result.
        factors: p.
        dropout: D(.).
        drop_before: False: dropout after the sum, ``D(SP(.))`` as printed; True: before it, as the released code (and
            MFB's own) has it.
        fold: whether ``sum_k (W x)_jk q_jk`` is reckoned as ``x . sum_k W_jk q_jk``, which is exact; not where dropout
            comes in between. None: where there are 4 positions per factor or more, so that it pays; True: always;
            False: never.
    """

    def __init__(
        self,
        visual: int,
        audio: int,
        out: int,
        *,
        factors: int = 5,
        dropout: float = 0.1,
        drop_before: bool = False,
        fold: bool | None = None,
    ) -> None:
        super().__init__()
        self.factors = factors
        self.visual = nn.Linear(visual, factors * out)
        self.audio = nn.Linear(audio, factors * out)
        self.dropout = dropout
        self.drop_before = drop_before
        self.fold = fold

    def forward(self, visual: Tensor, audio: Tensor) -> Tensor:
        """``(N, L, D_v)`` and ``(N, D_a)`` to ``(N, L, out)``, each vector of length one."""
        folds = visual.shape[-2] >= WORTH_FOLDING * self.factors if self.fold is None else self.fold
        asked = self.audio(audio)
        dropping = self.training and self.dropout > 0
        if folds and not (dropping and self.drop_before):
            pooled = folded_sum_pool(visual, self.visual.weight, self.visual.bias, asked, self.factors)
        else:
            product = self.visual(visual) * asked.unsqueeze(-2)
            if self.drop_before:
                product = dropout(product, self.dropout, self.training)
            pooled = sum_pool(product, self.factors)
        if not self.drop_before:
            pooled = dropout(pooled, self.dropout, self.training)
        return power_normalise(pooled)


class AVFA(Part, nn.Module):
    """Sound and sight in one feature per segment.

    Two bilinear poolings: the first tells which channels and positions matter, Eq. (3) of BMFN, the second is what they
    are picked from.

    Args:
        visual: D_v; also the width of the result.
        audio: D_a.
        width: d, the hidden width.
        factors: p of Eq. (2); both modalities are brought to p D_v channels (2560).
        dropout: of Eq. (2).
        variant: ``"paper"``: ``W_C av`` and dropout after the sum pooling; ``"released"``: ``(W_C + 1) av`` and dropout
            before it.
        fold: see `PositionwiseMFB`.
    """

    def __init__(
        self,
        visual: int,
        audio: int,
        width: int = 256,
        *,
        factors: int = 5,
        dropout: float = 0.1,
        variant: Literal["paper", "released"] = "paper",
        fold: bool | None = None,
    ) -> None:
        super().__init__()
        released = variant == "released"
        self.asking = PositionwiseMFB(
            visual, audio, visual, factors=factors, dropout=dropout, drop_before=released, fold=fold
        )
        self.answering = PositionwiseMFB(
            visual, audio, visual, factors=factors, dropout=dropout, drop_before=released, fold=fold
        )
        self.squeeze = nn.Linear(visual, width)
        self.excite = nn.Linear(width, visual)
        self.score = nn.Linear(width, 1)
        self.extra = 1.0 if released else 0.0

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, T, L, D_v)`` and ``(B, T, D_a)`` to ``(B, T, D_v)`` and the positions' weights ``(B, T, L)``."""
        clips = visual.shape[:2]
        visual, audio = visual.flatten(0, 1), audio.flatten(0, 1)
        hidden = F.relu(self.squeeze(self.asking(visual, audio)))
        channels = self.excite(hidden.mean(-2)).sigmoid() + self.extra
        answer = self.answering(visual, audio) * channels.unsqueeze(-2)
        weights = torch.tanh(self.score(hidden)).squeeze(-1).softmax(-1)
        return torch.unflatten(gather(weights, answer), 0, clips), torch.unflatten(weights, 0, clips)
