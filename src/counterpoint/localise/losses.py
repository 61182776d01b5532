"""What localisers are trained with: every segment's class known, or only the clip's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.errors import ShapeError
from counterpoint.localise.output import LocaliserOutput
from counterpoint.registry import Registry

Function = Callable[[LocaliserOutput, Tensor], Tensor]


@dataclass(frozen=True)
class LocaliserLoss:
    """A loss by name.

    Attributes:
        supervision: ``"fully"`` or ``"weakly"``.
        function: the loss itself, of checked targets.

    Example:
        >>> LocaliserLoss("weakly", lambda output, shares: shares.sum()).supervision
        'weakly'
    """

    supervision: str
    function: Function

    def __call__(self, output: LocaliserOutput, target: Tensor) -> Tensor:
        """The loss, a scalar; targets as `Localiser.loss` has them."""
        if self.supervision == "fully":
            if target.shape != output.event.shape or target.is_floating_point():
                raise ShapeError(
                    f"full supervision needs a class for every segment, {tuple(output.event.shape)} integers, but the "
                    f"target is {tuple(target.shape)} of {target.dtype}"
                )
            return self.function(output, target)
        return self.function(output, _shares(output, target))


LOCALISER_LOSSES: Registry[LocaliserLoss] = Registry("localiser loss", values_of=LocaliserLoss)


def _register(name: str, supervision: str) -> Callable[[Function], Function]:
    def add(function: Function) -> Function:
        LOCALISER_LOSSES.register(name)(LocaliserLoss(supervision, function))
        return function

    return add


def clip_classes(segments: Tensor, background: int) -> Tensor:
    """``(B, T)`` classes of segments to ``(B,)``: each clip's most frequent event, or background if it has none.

    Example:
        >>> clip_classes(torch.tensor([[2, 1, 1, 2], [2, 2, 2, 2]]), background=2)
        tensor([1, 2])
    """
    counts = F.one_hot(segments, background + 1)[..., :background].sum(1)
    return torch.where(counts.amax(-1) > 0, counts.argmax(-1), background)


@_register("event_and_class", "fully")
def event_and_class(output: LocaliserOutput, segments: Tensor) -> Tensor:
    """Binary cross entropy of "holds an event" plus cross entropy of the class, BMFN Sec. 2.2 (and CMRAN, DAM).

    The class is learned from clips with an event alone, or from segments with one where the network decides per
    segment.
    """
    background = output.background
    event = F.binary_cross_entropy_with_logits(output.event, (segments != background).to(output.event.dtype))
    target = segments if output.event_class.ndim == 3 else clip_classes(segments, background)
    logits, target = output.event_class.flatten(0, -2), target.flatten()
    held = target != background
    each = F.cross_entropy(logits, target.masked_fill(~held, 0), reduction="none") * held
    return event + each.sum() / held.sum().clamp_min(1)


@_register("segments", "fully")
def segment_loss(output: LocaliserOutput, segments: Tensor) -> Tensor:
    """Cross entropy over C + 1 classes, mean over segments."""
    return F.cross_entropy(output.segment_logits.flatten(0, 1), segments.flatten())


@_register("segments_soft_margin", "fully")
def segment_soft_margin(output: LocaliserOutput, segments: Tensor) -> Tensor:
    """What AVEL's released code minimises: the multi-label soft margin of *probabilities*, as if they were logits."""
    wanted = F.one_hot(segments, output.background + 1)
    probability = output.segment_logits.softmax(-1)
    return F.multilabel_soft_margin_loss(probability, wanted.to(probability.dtype))


@_register("segments_and_similarity", "fully")
def segments_and_similarity(output: LocaliserOutput, segments: Tensor, weight: float = 100.0) -> Tensor:
    """PSP: cross entropy plus `weight` times its audio-visual pair similarity loss.

    That is the squared error between the positive part of each segment's cosine of sound and sight, as a share of the
    clip's, and the segment's share of the clip's events.
    """
    similarity = output.extras["similarity"].relu()
    shares = similarity / (similarity.sum(-1, keepdim=True) + 1e-8)
    events = (segments != output.background).to(similarity.dtype)
    wanted = events / events.sum(-1, keepdim=True).clamp_min(1)
    return segment_loss(output, segments) + weight * F.mse_loss(shares, wanted)


@_register("video", "weakly")
def video_loss(output: LocaliserOutput, shares: Tensor) -> Tensor:
    """Cross entropy of the clip's class."""
    return F.cross_entropy(output.video_logits, shares)


@_register("video_binary", "weakly")
def video_binary(output: LocaliserOutput, shares: Tensor) -> Tensor:
    """Binary cross entropy of each class's probability in the clip, as PSP has it; mean over clips and classes."""
    log_probability = output.video_logits.log_softmax(-1)
    # log(1 - p); where p rounds to one it is as low as the precision can tell.
    rest = (-torch.expm1(log_probability)).clamp_min(torch.finfo(log_probability.dtype).eps).log()
    return -(shares * log_probability + (1 - shares) * rest).mean()


@_register("video_soft_margin", "weakly")
def video_soft_margin(output: LocaliserOutput, shares: Tensor) -> Tensor:
    """What the released codes of AVEL, CMRAN and BMFN minimise: the soft margin of probabilities, as if of logits."""
    return F.multilabel_soft_margin_loss(output.video_logits.softmax(-1), shares)


def _shares(output: LocaliserOutput, target: Tensor) -> Tensor:
    """``(B, C + 1)`` shares of the classes in each clip."""
    logits = output.video_logits
    if target.shape == logits.shape[:1] and not target.is_floating_point():
        return F.one_hot(target, logits.shape[-1]).to(logits.dtype)
    if target.shape == logits.shape and target.is_floating_point():
        return target.to(logits.dtype)
    raise ShapeError(
        f"weak supervision needs a class for every clip, {tuple(logits.shape[:1])} integers, or the shares of all "
        f"classes, {tuple(logits.shape)}, but the target is {tuple(target.shape)} of {target.dtype}"
    )
