import math

import pytest
import torch
from torch.nn import functional as F

from counterpoint.encoders import ERANN
from counterpoint.encoders.erann import AudioResidualBlock
from counterpoint.errors import ConfigError


@pytest.mark.parametrize(("fast", "width", "millions"), [(1, 6, 54.5), (2, 5, 38.2)])
def test_as_large_as_its_names_say(fast, width, millions):
    with torch.device("meta"):
        encoder = ERANN(width=width, fast_stages=fast)
    parameters = sum(p.numel() for p in encoder.parameters()) + 527 * (encoder.out_features + 1)
    assert round(parameters / 1e6, 1) == millions


@pytest.mark.parametrize("fast", [0, 1, 2, 3])
@pytest.mark.parametrize("frames", [1, 5, 61, 128])
def test_maps_shrink_by_two_or_by_four(fast, frames):
    maps = torch.randn(1, 1, 33, frames)
    encoder = ERANN(width=1, fast_stages=fast).eval()
    sides = (33, frames)
    with torch.no_grad():
        for k, (name, stage) in enumerate(encoder.stages().items()):
            if k:
                sides = (math.ceil(sides[0] / 2), math.ceil(sides[1] / (4 if k <= fast else 2)))
            maps = stage(maps)
            assert maps.shape == (1, 8 * 2**k, *sides), name


def test_a_block_that_steps_by_four_passes_over_no_frame():
    torch.manual_seed(0)
    block = AudioResidualBlock(1, 2, (2, 4)).eval()
    x = torch.randn(1, 1, 4, 10, requires_grad=True)
    torch.nn.init.zeros_(block.shortcut.weight)
    block(x).square().sum().backward()
    assert (x.grad.abs().amax((0, 1, 2)) > 0).all()


def test_a_block_by_hand():
    torch.manual_seed(0)
    block = AudioResidualBlock(2, 4, (2, 2)).double()
    x = torch.randn(3, 2, 6, 8, dtype=torch.float64)
    block(x)
    block.eval()

    def activated(norm, x):
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return torch.where(x > 0, x, 0.01 * x)

    y = F.conv2d(activated(block.bn1, x), block.conv1.weight, stride=2, padding=1)
    y = F.conv2d(activated(block.bn2, y), block.conv2.weight, padding=1)
    torch.testing.assert_close(block(x), y + F.conv2d(x, block.shortcut.weight, stride=2))


def test_mean_plus_maximum():
    torch.manual_seed(0)
    encoder, maps = ERANN(width=1).eval(), torch.randn(2, 128, 3, 4)
    pooled = maps.flatten(2).sum(2) / 12 + maps.flatten(2).max(2).values
    y = pooled @ encoder.linear.weight.T + encoder.linear.bias
    torch.testing.assert_close(encoder.pool(maps), torch.where(y > 0, y, 0.01 * y))


@pytest.mark.parametrize("options", [{"width": 0}, {"fast_stages": 4}, {"fast_stages": -1}])
def test_refusals(options):
    with pytest.raises(ConfigError, match="erann: width is"):
        ERANN(**options)
