"""What FiLM and gated fusion share: a major modality that the others act on, in one stream or in one for each."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from counterpoint._features import check_known
from counterpoint.fusion.base import FUSED, Fusion, Joined, total
from counterpoint.fusion.superposition import Superposed


class MajorFusion(Fusion):
    """A fusion in which the other modalities act on a major one.

    Args:
        dims: per modality the width of its features; M >= 2.
        num_classes: C.
        major: the modality that is acted on; None for the last.
        two_stream: whether each modality is major in a stream of its own, as MMCosine has it.
    """

    def __init__(self, dims: Mapping[str, int], num_classes: int, *, major: str | None, two_stream: bool) -> None:
        super().__init__(dims, num_classes)
        self.major = self.modalities[-1] if major is None else major
        check_known(type(self).__name__, self.major, dims)
        self.two_stream = two_stream
        self.majors = self.modalities if two_stream else (self.major,)

    def _head_dims(self, widths: Mapping[str, int]) -> dict[str, int]:
        """What the head is declared with, given the width of each major modality's stream."""
        return {m: widths[m] for m in self.majors} if self.two_stream else {FUSED: widths[self.major]}

    def _others(self, major: str) -> list[str]:
        return [other for other in self.modalities if other != major]

    def _classify_streams(self, streams: Mapping[str, Superposed]) -> Joined:
        """Classify one stream per major modality; several are concatenated, and so are their weights."""
        if not self.two_stream:
            fused, weights, extras = streams[self.major]
            return Joined(self.head({FUSED: fused})[FUSED], fused, self._shared(self.major, weights), extras)
        logits = self.head({m: stream.fused for m, stream in streams.items()})
        fused = torch.cat([stream.fused for stream in streams.values()], -1)
        shared = [(self._shared(m, stream.weights), stream.fused) for m, stream in streams.items()]
        weights_of = {
            m: torch.cat([weights[m].expand_as(like) for weights, like in shared if weights is not None], -1)
            for m in self.modalities
            if shared[0][0] is not None
        }
        extras = {}
        for key, value in next(iter(streams.values())).extras.items():
            all_streams = [stream.extras[key] for stream in streams.values()]
            extras[key] = torch.stack(all_streams) if value.ndim == 0 else torch.cat(all_streams, -1)
        return Joined(total(logits), fused, weights_of or None, extras)

    def _shared(self, major: str, weights: list[Tensor] | None) -> dict[str, Tensor] | None:
        """Weights of a stream's two terms as weights of the modalities: the others share the second evenly."""
        if weights is None:
            return None
        rest = weights[1] / (len(self.modalities) - 1)
        return {m: weights[0] if m == major else rest for m in self.modalities}

    def extra_repr(self) -> str:
        """Sizes and the major modality, for ``print(model)``."""
        return f"{super().extra_repr()}, {'two_stream=True' if self.two_stream else f'major={self.major!r}'}"
