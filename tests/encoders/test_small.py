import pytest
import torch

from counterpoint.encoders import AudioCNN, VisualCNN, create_encoder
from counterpoint.encoders.temporal import TemporalPool
from counterpoint.errors import ConfigError


def clip(name, at, length, kind):
    """Noise-free clip with one event of `kind` at step `at`."""
    if name == "audio_cnn":
        x = torch.zeros(1, 1, 64, length)
        x[..., 10 + 25 * kind : 20 + 25 * kind, at : at + 12] = 1.0
    else:
        x = torch.zeros(1, 1, length, 48, 48)
        x[:, :, at : at + 4, 4 + 24 * kind : 20 + 24 * kind, 10:40] = 1.0
    return x


@pytest.mark.parametrize(("name", "length", "step"), [("audio_cnn", 240, 4), ("visual_cnn", 60, 2)])
def test_an_event_counts_wherever_in_the_clip_it_is(name, length, step):
    torch.manual_seed(0)
    encoder = create_encoder(name)
    for kind in (0, 1):
        for at in range(4, length - 20, 7):
            encoder(clip(name, at, length, kind).repeat(2, *[1] * (4 if name == "visual_cnn" else 3)))
    encoder.eval()
    early, late = 10 * step, length - 15 * step
    with torch.no_grad():
        first, second, other = (
            encoder(clip(name, *c)) for c in ((early, length, 0), (late, length, 0), (early, length, 1))
        )
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    assert (first - other).abs().max() > 10 * (first - second).abs().max()


@pytest.mark.parametrize("shape", [(1, 1, 80, 300), (2, 1, 64, 188), (1, 1, 3, 2), (1, 1, 257, 299)])
def test_spectrograms_of_any_size(shape):
    assert AudioCNN().eval()(torch.randn(shape)).shape == (shape[0], 256)


@pytest.mark.parametrize("shape", [(1, 1, 75, 48, 48), (2, 1, 74, 64, 64), (1, 1, 1, 8, 8), (1, 1, 10, 32, 60)])
def test_frames_of_any_size(shape):
    assert VisualCNN().eval()(torch.randn(shape)).shape == (shape[0], 256)


@pytest.mark.parametrize("frames", [2, 8])
@pytest.mark.parametrize("spread", [False, True])
def test_what_does_not_move_is_seen_in_frames_spread_over_the_clip(spread, frames):
    """A held expression: two clips, of each of which all frames are the same."""
    torch.manual_seed(0)
    encoder = VisualCNN(spread=spread).eval()
    with torch.no_grad():
        one, other = (encoder(torch.randn(1, 1, 1, 32, 32).expand(-1, -1, frames, -1, -1)) for _ in range(2))
    assert torch.allclose(one, other, atol=1e-6) is not spread


def test_maximum_and_mean_over_time():
    torch.manual_seed(0)
    pool = TemporalPool(3, 8, depth=0).eval()
    x = torch.randn(2, 3, 5)
    with torch.no_grad():
        y = pool.convs(x[:, :, None])[:, :, 0]
        torch.testing.assert_close(pool(x), torch.cat([y.max(-1).values, y.sum(-1) / 5], 1))


@pytest.mark.parametrize("name", ["audio_cnn", "visual_cnn"])
def test_options_out_of_range_are_refused(name):
    with pytest.raises(ConfigError, match="even"):
        create_encoder(name, out_features=5)
    with pytest.raises(ConfigError, match="at least 1"):
        create_encoder(name, width=0)


@pytest.mark.parametrize("name", ["audio_cnn", "visual_cnn"])
def test_small_means_small(name):
    assert sum(p.numel() for p in create_encoder(name).parameters()) < 250_000
