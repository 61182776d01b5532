"""Linear superposition of the modalities' signals: Eq. (4) of SimAM²."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError


def check_streams(streams: Sequence[Tensor], weights: Sequence[Tensor | float]) -> None:
    """Raise unless there are M >= 2 streams of one shape, and as many weights that broadcast to it."""
    if len(streams) < 2:
        raise ConfigError(f"a superposition needs two streams or more, got {len(streams)}")
    if len(streams) != len(weights):
        raise ConfigError(f"{len(streams)} streams need as many weights, got {len(weights)}")
    for index, stream in enumerate(streams):
        if stream.shape != streams[0].shape:
            raise ShapeError(
                f"stream {index} has shape {tuple(stream.shape)}, but stream 0 has {tuple(streams[0].shape)}; "
                "bring all to one shape first, e.g. with a linear layer each"
            )
    for index, weight in enumerate(weights):
        if isinstance(weight, Tensor) and not _broadcasts(weight.shape, streams[0].shape):
            raise ShapeError(
                f"weight {index} has shape {tuple(weight.shape)}, which does not broadcast to the streams' "
                f"{tuple(streams[0].shape)}"
            )


def _broadcasts(shape: Sequence[int], to: Sequence[int]) -> bool:
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(size in (wanted, 1) for size, wanted in pairs)


def superpose(streams: Sequence[Tensor], weights: Sequence[Tensor | float]) -> Tensor:
    """The fused signal U, Eq. (4) of SimAM²: ``zeta x_1 + (1 - zeta) x_2``, for M streams the weighted sum.

    Args:
        streams: M >= 2 tensors of one shape.
        weights: M numbers or tensors that broadcast to it; they should sum to one.

    Raises:
        ConfigError: fewer than two streams, or another number of weights.
        ShapeError: streams of different shapes, or weights that do not broadcast to them.

    Example:
        >>> superpose([torch.tensor([4.0]), torch.tensor([8.0])], [0.25, 0.75])
        tensor([7.])
    """
    check_streams(streams, weights)
    fused = weights[0] * streams[0]
    for weight, stream in zip(weights[1:], streams[1:], strict=True):
        fused = fused + weight * stream
    return fused
