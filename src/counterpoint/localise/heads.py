"""From features of segments to events and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from counterpoint.localise.output import LocaliserOutput, from_event_and_class, from_segments


class Head(nn.Module):
    """What all of these are called with, ``(B, T, D)``, and give."""

    if TYPE_CHECKING:

        @override
        def __call__(self, features: Tensor) -> LocaliserOutput: ...


class EventHead(Head):
    """An event score per segment and a class per clip, Eq. (8) of BMFN: ``FC(F)`` and ``FC(MP(F))``.

    A segment holds an event where ``sigmoid(s) >= 0.5``. In weak training the joint scores are s times the classes',
    and multiple instance pooling takes their maximum over segments.

    Args:
        width: D of the features.
        num_classes: C.
        background_logit: False: the paper's C classes, whose joint scores are probabilities; True: what the released
            codes of CMRAN and BMFN have for weak supervision: C + 1 classes, joint scores of *raw logits*, and a clip
            that is taken to be background is background throughout.
    """

    def __init__(self, width: int, num_classes: int, *, background_logit: bool = False) -> None:
        super().__init__()
        self.event = nn.Linear(width, 1)
        self.event_class = nn.Linear(width, num_classes + background_logit)
        self.background_logit = background_logit

    def forward(self, features: Tensor) -> LocaliserOutput:
        """``(B, T, D)`` to an output."""
        event = self.event(features).squeeze(-1)
        logits = self.event_class(features.amax(1))
        if not self.background_logit:
            return from_event_and_class(event, logits)
        joint = event.sigmoid().unsqueeze(-1) * logits.unsqueeze(1)
        classes = logits[..., :-1]
        foreground = classes.amax(-1, keepdim=True) - logits[..., -1:]
        # An event needs both: the segment's score, and a clip that is not background.
        return LocaliserOutput(torch.minimum(event, foreground), classes, joint, joint.amax(1))


class SegmentHead(Head):
    """C + 1 logits per segment, background last, by one hidden layer.

    Args:
        width: D of the features.
        num_classes: C.
        hidden: width of the hidden layer.
        bias: of both layers.
        supervision: ``"fully"``, or ``"weakly"``: the clip's logits are then the maximum over segments of each class's,
            as AVEL has it.
    """

    def __init__(
        self,
        width: int,
        num_classes: int,
        *,
        hidden: int = 64,
        bias: bool = True,
        supervision: Literal["fully", "weakly"] = "fully",
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden, bias=bias)
        self.out = nn.Linear(hidden, num_classes + 1, bias=bias)
        self.weakly = supervision == "weakly"
        for layer in (self.hidden, self.out):
            nn.init.xavier_uniform_(layer.weight)

    def logits(self, features: Tensor) -> Tensor:
        """``(B, T, D)`` to ``(B, T, C + 1)``."""
        logits: Tensor = self.out(F.relu(self.hidden(features)))
        return logits

    def forward(self, features: Tensor) -> LocaliserOutput:
        """``(B, T, D)`` to an output."""
        logits = self.logits(features)
        return from_segments(logits, logits.amax(1) if self.weakly else None)
