"""Attention over segments: normal and expanded heads, and the Transformer layer around them; Eqs. (4), (5) of BMFN."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.errors import ConfigError
from counterpoint.localise.dropout import Dropout, dropout
from counterpoint.registry import Part


class Attention(nn.Module):
    """Multi-head attention of queries ``(B, T, D)`` to a memory ``(B, S, D)``.

    Args:
        width: D.
        heads: number of heads, which divides D.
        dropout: of the attention weights.

    Raises:
        ConfigError: the heads do not divide the width.
    """

    def __init__(self, width: int, heads: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ConfigError(f"{heads} heads do not divide a width of {width}")
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out: nn.Module = nn.Linear(width, width)

    def forward(self, query: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """What each query gathers, and the projected queries; both ``(B, T, D)``."""
        projected = self.query(query)
        key, value = self.key_value(memory).chunk(2, -1)
        mixed = self._mix(self._split(projected), self._split(key), self._split(value))
        return self.out(mixed.transpose(1, 2).flatten(2)), projected

    def _split(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, -1, (self.heads, -1)).transpose(1, 2)

    def _mix(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=self.dropout if self.training else 0.0)


class ExpansionAttention(Part, Attention):
    """Attention whose maps pass through more heads and back, Eq. (4) of BMFN: ``B = (Âtt + Att) V̂``.

    The expansion W_7 and reduction W_8 and both batch norms are parameters of the module. (The released code makes
    them afresh in every pass, so that they are never learned and random in testing.)

    Args:
        width: d.
        heads: n_h.
        dropout: of the attention weights, before the expansion.
        ratio: r, by how much the heads are expanded.
        variant: ``"paper"``: the activation between is a sigmoid, scores are divided by the root of d, and there is no
            output projection, all as printed; ``"released"``: ReLU6 (as Refiner, which the paper follows), the root of
            a head's width, and the projection.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        dropout: float = 0.1,
        *,
        ratio: int = 2,
        variant: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__(width, heads, dropout)
        expanded = heads * ratio
        self.refine = nn.Sequential(
            nn.Conv2d(heads, expanded, 1, bias=False),
            nn.BatchNorm2d(expanded),
            nn.Sigmoid() if variant == "paper" else nn.ReLU6(),
            nn.Conv2d(expanded, heads, 1, bias=False),
            nn.BatchNorm2d(heads),
        )
        self.scale = 1 / math.sqrt(width if variant == "paper" else width // heads)
        if variant == "paper":
            self.out = nn.Identity()

    def _mix(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        maps = torch.softmax(query * self.scale @ key.transpose(-1, -2), -1)
        maps = dropout(maps, self.dropout, self.training)
        refined: Tensor = self.refine(maps)
        return (refined + maps) @ value


class AttentionLayer(Part, nn.Module):
    """A Transformer layer around an attention, normalised after each sum.

    Args:
        attention: what gathers.
        width: D.
        ffn: width of the feed forward network's hidden layer; 0 leaves it out, and the second sum with it.
        dropout: of both parts.
        variant: ``"paper"``: Eqs. (4) and (5) of BMFN as printed, ``LN(X + FFN(LN(X + Q̃)))`` where X is what the
            attention gathers and Q̃ the projected query; ``"released"``: the usual ``h = LN(X + Q)``, ``LN(h +
            FFN(h))``.
    """

    def __init__(
        self,
        attention: Attention,
        width: int,
        ffn: int = 2048,
        dropout: float = 0.1,
        *,
        variant: Literal["paper", "released"] = "released",
    ) -> None:
        super().__init__()
        self.attention = attention
        self.norm1 = nn.LayerNorm(width)
        self.drop = Dropout(dropout)
        self.paper = variant == "paper"
        self.ffn: nn.Sequential | None = None
        if ffn:
            self.ffn = nn.Sequential(nn.Linear(width, ffn), nn.ReLU(), Dropout(dropout), nn.Linear(ffn, width))
            self.norm2 = nn.LayerNorm(width)

    def forward(self, query: Tensor, memory: Tensor | None = None) -> Tensor:
        """``(B, T, D)``; without a memory the queries attend to themselves."""
        mixed, projected = self.attention(query, query if memory is None else memory)
        mixed = self.drop(mixed)
        hidden: Tensor = self.norm1(mixed + (projected if self.paper else query))
        if self.ffn is None:
            return hidden
        further: Tensor = self.norm2((mixed if self.paper else hidden) + self.drop(self.ffn(hidden)))
        return further


class SelfAttention(nn.Module):
    """A linear layer to the common width, then layers over segments.

    Args:
        inputs: width of the features.
        width: D.
        layers: one after the other.
    """

    def __init__(self, inputs: int, width: int, layers: list[AttentionLayer]) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, T, inputs)`` to ``(B, T, D)``."""
        x: Tensor = self.embed(features)
        for layer in self.layers:
            x = layer(x)
        return x


class CrossAttention(nn.Module):
    """Queries attend to a memory and to themselves: Eq. (6) of BMFN, and the relation attention of CMRAN.

    Args:
        inputs: width of the queries' features.
        width: D.
        layer: what attends.
    """

    def __init__(self, inputs: int, width: int, layer: AttentionLayer) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.layer = layer

    def forward(self, features: Tensor, memory: Tensor) -> Tensor:
        """``(B, T, inputs)`` and ``(B, S, D)`` to ``(B, T, D)``."""
        query = self.embed(features)
        attended: Tensor = self.layer(query, torch.cat([query, memory], 1))
        return attended


class PairFusion(nn.Module):
    """Two features in one: their product asks both; Eq. (7) of BMFN (FBFM), and CMRAN's audio-visual interaction.

    Args:
        layer: what attends.
    """

    def __init__(self, layer: AttentionLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Two tensors ``(B, T, D)`` to one."""
        fused: Tensor = self.layer(one * other, torch.cat([one, other], 1))
        return fused
