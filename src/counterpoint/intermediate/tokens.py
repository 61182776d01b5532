"""Self-attention over the positions of one modality: Eqs. (5) and (6) of CFN-SR."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.errors import ConfigError


class TokenEncoder(nn.Module):
    """A Transformer over tokens that are the positions of a map; the last token's output stands for all of them.

    ``softmax(Q K^T / sqrt(d)) V``, Eq. (5) of CFN-SR, with Q, K and V projected from the same tokens, and
    ``LN(Z + Feedforward(Z))``, Eq. (6) of CFN-SR, in D layers. The paper leaves the rest open; as in its released code,
    normalisations stand before attention and feed-forward and once more at the end, a token attends to itself and to
    those before it (so that only the last one has seen all), tokens are multiplied by ``sqrt(d)``, and the number of
    parameters of Table 1 leaves only D = 5. Which sinusoids tell their positions, `variant` says.

    Args:
        channels: C of the map; where it is not `width`, a linear layer maps each token to it.
        width: d_f.
        layers: D.
        heads: of each attention; divides `width`.
        hidden: width inside the feed-forward parts.
        dropout: of attention weights, and of what attention and feed-forward parts compute.
        token_dropout: of the tokens.
        variant: of `positions`.

    Raises:
        ConfigError: an option outside its range.
    """

    def __init__(
        self,
        channels: int,
        width: int = 64,
        *,
        layers: int = 5,
        heads: int = 8,
        hidden: int = 256,
        dropout: float = 0.1,
        token_dropout: float = 0.3,
        variant: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__()
        if min(width, layers, heads, hidden) < 1 or width % heads or width % 2:
            raise ConfigError(
                f"self-attention of width {width}, {layers} layers, {heads} heads, hidden {hidden}: all must be at "
                "least 1, the width even and a multiple of the heads"
            )
        if not (0 <= dropout < 1 and 0 <= token_dropout < 1):
            raise ConfigError(f"dropout is {dropout} and token_dropout {token_dropout}; both must lie in [0, 1)")
        if variant == "released" and width < 4:
            raise ConfigError(f"self-attention of width {width}: the released sinusoids need a width of at least 4")
        self.width = width
        self.variant: Literal["paper", "released"] = variant
        self.embed = nn.Identity() if channels == width else nn.Linear(channels, width)
        self.drop = nn.Dropout(token_dropout)
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew: matrices uniform as Glorot has them, biases 0."""
        for name, parameter in self.layers.named_parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, maps: Tensor) -> Tensor:
        """``(B, C, ...)`` to ``(B, width)``."""
        tokens = maps.flatten(2) if maps.ndim > 2 else maps[..., None]
        x = math.sqrt(self.width) * self.embed(tokens.transpose(1, 2))
        x = self.drop(x + positions(x.shape[1], self.width, x.device, variant=self.variant).to(x.dtype))
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device, dtype=x.dtype)
        out: Tensor = self.layers(x, mask=mask, is_causal=True)[:, -1]
        return out


def positions(
    length: int,
    width: int,
    device: torch.device | None = None,
    *,
    variant: Literal["paper", "released"] = "paper",
) -> Tensor:
    """Sinusoids ``(length, width)`` that tell tokens' positions.

    Args:
        length: how many.
        width: d, even.
        device: to make them on.
        variant: ``"paper"``: those of the Transformer, which CFN-SR cites: sines of position times
            ``10000^(-2 i / d)`` from position 0, and beside each its cosine. ``"released"``: those of CFN-SR's code:
            positions from 1, ``10000^(-i / (d / 2 - 1))``, all sines before all cosines.
    """
    released = variant == "released"
    steps = width // 2 - 1 if released else width / 2
    rates = torch.exp(torch.arange(width // 2, device=device) * (-math.log(10000.0) / steps))
    angles = (torch.arange(length, device=device) + released)[:, None] * rates
    both = [angles.sin(), angles.cos()]
    return torch.cat(both, -1) if released else torch.stack(both, -1).flatten(1)
