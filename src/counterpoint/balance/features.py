"""The features that were fused, for a balancer that has them classified again."""

from __future__ import annotations

from torch import Tensor, nn

from counterpoint.errors import ConfigError
from counterpoint.fusion.output import FusionOutput


def features_of(owner: str, output: FusionOutput, reader: nn.Module) -> dict[str, Tensor]:
    """Per modality its features, in the precision of `reader`: under autocast they may come in another.

    Args:
        owner: who reads, for the message.
        output: what the fusion returned.
        reader: what they are given to.

    Raises:
        ConfigError: the output does not carry them.
    """
    if output.features is None:
        raise ConfigError(
            f"{owner} reads the features that were fused, but this output does not carry them: it is not what a "
            "Fusion returned"
        )
    dtype = next(reader.parameters()).dtype
    return {name: x.to(dtype) for name, x in output.features.items()}
