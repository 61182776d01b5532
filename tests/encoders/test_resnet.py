import math

import pytest
import torch
from torch.nn import functional as F

from counterpoint.encoders import create_encoder
from counterpoint.errors import ConfigError

# Blocks per stage and kernels per block, as torchvision publishes them: (kernel size, input, output), "w" the stage's
# width, "i" what comes in, "4w" four times the width.
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
PARAMETERS = {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032}  # with the classifier of ImageNet


def published(name):
    """A state_dict with the names and shapes that torchvision's checkpoint of this ResNet has, and random numbers."""
    bottleneck = name == "resnet50"
    shapes = {"conv1.weight": (64, 3, 7, 7)}

    def norm(prefix, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{prefix}.{part}"] = (channels,)
        shapes[f"{prefix}.num_batches_tracked"] = ()

    norm("bn1", 64)
    inputs = 64
    for stage, depth in enumerate(DEPTHS[name]):
        width = 64 * 2**stage
        outputs = 4 * width if bottleneck else width
        for block in range(depth):
            prefix = f"layer{stage + 1}.{block}"
            if bottleneck:
                convs = [(width, inputs, 1), (width, width, 3), (outputs, width, 1)]
            else:
                convs = [(width, inputs, 3), (width, width, 3)]
            for k, (out, into, kernel) in enumerate(convs, 1):
                shapes[f"{prefix}.conv{k}.weight"] = (out, into, kernel, kernel)
                norm(f"{prefix}.bn{k}", out)
            if block == 0 and (stage > 0 or bottleneck):
                shapes[f"{prefix}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                norm(f"{prefix}.downsample.1", outputs)
            inputs = outputs
    shapes |= {"fc.weight": (1000, inputs), "fc.bias": (1000,)}
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        else:
            fan = math.prod(shape[1:]) if len(shape) == 4 else 1
            state[key] = torch.rand(shape, generator=generator) / fan + 0.1 * key.endswith("running_var")
    return state


def by_hand(name, state, x):
    """The network from its description, with functions alone."""

    def conv(key, x, stride=1):
        weight = state[f"{key}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(key, x):
        mean, var = state[f"{key}.running_mean"], state[f"{key}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{key}.weight"], state[f"{key}.bias"])

    x = F.max_pool2d(norm("bn1", conv("conv1", x, 2)).relu(), 3, 2, 1)
    convs = 3 if name == "resnet50" else 2
    for stage, depth in enumerate(DEPTHS[name]):
        for block in range(depth):
            prefix = f"layer{stage + 1}.{block}"
            stride = 2 if block == 0 and stage > 0 else 1
            at = 2 if name == "resnet50" else 1  # which convolution steps
            y = x
            for k in range(1, convs + 1):
                y = norm(f"{prefix}.bn{k}", conv(f"{prefix}.conv{k}", y, stride if k == at else 1))
                y = y.relu() if k < convs else y
            if f"{prefix}.downsample.0.weight" in state:
                x = norm(f"{prefix}.downsample.1", conv(f"{prefix}.downsample.0", x, stride))
            x = (x + y).relu()
    return x.mean((2, 3))


@pytest.mark.parametrize("name", DEPTHS)
def test_torchvision_checkpoints_load_and_mean_the_same(name):
    state = published(name)
    assert sum(t.numel() for k, t in state.items() if "running" not in k and "num" not in k) == PARAMETERS[name]
    encoder = create_encoder(name).eval()
    encoder.load_torchvision(state)
    x = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = by_hand(name, state, x)
        torch.testing.assert_close(encoder(x), expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    assert encoder.bn1.num_batches_tracked == 7


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_another_number_of_channels_sees_grey_as_before(channels):
    state = published("resnet18")
    colour, other = create_encoder("resnet18").eval(), create_encoder("resnet18", in_channels=channels).eval()
    colour.load_torchvision(state)
    other.load_torchvision(state)
    grey = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        expected = colour(grey.expand(-1, 3, -1, -1))
        torch.testing.assert_close(other(grey.expand(-1, channels, -1, -1)), expected, rtol=1e-3, atol=1e-3)


def test_checkpoints_from_before_batches_were_counted():
    state = {k: v for k, v in published("resnet18").items() if "num_batches" not in k}
    encoder = create_encoder("resnet18")
    encoder.load_torchvision(state)
    assert torch.equal(encoder.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])


def test_a_checkpoint_of_another_network_is_refused_and_changes_nothing():
    encoder = create_encoder("resnet18")
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    good = published("resnet18")
    lacking = {k: v for k, v in good.items() if k != "layer1.0.conv1.weight"}
    narrow = {**good, "layer4.1.conv2.weight": torch.zeros(512, 256, 3, 3)}
    for state, message in (
        (published("resnet34"), "unknown layer1.2"),
        (published("resnet50"), "unknown|shapes"),
        (lacking, "lacks layer1.0.conv1.weight"),
        (narrow, "other shapes for layer4.1.conv2.weight"),
        ({}, "lacks"),
    ):
        with pytest.raises(ConfigError, match=message):
            encoder.load_torchvision(state)
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_frames_are_pictures_pooled_over_time_too():
    torch.manual_seed(0)
    encoder = create_encoder("resnet18").eval()
    frames = torch.randn(2, 3, 4, 40, 40)
    with torch.no_grad():
        expected = torch.stack([encoder(frames[:, :, t]) for t in range(4)]).mean(0)
        torch.testing.assert_close(encoder(frames), expected, rtol=1e-4, atol=1e-5)


def test_frames_stay_frames_from_stage_to_stage_and_nothing_is_copied_in_between():
    encoder = create_encoder("resnet18").eval()
    maps = torch.randn(2, 3, 4, 40, 40).contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        for name, stage in encoder.to(memory_format=torch.channels_last).stages().items():
            maps = stage(maps)
            assert maps.shape[:3] == (2, encoder.stage_channels[name], 4)
            assert maps.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("shape", [(0, 3, 32, 32), (0, 3, 2, 32, 32)])
def test_nothing_in_nothing_out(shape):
    assert create_encoder("resnet18").eval()(torch.zeros(shape)).shape == (0, 512)


def test_weights_start_as_those_of_ogm_ge():
    torch.manual_seed(0)
    encoder = create_encoder("resnet18", in_channels=1)
    for conv in (encoder.conv1, encoder.layer2[0].downsample[0], encoder.layer4[1].conv2):
        weight = conv.weight.detach()
        fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
        assert weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)
        assert abs(weight.mean().item()) < 0.1 * weight.std().item()
    assert (encoder.bn1.weight == 1).all() and (encoder.bn1.bias == 0).all()
