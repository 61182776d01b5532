import math

import pytest
import torch
from torch.nn import functional as F

from counterpoint.encoders import ResNetSE34, create_encoder, fold_batch_norms
from counterpoint.encoders.attentive_pool import attentive_pool
from counterpoint.encoders.resnet import Axes
from counterpoint.encoders.resnet_se import SEBasicBlock
from counterpoint.errors import ConfigError, ShapeError

SIZES = {"mmcosine": (40, "sap", 512), "published": (64, "asp", 512)}


def published(n_mels, pooling, out_features):
    """A state_dict with the names and shapes of ResNetSE34V2 as voxceleb_trainer saves it, and random numbers."""
    shapes = {"conv1.weight": (32, 1, 3, 3), "conv1.bias": (32,)}

    def norm(prefix, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{prefix}.{part}"] = (channels,)
        shapes[f"{prefix}.num_batches_tracked"] = ()

    def layer(prefix, *shape):
        shapes[f"{prefix}.weight"], shapes[f"{prefix}.bias"] = shape, shape[:1]

    norm("bn1", 32)
    inputs = 32
    for stage, (depth, width) in enumerate(zip((3, 4, 6, 3), (32, 64, 128, 256), strict=True), 1):
        for block in range(depth):
            prefix = f"layer{stage}.{block}"
            for k, into in ((1, inputs), (2, width)):
                shapes[f"{prefix}.conv{k}.weight"] = (width, into, 3, 3)
                norm(f"{prefix}.bn{k}", width)
            layer(f"{prefix}.se.fc.0", width // 8, width)
            layer(f"{prefix}.se.fc.2", width, width // 8)
            if inputs != width:
                shapes[f"{prefix}.downsample.0.weight"] = (width, inputs, 1, 1)
                norm(f"{prefix}.downsample.1", width)
            inputs = width
    steps = 256 * n_mels // 8
    layer("attention.0", 128, steps, 1)
    norm("attention.2", 128)
    layer("attention.3", steps, 128, 1)
    layer("fc", out_features, steps * (2 if pooling == "asp" else 1))
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif len(shape) > 1:
            state[name] = torch.randn(shape, generator=generator) * math.sqrt(2 / math.prod(shape[1:]))
        else:
            centre = 0.7 if name.endswith(("weight", "running_var")) else 0.0
            state[name] = centre + 0.4 * (torch.rand(shape, generator=generator) - 0.5)
    return state


def by_hand(state, x, pooling):
    """The network in float64 from its state_dict alone."""
    state = {name: tensor.double() for name, tensor in state.items()}

    def norm(prefix, x):
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{prefix}.{key}"] for key in keys))

    def layer(prefix, x):
        return F.linear(x, state[f"{prefix}.weight"].flatten(1), state[f"{prefix}.bias"])

    x = (x - x.mean(3, keepdim=True)) / (x.var(3, keepdim=True, unbiased=False) + 1e-5).sqrt()
    x = norm("bn1", F.conv2d(x, state["conv1.weight"], state["conv1.bias"], padding=1).relu())
    for stage, depth in enumerate((3, 4, 6, 3), 1):
        for block in range(depth):
            prefix, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = F.conv2d(x, state[f"{prefix}.conv1.weight"], stride=stride, padding=1).relu()
            y = norm(f"{prefix}.bn2", F.conv2d(norm(f"{prefix}.bn1", y), state[f"{prefix}.conv2.weight"], padding=1))
            gate = layer(f"{prefix}.se.fc.2", layer(f"{prefix}.se.fc.0", y.flatten(2).mean(2)).relu()).sigmoid()
            if f"{prefix}.downsample.0.weight" in state:
                x = norm(f"{prefix}.downsample.1", F.conv2d(x, state[f"{prefix}.downsample.0.weight"], stride=stride))
            x = (y * gate[:, :, None, None] + x).relu()
    steps = x.reshape(len(x), -1, x.shape[-1])
    inside = norm("attention.2", layer("attention.0", steps.mT).relu().mT)
    logits = layer("attention.3", inside.mT).mT
    weights = logits.exp() / logits.exp().sum(2, keepdim=True)
    mean = (steps * weights).sum(2)
    if pooling == "asp":
        mean = torch.cat([mean, ((steps**2 * weights).sum(2) - mean**2).clamp(min=1e-5).sqrt()], 1)
    return layer("fc", mean)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_published_weights_give_what_their_names_say(size):
    n_mels, pooling, _ = size
    encoder = ResNetSE34(n_mels=n_mels, pooling=pooling)
    state = published(*size)
    wrapped = {f"module.__S__.{name}": tensor for name, tensor in state.items()}
    beside = {
        "module.__L__.fc.weight": torch.zeros(5994, 512),
        "module.__S__.torchfb.0.flipped_filter": torch.zeros(1, 1, 2),
        "module.__S__.torchfb.1.mel_scale.fb": torch.zeros(257, n_mels),
    }
    encoder.load_checkpoint(wrapped | beside)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    x = torch.randn(2, 1, n_mels, 27, generator=torch.Generator().manual_seed(1)).double()
    encoder.double().eval()
    with torch.no_grad():
        expected = by_hand(state, x, pooling)
        assert expected.std() > 1e-3
        torch.testing.assert_close(encoder(x), expected, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(fold_batch_norms(encoder)(x), expected, rtol=1e-8, atol=1e-10)
    encoder.load_checkpoint(state)  # without the wrappers' prefixes


def test_another_pooling_or_number_of_bands_is_refused():
    state = published(*SIZES["published"])
    for options in ({"n_mels": 40, "pooling": "asp"}, {"n_mels": 64}):
        encoder = ResNetSE34(**options)
        before = encoder.fc.weight.clone()
        with pytest.raises(ConfigError, match="other shapes for"):
            encoder.load_checkpoint(state)
        assert torch.equal(encoder.fc.weight, before)


@pytest.mark.parametrize(("size", "millions"), [("mmcosine", 6.4), ("published", 8.0)])
def test_parameters(size, millions):
    n_mels, pooling, _ = SIZES[size]
    with torch.device("meta"):
        encoder = ResNetSE34(n_mels=n_mels, pooling=pooling)
    assert round(sum(p.numel() for p in encoder.parameters()) / 1e6, 1) == millions


def test_loudness_and_colour_of_a_clip_do_not_count():
    torch.manual_seed(0)
    encoder, x = ResNetSE34().eval(), torch.randn(2, 1, 40, 30)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x * 3 + torch.randn(40, 1)), encoder(x), rtol=1e-3, atol=1e-4)


def test_clips_of_any_length():
    encoder = ResNetSE34().eval()
    for frames in (1, 7, 64):
        assert encoder(torch.randn(2, 1, 40, frames)).isfinite().all()
    with pytest.raises(ShapeError, match=r"F = n_mels = 40, but got shape \(2, 1, 64, 30\)"):
        encoder(torch.randn(2, 1, 64, 30))


def test_statistics_over_time():
    steps, logits = torch.randn(2, 2, 3, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = logits.softmax(2)
    mean = torch.einsum("bdt,bdt->bd", steps, weights)
    square = torch.einsum("bdt,bdt->bd", steps**2, weights)
    torch.testing.assert_close(attentive_pool(steps, weights, "sap"), mean)
    torch.testing.assert_close(attentive_pool(steps, weights, "asp"), torch.cat([mean, (square - mean**2).sqrt()], 1))


def test_statistics_of_what_does_not_change_have_a_gradient():
    steps = torch.full((1, 2, 5), 1e4, requires_grad=True)
    attentive_pool(steps, torch.full((1, 2, 5), 0.2), "asp").sum().backward()
    assert steps.grad.isfinite().all()


def test_channels_are_weighed_by_the_whole_map():
    torch.manual_seed(0)
    block = SEBasicBlock(Axes(2), 16, 16, 1).eval()
    x = torch.randn(2, 16, 4, 5)
    y = torch.randn(2, 16, 4, 5)
    gate = torch.sigmoid(block.se.fc[2](block.se.fc[0](y.mean((2, 3))).relu()))
    torch.testing.assert_close(block.se(y), y * gate[:, :, None, None])
    assert block(x).shape == x.shape


@pytest.mark.parametrize("options", [{"n_mels": 4}, {"n_mels": 44}, {"pooling": "mean"}, {"out_features": 0}])
def test_refusals(options):
    with pytest.raises(ConfigError):
        create_encoder("resnet_se34", **options)
