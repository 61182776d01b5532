import math
import re

import pytest
import torch
from torch.nn import functional as F

from counterpoint.encoders import create_encoder
from counterpoint.errors import ConfigError

# As published: axes, blocks per stage, convolutions per block, the first stage's width, how many times as many channels
# come out of a block, groups of its middle convolution, and parameters with the classifier of ImageNet or Kinetics.
PUBLISHED = {
    "resnet18": (2, (2, 2, 2, 2), 2, 64, 1, 1, (1000, 11_689_512)),
    "resnet34": (2, (3, 4, 6, 3), 2, 64, 1, 1, (1000, 21_797_672)),
    "resnet50": (2, (3, 4, 6, 3), 3, 64, 4, 1, (1000, 25_557_032)),
    "resnet18_3d": (3, (2, 2, 2, 2), 2, 64, 1, 1, (400, 33_409_104)),
    "resnext50_3d": (3, (3, 4, 6, 3), 3, 128, 2, 32, (8, 25_882_056)),  # "Video" in Table 1 of CFN-SR, 25.88M
}


def published(name):
    """A state_dict with the names and shapes that the published checkpoint of this ResNet has, and random numbers."""
    axes, depths, convolutions, first, expansion, groups, (classes, _) = PUBLISHED[name]
    shapes = {"conv1.weight": (64, 3, *[7] * axes)}

    def norm(prefix, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{prefix}.{part}"] = (channels,)
        shapes[f"{prefix}.num_batches_tracked"] = ()

    norm("bn1", 64)
    inputs = 64
    for stage, depth in enumerate(depths):
        width = first * 2**stage
        outputs = expansion * width
        for block in range(depth):
            prefix = f"layer{stage + 1}.{block}"
            if convolutions == 3:
                convs = [(width, inputs, 1), (width, width // groups, 3), (outputs, width, 1)]
            else:
                convs = [(width, inputs, 3), (width, width, 3)]
            for k, (out, into, kernel) in enumerate(convs, 1):
                shapes[f"{prefix}.conv{k}.weight"] = (out, into, *[kernel] * axes)
                norm(f"{prefix}.bn{k}", out)
            if block == 0 and (stage > 0 or inputs != outputs):
                shapes[f"{prefix}.downsample.0.weight"] = (outputs, inputs, *[1] * axes)
                norm(f"{prefix}.downsample.1", outputs)
            inputs = outputs
    shapes |= {"fc.weight": (classes, inputs), "fc.bias": (classes,)}
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif len(shape) > 2:
            state[key] = torch.randn(shape, generator=generator) * math.sqrt(2 / math.prod(shape[1:]))
        else:
            centre = 0.7 if key.endswith(("weight", "running_var")) else 0.0
            state[key] = centre + 0.4 * (torch.rand(shape, generator=generator) - 0.5)
    return state


def by_hand(name, state, x, *, stem_relu=True):
    """The network from its description, with functions alone."""
    axes, depths, convolutions, _, _, groups, _ = PUBLISHED[name]

    def conv(key, x, stride=1, groups=1):
        weight = state[f"{key}.weight"]
        function = F.conv2d if axes == 2 else F.conv3d
        return function(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=groups)

    def norm(key, x):
        mean, var = state[f"{key}.running_mean"], state[f"{key}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{key}.weight"], state[f"{key}.bias"])

    x = norm("bn1", conv("conv1", x, 2 if axes == 2 else (1, 2, 2)))
    x = (F.max_pool2d if axes == 2 else F.max_pool3d)(x.relu() if stem_relu else x, 3, 2, 1)
    for stage, depth in enumerate(depths):
        for block in range(depth):
            prefix = f"layer{stage + 1}.{block}"
            stride = 2 if block == 0 and stage > 0 else 1
            at = 2 if convolutions == 3 else 1  # which convolution steps
            y = x
            for k in range(1, convolutions + 1):
                y = conv(f"{prefix}.conv{k}", y, stride if k == at else 1, groups if k == 2 else 1)
                y = norm(f"{prefix}.bn{k}", y)
                y = y.relu() if k < convolutions else y
            if f"{prefix}.downsample.0.weight" in state:
                x = norm(f"{prefix}.downsample.1", conv(f"{prefix}.downsample.0", x, stride))
            x = (x + y).relu()
    return x.flatten(2).mean(2)


def clip(name, batch=2, channels=3):
    shape = (64, 48) if PUBLISHED[name][0] == 2 else (6, 40, 36)
    return torch.randn(batch, channels, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_checkpoints_load_and_mean_the_same(name):
    state = published(name)
    parameters = sum(t.numel() for k, t in state.items() if "running" not in k and "num" not in k)
    assert parameters == PUBLISHED[name][-1][1]
    encoder = create_encoder(name).eval()
    encoder.load_checkpoint({f"module.{key}": tensor for key, tensor in state.items()})  # as DataParallel names them
    x = clip(name)
    with torch.no_grad():
        expected = by_hand(name, state, x)
        torch.testing.assert_close(encoder(x), expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    assert encoder.bn1.num_batches_tracked == 7


def test_the_trunk_of_cfn_sr_has_exactly_as_many_parameters():
    with torch.device("meta"):
        encoder = create_encoder("resnext50_3d")
    assert sum(p.numel() for p in encoder.parameters()) == 25_864_664 + 1_000
    assert encoder.out_features == 2048
    assert encoder.stage_channels == {"conv1": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048}


def test_maps_of_cfn_sr_have_the_shapes_of_the_paper():
    with torch.device("meta"):
        maps = torch.zeros(1, 3, 30, 224, 224)
        shapes = {}
        for name, stage in create_encoder("resnext50_3d").eval().stages().items():
            maps = stage(maps)
            shapes[name] = tuple(maps.shape[1:])
    assert shapes == {
        "conv1": (64, 15, 56, 56),
        "layer1": (256, 15, 56, 56),
        "layer2": (512, 8, 28, 28),
        "layer3": (1024, 4, 14, 14),
        "layer4": (2048, 2, 7, 7),
    }


def test_the_released_fused_network_drops_a_relu():
    state, x = published("resnext50_3d"), clip("resnext50_3d")
    state["bn1.bias"] -= 4  # so that the maximum of 27 places is below zero somewhere
    encoder = create_encoder("resnext50_3d", variant="released").eval()
    encoder.load_checkpoint(state)
    with torch.no_grad():
        expected, paper = by_hand("resnext50_3d", state, x, stem_relu=False), by_hand("resnext50_3d", state, x)
        torch.testing.assert_close(encoder(x), expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    assert (expected - paper).abs().max() > 0.1 * paper.abs().max()
    with pytest.raises(ConfigError, match="Did you mean 'released'"):
        create_encoder("resnext50_3d", variant="relased")


@pytest.mark.parametrize("name", ["resnet18", "resnext50_3d"])
def test_activation_checkpointing_changes_no_number(name):
    torch.manual_seed(0)
    plain, saving = create_encoder(name), create_encoder(name, checkpoint=True)
    saving.load_state_dict(plain.state_dict())
    kept = []
    for encoder in (plain, saving):
        held = 0

        def pack(tensor):
            nonlocal held
            held += tensor.numel() * (not isinstance(tensor, torch.nn.Parameter))
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = encoder(clip(name, batch=3))
        kept.append(held)
        out.square().sum().backward()
    for (key, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), key
    for (key, a), b in zip(plain.named_buffers(), saving.buffers(), strict=True):
        assert torch.equal(a, b), key  # running statistics are not counted twice
    assert kept[1] < 0.6 * kept[0]


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_another_number_of_channels_sees_grey_as_before(channels):
    state = published("resnet18")
    colour, other = create_encoder("resnet18").eval(), create_encoder("resnet18", in_channels=channels).eval()
    colour.load_checkpoint(state)
    other.load_checkpoint(state)
    grey = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        expected = colour(grey.expand(-1, 3, -1, -1))
        torch.testing.assert_close(other(grey.expand(-1, channels, -1, -1)), expected, rtol=1e-3, atol=1e-3)


def test_checkpoints_from_before_batches_were_counted():
    state = {k: v for k, v in published("resnet18").items() if "num_batches" not in k}
    encoder = create_encoder("resnet18")
    encoder.load_checkpoint(state)
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
            encoder.load_checkpoint(state)
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


@pytest.fixture
def two_threads():
    """With a single one, torch takes another kernel for narrow convolutions over clips, which forgets the layout."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("two_threads")
def test_clips_with_channels_innermost_stay_so_through_all_stages():
    encoder = create_encoder("resnext50_3d").eval().to(memory_format=torch.channels_last_3d)
    maps = clip("resnext50_3d").contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        for name, stage in encoder.stages().items():
            maps = stage(maps)
            assert maps.is_contiguous(memory_format=torch.channels_last_3d), name


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


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_simams_released_checkpoints_load(name):
    """Its code puts the second convolution of each block and the attention into one sequence: ``conv2.0.weight``."""
    state = published(name)
    theirs = {re.sub(r"(layer.*)\.conv2\.weight$", r"\1.conv2.0.weight", key): t for key, t in state.items()}
    assert sum(key.endswith("conv2.0.weight") for key in theirs) == (8 if name == "resnet18" else 16)
    options = {"attention": "simam", "attention_options": {"lam": 0.1}}
    expected, encoder = (create_encoder(name, **options).eval() for _ in range(2))
    expected.load_checkpoint(state)
    encoder.load_checkpoint({f"module.{key}": tensor for key, tensor in theirs.items()})
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), expected.parameters(), strict=True))
    with pytest.raises(ConfigError, match="trained with SimAM; build the encoder with attention='simam'"):
        create_encoder(name).load_checkpoint(theirs)
