"""What every transform shares: it is made for a shape of clips, and says what else it wants to know."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from counterpoint.registry import Part


class Transform(Part, nn.Module):
    """Decoded clips in, what an encoder takes out: ``(B, samples)`` or ``(B, N, H, W, C)`` to ``(B, C, ...)``.

    The constructor is called with the shape of the clips by position, and with ``augment`` and the transform's own
    options by keyword. In ``eval()`` nothing is random.

    Attributes:
        wants: what the run is to hand in, as arguments of the constructor: ``segments``; see `counterpoint.wants`.
    """

    wants: ClassVar[tuple[str, ...]] = ()
