import numpy as np
import pytest
import torch
from torch.nn import functional as F

from counterpoint.encoders import MFCCCNN
from counterpoint.errors import ConfigError, ShapeError


def conv1d(x, weight, bias, padding):
    """(inputs, T) -> (outputs, T'), by the definition."""
    x = np.pad(x, ((0, 0), (padding, padding)))
    width = weight.shape[2]
    steps = [np.tensordot(weight, x[:, t : t + width], 2) + bias for t in range(x.shape[1] - width + 1)]
    return np.stack(steps, 1)


def test_released_weights_give_what_their_names_say():
    """The state dict of MSAF's network, whose layers lie side by side, and that network by functions alone."""
    torch.manual_seed(1)
    shapes = {f"conv{k}.weight": shape for k, shape in enumerate([(32, 13, 7), (32, 32, 7), (64, 32, 5)], 1)}
    shapes |= {f"conv{k}.bias": (width,) for k, width in enumerate((32, 32, 64), 1)}
    parts = ("weight", "bias", "running_mean", "running_var")
    shapes |= {f"bn{k}.{part}": (width,) for k, width in enumerate((32, 32, 64), 1) for part in parts}
    state = {name: 0.5 + 0.2 * torch.rand(shape) for name, shape in (shapes | {"fc1.weight": (8, 1664)}).items()}
    state |= {f"conv{k}.weight": 0.1 * torch.randn(shapes[f"conv{k}.weight"]) for k in (1, 2, 3)}
    x = torch.randn(2, 13, 212)

    def conv(k, x):
        return F.conv1d(x, state[f"conv{k}.weight"], state[f"conv{k}.bias"], padding=2).relu()

    def norm(k, x):
        weight, bias, mean, var = (state[f"bn{k}.{part}"] for part in parts)
        return F.batch_norm(x, mean, var, weight, bias)

    h = norm(2, F.max_pool1d(conv(2, norm(1, conv(1, x))), 8))
    expected = norm(3, conv(3, h)).flatten(1)
    for prefix in ("", "module."):
        encoder = MFCCCNN().eval()
        encoder.load_checkpoint({prefix + name: tensor for name, tensor in state.items()})
        with torch.no_grad():
            torch.testing.assert_close(encoder(x[:, None]), expected)
        before = encoder.state_dict()
        MFCCCNN().load_checkpoint(before)  # its own names
        with pytest.raises(ConfigError, match=r"lacks conv1.2.weight"):
            encoder.load_checkpoint({name: t for name, t in state.items() if name != "bn1.weight"})
    with pytest.raises(ConfigError, match=r"other shapes for conv1.0.weight"):
        MFCCCNN(n_mfcc=20).load_checkpoint(state)


def test_equations_1_to_3():
    torch.manual_seed(0)
    encoder = MFCCCNN(n_mfcc=3, num_frames=29).double()
    x = torch.randn(5, 1, 3, 29, dtype=torch.float64)
    for _ in range(3):
        encoder(x)
    encoder.eval()
    state = {k: v.numpy() for k, v in encoder.state_dict().items()}

    def conv(name, x):
        return np.maximum(conv1d(x, state[f"{name}.0.weight"], state[f"{name}.0.bias"], 2), 0)

    def norm(name, x):
        mean, var, scale, shift = (
            state[f"{name}.{k}"][:, None] for k in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(var + 1e-5) * scale + shift

    for sample, features in zip(x[:, 0].numpy(), encoder(x).detach().numpy(), strict=True):
        h = norm("conv1.2", conv("conv1", sample))  # Eq. (1)
        h = conv("conv2", h)
        h = h[:, : h.shape[1] // 8 * 8].reshape(32, -1, 8).max(2)
        h = norm("conv2.3", h)  # Eq. (2)
        h = norm("conv3.2", conv("conv3", h))  # Eq. (3)
        np.testing.assert_allclose(features, h.reshape(-1), rtol=1e-9, atol=1e-9)


def test_sizes_of_cfn_sr():
    encoder = MFCCCNN()
    assert sum(p.numel() for p in encoder.parameters()) == 20_704
    assert encoder.out_features == 1664
    maps = torch.zeros(1, 1, 13, 212)
    for stage in encoder.stages().values():
        maps = stage(maps)
    assert maps.shape == (1, 64, 26)


@pytest.mark.parametrize("frames", [12, 19, 20, 94, 212])
def test_features_are_as_many_as_it_says(frames):
    assert MFCCCNN(num_frames=frames)(torch.randn(2, 1, 13, frames)).shape == (
        2,
        MFCCCNN(num_frames=frames).out_features,
    )


def test_dropout_only_in_training():
    torch.manual_seed(0)
    encoder, x = MFCCCNN(), torch.randn(4, 1, 13, 212)
    dropped = (encoder(x) == 0).float().mean()
    assert 0.3 < dropped < 0.5
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))
    still = MFCCCNN(dropout=0.0, feature_dropout=0.0)
    assert torch.equal(still(x), still(x))


def test_refusals():
    with pytest.raises(ConfigError, match="num_frames 11"):
        MFCCCNN(num_frames=11)
    with pytest.raises(ConfigError, match="n_mfcc is 0"):
        MFCCCNN(n_mfcc=0)
    for shape in ((1, 1, 20, 212), (1, 1, 13, 211)):
        with pytest.raises(ShapeError, match="n_mfcc = 13 and T = num_frames = 212"):
            MFCCCNN()(torch.randn(shape))
