"""Pictures: from bytes to normalised floating point, with one random view per clip."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms.base import Transform
from counterpoint.media.transforms.registry import TRANSFORMS

# Of ImageNet, which published weights of visual encoders expect; gray: their mean.
_MEAN = {1: (0.449,), 3: (0.485, 0.456, 0.406)}
_STD = {1: (0.226,), 3: (0.229, 0.224, 0.225)}


@TRANSFORMS.register("frames")
class Frames(Transform):
    """uint8 ``(B, T, H, W, C)`` to floating point ``(B, C, T, H, W)``, ``(x / 255 - mean) / std``.

    In ``train()`` with `augment` each clip is seen through one random view, the same for all of its frames unless
    `per_frame`.

    Args:
        spec: shape of the clips.
        augment: change clips at random in ``train()``.
        mean: per channel, of values from 0 to 1; None: ImageNet's.
        std: likewise.
        shift: largest move to each side as a share of the size, 0 to 1; the edge is repeated outwards.
        flip: turn half of the clips left to right.
        min_area: smallest share of the picture that a view shows, enlarged to full size; 1: views are not enlarged.
            0.08 is the usual random resized crop (with square views).
        per_frame: draw a view for each frame by itself, as the released code of CFN-SR does. The picture then jumps
            and turns over from frame to frame, and takes the motion along.

    Raises:
        ConfigError: a value outside its range.
    """

    scale: Tensor
    bias: Tensor

    def __init__(
        self,
        spec: MediaSpec,
        *,
        augment: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        shift: float = 0.06,
        flip: bool = True,
        min_area: float = 1.0,
        per_frame: bool = False,
    ) -> None:
        super().__init__()
        channels = spec.channels
        mean = _MEAN[channels] if mean is None else tuple(mean)
        std = _STD[channels] if std is None else tuple(std)
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise ConfigError(f"frames: mean {mean} and std {std} must have {channels} values each, std above 0")
        if not 0 <= shift <= 1:
            raise ConfigError(f"frames: shift is {shift}; it must be a share from 0 to 1")
        if not 0 < min_area <= 1:
            raise ConfigError(f"frames: min_area is {min_area}; it must be above 0 and at most 1")
        self.channels, self.augment, self.per_frame = channels, augment, per_frame
        self.shift, self.flip, self.min_area = round(shift * spec.size), flip, min_area
        dtype = torch.get_default_dtype()
        std_, mean_ = torch.tensor(std, dtype=dtype), torch.tensor(mean, dtype=dtype)
        self.register_buffer("scale", 1 / (255 * std_), persistent=False)
        self.register_buffer("bias", -mean_ / std_, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """uint8 ``(B, T, H, W, C)`` to ``(B, C, T, H, W)``, channels last in memory.

        Raises:
            ShapeError: not five axes, or another number of channels.
        """
        if pictures.ndim != 5 or pictures.shape[-1] != self.channels:
            raise ShapeError(
                f"frames got pictures of shape {tuple(pictures.shape)}; it needs (B, T, H, W, {self.channels})"
            )
        random = self.augment and self.training
        batch, frames = pictures.shape[:2]
        if random and self.per_frame:  # each frame is a clip of its own until the end
            pictures = pictures.flatten(0, 1)[:, None]
        if random and self.min_area == 1:
            pictures = self._moved(pictures)
        width = pictures.shape[3]
        rows = pictures.flatten(3)  # along whole rows: over the few channels alone, arithmetic is eight times slower
        scale, bias = self.scale.repeat(width), self.bias.repeat(width)
        # In place where the conversion has made a copy: these are the largest tensors of a batch.
        out = rows * scale if rows.is_floating_point() else rows.to(scale.dtype).mul_(scale)
        out = out.add_(bias).view_as(pictures).permute(0, 4, 1, 2, 3)
        if random and self.min_area < 1:
            out = self._enlarged(out)
        if random and self.per_frame:  # (B T, C, 1, H, W)
            out = out.view(batch, frames, *out.shape[1:]).squeeze(3).transpose(1, 2)
        return out

    def _moved(self, pictures: Tensor) -> Tensor:
        """Shift and flip in whole pixels, on the bytes: frames are cut out of the widened clip or its mirror image."""
        batch, frames, height, width, channels = pictures.shape
        device = pictures.device
        wide = _with_edges(_with_edges(pictures, 2, self.shift), 3, self.shift)
        both = torch.stack([wide, wide.flip(3)]) if self.flip else wide[None]

        by = torch.randint(0, 2 * self.shift + 1, (2, batch, 1), device=device)
        picked = torch.randint(0, len(both), (batch, 1), device=device) * batch
        picked = picked + torch.arange(batch, device=device).view(-1, 1)
        frame = picked * frames + torch.arange(frames, device=device)
        run, stride = width * channels, wide.shape[3] * channels
        begin = frame * wide[0, 0].numel() + by[0] * stride + by[1] * channels
        # A view of all windows of a picture's size that memory holds; picking from it copies whole pictures at once.
        windows = both.numel() - (height - 1) * stride - run + 1
        views = both.view(-1).as_strided((windows, height, run), (1, stride, 1))
        return views.index_select(0, begin.flatten()).view_as(pictures)

    def _enlarged(self, pictures: Tensor) -> Tensor:
        """Show a random square window of each ``(C, T, H, W)``, enlarged to full size, with linear interpolation."""
        batch, channels, frames, height, width = pictures.shape
        draw = torch.rand(4, batch, device=pictures.device, dtype=pictures.dtype)
        side = (self.min_area + draw[0] * (1 - self.min_area)).sqrt()
        reach = 1 - side + 2 * self.shift / math.sqrt(height * width)
        theta = pictures.new_zeros(batch, 2, 3)
        theta[:, 0, 0] = torch.where(draw[3] < 0.5, -side, side) if self.flip else side
        theta[:, 1, 1] = side
        theta[:, :, 2] = ((2 * draw[1:3] - 1) * reach).T
        grid = F.affine_grid(theta, [batch, channels, height, width], align_corners=False)
        flat = pictures.reshape(batch, channels * frames, height, width)
        return F.grid_sample(flat, grid, padding_mode="border", align_corners=False).view(
            batch, channels, frames, height, width
        )


def _with_edges(pictures: Tensor, axis: int, by: int) -> Tensor:
    """Repeat the first and last slice along `axis`, `by` times each."""
    shape = list(pictures.shape)
    shape[axis] = by
    first, last = pictures.narrow(axis, 0, 1), pictures.narrow(axis, pictures.shape[axis] - 1, 1)
    return torch.cat([first.expand(shape), pictures, last.expand(shape)], axis)
