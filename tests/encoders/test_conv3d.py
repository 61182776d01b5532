import pytest
import torch
from torch import nn

from counterpoint.encoders import create_encoder
from counterpoint.encoders.conv3d import Conv3d

# Channels in and out, groups, kernel, stride, side of the frames: those of the stems and of ResNeXt's blocks.
SHAPES = [
    (3, 64, 1, (7, 7, 7), (1, 2, 2), 48),
    (1, 16, 1, (5, 7, 7), (2, 4, 4), 48),
    (128, 128, 32, (3, 3, 3), (1, 1, 1), 12),
    (64, 128, 1, (3, 3, 3), (2, 2, 2), 12),
]


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("frames", [1, 2, 4, 7])
def test_bfloat16_agrees_with_float64_however_short_the_clip(shape, frames, autocast):
    inputs, outputs, groups, kernel, stride, side = shape
    torch.manual_seed(0)
    conv = Conv3d(inputs, outputs, kernel, stride, tuple(k // 2 for k in kernel), groups=groups, bias=False)
    x = torch.randn(2, inputs, frames, side, side).bfloat16().requires_grad_()
    conv.weight.data = conv.weight.data.bfloat16().float()
    weight = conv.weight.detach().double().requires_grad_()
    exact = torch.nn.functional.conv3d(x.detach().double(), weight, None, stride, conv.padding, groups=groups)
    pull = torch.linspace(-1, 2, exact.numel()).bfloat16().view_as(exact)
    (exact * pull.double()).sum().backward()
    if autocast:
        with torch.autocast("cpu", torch.bfloat16):
            y = conv(x)
    else:
        conv = conv.bfloat16()
        y = conv(x)
    (y * pull).sum().backward()
    for rounded, true in ((y, exact), (conv.weight.grad, weight.grad)):
        assert rounded.shape == true.shape
        assert (rounded.double() - true).abs().max() <= 0.02 * true.abs().max()


def test_float32_is_left_alone():
    conv = Conv3d(2, 3, 3, padding=1)
    x = torch.randn(1, 2, 2, 5, 5)
    assert torch.equal(conv(x), nn.Conv3d.forward(conv, x))


@pytest.mark.parametrize("name", ["resnext50_3d", "visual_cnn"])
def test_encoders_over_clips_use_it(name):
    convs = [m for m in create_encoder(name).modules() if isinstance(m, nn.Conv3d)]
    assert convs and all(isinstance(conv, Conv3d) for conv in convs)
