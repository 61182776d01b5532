"""The one way out of every localiser, whichever head it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
import torch.export
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class LocaliserOutput:
    """What happens when, for B clips of T segments and C classes of events; background is class C, the last.

    Attributes:
        event: ``(B, T)``, logits of "this segment holds an event": at 0 or above it does. For networks that choose
            among C + 1 classes per segment it is the best event's logit less the background's.
        event_class: logits of the events' class, background left out: ``(B, C)`` where a network decides once per
            clip, ``(B, T, C)`` where it decides per segment.
        segment_logits: ``(B, T, C + 1)``, background last; their softmax are the probabilities of a segment. Log
            probabilities where the network scores event and class apart.
        video_logits: ``(B, C + 1)``, background last: what the whole clip holds, background if no segment holds
            anything. Weak supervision trains these.
        unimodal_logits: per modality what it contributes alone, without gradient: shaped like `segment_logits` in full
            supervision and like `video_logits` in weak (so that they meet the target that is trained on). Empty where
            the modalities are entangled before anything is classified; ask `Localiser.ablated` there.
        weights: the superposition weights zeta of Eq. (4) of SimAM² per modality; None where there are none.
        extras: what else is worth recording, e.g. ``"similarity"`` of PSP, ``"attention"`` over positions.

    Example:
        >>> output = from_segments(torch.tensor([[[9.0, 0.0, 0.0], [0.0, 0.0, 9.0]]]))
        >>> output.segments(), output.background
        (tensor([[0, 2]]), 2)
    """

    event: Tensor
    event_class: Tensor
    segment_logits: Tensor
    video_logits: Tensor
    unimodal_logits: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Mapping[str, Tensor] | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def float(self) -> LocaliserOutput:
        """With all logits in float32, whatever the precision they were computed in."""
        return replace(
            self,
            event=self.event.float(),
            event_class=self.event_class.float(),
            segment_logits=self.segment_logits.float(),
            video_logits=self.video_logits.float(),
            unimodal_logits={name: logits.float() for name, logits in self.unimodal_logits.items()},
        )

    @property
    def background(self) -> int:
        """The class of segments that hold no event: C."""
        return self.event_class.shape[-1]

    def segments(self) -> Tensor:
        """``(B, T)`` classes, background included, as each paper infers them: the best class where `event` >= 0."""
        best = self.event_class.argmax(-1)
        best = best if self.event_class.ndim == 3 else best.unsqueeze(-1)
        return torch.where(self.event >= 0, best, self.background)


# torch.export takes only outputs that it knows how to take apart.
torch.export.register_dataclass(LocaliserOutput, serialized_type_name="counterpoint.LocaliserOutput")


def pool_segments(segment_logits: Tensor) -> Tensor:
    """``(B, T, C + 1)`` to ``(B, C + 1)``: an event if any segment holds it, background only if all are background."""
    log_probability = segment_logits.log_softmax(-1)
    events = log_probability[..., :-1].amax(1)
    return torch.cat([events, log_probability[..., -1:].amin(1)], -1)


def from_event_and_class(event: Tensor, event_class: Tensor) -> LocaliserOutput:
    """The output of a network that scores each segment's event and the clip's class apart.

    The probability of class c in segment t is s_t times that of c, that of background 1 - s_t.

    Args:
        event: ``(B, T)`` logits.
        event_class: ``(B, C)`` or ``(B, T, C)`` logits.
    """
    per_segment = event_class if event_class.ndim == 3 else event_class.unsqueeze(1)
    held = F.logsigmoid(event).unsqueeze(-1) + per_segment.log_softmax(-1)
    logits = torch.cat([held, F.logsigmoid(-event).unsqueeze(-1)], -1)
    return LocaliserOutput(event, event_class, logits, pool_segments(logits))


def from_segments(segment_logits: Tensor, video_logits: Tensor | None = None) -> LocaliserOutput:
    """The output of a network that chooses among C + 1 classes per segment.

    Args:
        segment_logits: ``(B, T, C + 1)``, background last.
        video_logits: ``(B, C + 1)``; None: `pool_segments`.
    """
    events = segment_logits[..., :-1]
    event = events.amax(-1) - segment_logits[..., -1]
    video = pool_segments(segment_logits) if video_logits is None else video_logits
    return LocaliserOutput(event, events, segment_logits, video)
