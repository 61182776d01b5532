"""What holds for every registered encoder."""

import copy

import pytest
import torch

from counterpoint.encoders import ENCODERS, Encoder, create_encoder, list_encoders
from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from invariants import (
    check_compiles,
    check_exports,
    check_finite,
    check_gradients_reach,
    check_independent_of_batch,
    check_state_dict,
)

SHAPES = {
    "audio_cnn": (1, 24, 40),
    "visual_cnn": (1, 9, 24, 20),
    "resnet18_3d": (3, 3, 36, 32),
    "resnext50_3d": (3, 3, 36, 32),
    "mfcc_cnn": (1, 13, 212),
    "erann": (1, 32, 21),
    "vggish": (1, 64, 96),
    "resnet_se34": (1, 40, 30),
}
PICTURE = (3, 40, 36)
OPTIONS = {"vggish": {"hidden": 48}}  # 72 million weights take long and say no more


def build(name):
    torch.manual_seed(0)
    return create_encoder(name, **OPTIONS.get(name, {}))


def make(name):
    def inputs(batch, dtype=torch.float32):
        shape = SHAPES.get(name, PICTURE)
        return (torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch)).to(dtype),)

    return inputs


@pytest.fixture(params=list_encoders())
def name(request):
    return request.param


def test_every_encoder_says_what_it_is_and_how_wide(name):
    encoder = build(name)
    assert isinstance(encoder, Encoder) and ENCODERS.get(name).__doc__
    assert encoder(*make(name)(2)).shape == (2, encoder.out_features)


def test_stages_lead_from_the_input_to_the_features(name):
    encoder = build(name).eval()
    (maps,) = inputs = make(name)(2)
    stages = encoder.stages()
    assert list(stages) == list(encoder.stage_channels)
    with torch.no_grad():
        for stage, channels in encoder.stage_channels.items():
            maps = stages[stage](maps)
            assert maps.shape[:2] == (2, channels) and maps.ndim > 2
        assert torch.equal(encoder.pool(maps), encoder(*inputs))


def test_independent_of_batch(name):
    encoder = build(name)
    encoder(*make(name)(8))
    check_independent_of_batch(encoder, make(name))


def test_finite(name):
    check_finite(build(name), make(name))


def test_gradients_reach(name):
    check_gradients_reach(build(name), make(name), lambda out: out.square().sum())


def test_state_dict(name):
    check_state_dict(build(name), lambda: build(name), make(name))


def test_dtypes(name):
    encoder = build(name)
    for seed in (
        range(16, 22) if list(encoder.buffers()) else ()
    ):  # running statistics of data like these, as after training
        encoder(*make(name)(seed))
    encoder.eval()
    (x,) = make(name)(4)
    with torch.no_grad():
        exact = copy.deepcopy(encoder).double()(x.double())
        single, half = encoder(x), copy.deepcopy(encoder).bfloat16()(x.bfloat16())
        last = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
        turned = encoder(x.contiguous(memory_format=last))
        with torch.autocast("cpu", torch.bfloat16):
            mixed = encoder(x)
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(turned.double(), exact, rtol=1e-4, atol=1e-4)
    # Each convolution rounds its activations anew: the errors of a deep network add up.
    layers = sum(isinstance(m, torch.nn.modules.conv._ConvNd) for m in encoder.modules())
    for rounded in (half, mixed):
        assert (rounded.double() - exact).norm() <= layers * torch.finfo(torch.bfloat16).eps * exact.norm()


@pytest.fixture(params=sorted(set(list_encoders()) - {"resnet34", "resnet18_3d", "vgg16", "vgg19"}))
def traced(request):
    """Tracing takes long; those left out have no block or stage that the others do not have."""
    return request.param


def test_compiles(traced):
    check_compiles(build(traced), make(traced))


def test_exports(traced):
    check_exports(build(traced), make(traced))


def test_refuses_another_shape(name):
    encoder = build(name)
    (x,) = make(name)(2)
    for wrong in (x[0], x[:, :0], x.repeat(1, 2, *[1] * (x.ndim - 2))):
        with pytest.raises(ShapeError, match=r"needs \(B, C, .*C = "):
            encoder(wrong)
    with pytest.raises(ShapeError, match="uint8"):
        encoder(x.byte())


def test_any_number_of_channels(name):
    shape = SHAPES.get(name, PICTURE)
    encoder = create_encoder(name, in_channels=2, **OPTIONS.get(name, {}))
    assert encoder(torch.randn(2, 2, *shape[1:])).shape == (2, encoder.out_features)
    with pytest.raises(ConfigError, match="in_channels is 0"):
        create_encoder(name, in_channels=0)


def test_names_and_options_are_proposed():
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet18'"):
        create_encoder("resnet_18")
    with pytest.raises(ConfigError, match="Did you mean 'in_channels'"):
        create_encoder("resnet18", in_chanels=1)
    assert list_encoders("resnet*") == ["resnet18", "resnet18_3d", "resnet34", "resnet50", "resnet_se34"]
