"""VGGish: sound to 128 numbers per 0.96 s, learnt from millions of videos.

Hershey et al., "CNN architectures for large-scale audio classification" (2017). Parameters carry the names of the usual
PyTorch port.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from counterpoint.encoders.base import Encoder, Stage, per_frame
from counterpoint.encoders.published import load_published
from counterpoint.encoders.registry import ENCODERS
from counterpoint.encoders.vgg import run, start_weights, vgg_blocks
from counterpoint.errors import ConfigError, ShapeError

BANDS, STEPS = 64, 96
"""Mel bands, and steps of 10 ms, of one patch."""

_WIDTHS = ((64,), (128,), (256, 256), (512, 512))
_OUT = 128
_QUANTIZED = (-2.0, 2.0)  # what becomes 0 and 255
# The port's module calls the components otherwise than ours, and its file of them has the names without the prefix.
_COMPONENTS = {
    "pproc.pca_eigen_vectors": "pproc.pca_matrix",
    "pca_eigen_vectors": "pproc.pca_matrix",
    "pca_means": "pproc.pca_means",
}


@ENCODERS.register("vggish")
class VGGish(Encoder):
    """Log-mel spectrograms of `VGGishMel` to 128 features.

    A spectrogram ``(B, C, 64, T)`` is read as T // 96 patches of 0.96 s, one after the other; features are the mean of
    theirs. The port's patches, ``(N, 1, 96, 64)``, are these turned over. 72.1 M parameters.

    Args:
        in_channels: C.
        hidden: width of the two layers in front of the last; 4096 as published.
        postprocess: whiten features by principal components, cut them to [-2, 2] and round them to 0 ... 255, as
            AudioSet's own features were; the components come with the checkpoint. Nothing can be learnt through
            the rounding. The features released with AVE are, by the scripts that made them, without it.

    Raises:
        ConfigError: a size below 1.

    Example:
        >>> VGGish(hidden=16)(torch.ones(2, 1, 64, 96)).shape
        torch.Size([2, 128])
    """

    wants: ClassVar = ("in_channels",)

    def __init__(self, *, in_channels: int = 1, hidden: int = 4096, postprocess: bool = False) -> None:
        super().__init__(in_channels, _OUT, ("B, C, F, T",), {f"block{k}": w[-1] for k, w in enumerate(_WIDTHS, 1)})
        if hidden < 1:
            raise ConfigError(f"vggish: hidden is {hidden}; it must be at least 1")
        self.features, self._spans = vgg_blocks(in_channels, _WIDTHS)
        widths = (512 * (STEPS // 16) * (BANDS // 16), hidden, hidden, _OUT)
        layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU(inplace=True))]
        self.embeddings = nn.Sequential(*layers)
        self.pproc = Components() if postprocess else None
        start_weights(self)

    def check_input(self, x: Tensor) -> None:
        """Refuse what this encoder cannot read.

        Raises:
            ShapeError: another rank, number of channels or bands, or kind of number, or less than one patch.
        """
        super().check_input(x)
        if x.shape[2] != BANDS or x.shape[3] < STEPS:
            raise ShapeError(
                f"VGGish needs (B, C, F, T) with F = {BANDS} mel bands and T of at least {STEPS} steps of 10 ms, but "
                f"got shape {tuple(x.shape)}: the transform vggish_mel makes such"
            )

    def stages(self) -> dict[str, Stage]:
        """``block1`` to ``block4``, each with the pooling behind it; maps are ``(B, C, patches, T, F)``."""
        parts = [partial(per_frame, partial(run, self.features, *span)) for span in self._spans]
        return dict(zip(self.stage_channels, (self._first, *parts[1:]), strict=True))

    def _first(self, x: Tensor) -> Tensor:
        return per_frame(partial(run, self.features, *self._spans[0]), _patches(x))

    def pool(self, maps: Tensor) -> Tensor:
        """The three layers behind the maps, patch by patch, and their mean: ``(B, 512, P, 6, 4) -> (B, 128)``."""
        flat = maps.permute(0, 2, 3, 4, 1).flatten(2)  # channels innermost, as TensorFlow laid them out
        out: Tensor = self.embeddings(flat)
        if self.pproc is not None:
            out = self.pproc(out)
        return out.mean(1)

    def load_checkpoint(self, state_dict: Mapping[str, Tensor]) -> None:
        """Start from the weights of the usual PyTorch port.

        Principal components are left out unless the encoder was built with ``postprocess``. They may have the names of
        the port's module (``pproc.``) or of its second file, which has nothing else and is to be joined with the first.

        Args:
            state_dict: names to tensors.

        Raises:
            ConfigError: the checkpoint is of another architecture, or lacks the components; nothing is changed then.
        """
        state = {_COMPONENTS.get(name, name): torch.as_tensor(tensor) for name, tensor in state_dict.items()}
        if (means := state.get("pproc.pca_means")) is not None:
            state["pproc.pca_means"] = means.reshape(-1, 1)
        left_out = () if self.pproc is not None else ("pproc.",)
        load_published(self, state, first="features.0.weight", left_out=left_out)


class Components(nn.Module):
    """Principal components, whitening and rounding, ``(..., 128) -> (..., 128)``."""

    pca_matrix: Tensor
    pca_means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pca_matrix", torch.eye(_OUT))
        self.register_buffer("pca_means", torch.zeros(_OUT, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Whole numbers from 0 to 255."""
        low, high = _QUANTIZED
        white = (features - self.pca_means[:, 0]) @ self.pca_matrix.T
        return ((white.clamp(low, high) - low) * (255 / (high - low))).round()


def _patches(x: Tensor) -> Tensor:
    """``(B, C, 64, T)`` to ``(B, C, T // 96, 96, 64)``; what is over at the end is left out."""
    count = x.shape[3] // STEPS
    return x[..., : count * STEPS].transpose(2, 3).reshape(*x.shape[:2], count, STEPS, BANDS)
