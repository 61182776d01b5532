"""VGG and VGGish with published names and shapes, against networks written with functions alone."""

import pytest
import torch
from torch.nn import functional as F

from counterpoint.encoders import create_encoder
from counterpoint.errors import ConfigError, ShapeError

# Channels of torchvision's configurations A, D and E, and parameters with the classifier of ImageNet.
PUBLISHED = {
    "vgg11": ("64 M 128 M 256 256 M 512 512 M 512 512 M", 132_863_336),
    "vgg16": ("64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M", 138_357_544),
    "vgg19": ("64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M", 143_667_240),
}
VGGISH = "64 M 128 M 256 256 M 512 512 M"


def convolutions(layers, inputs):
    """Names and shapes as `nn.Sequential` numbers them: convolution, ReLU, convolution, ReLU, pooling ..."""
    shapes, at = {}, 0
    for word in layers.split():
        if word == "M":
            at += 1
            continue
        shapes[f"features.{at}.weight"] = (int(word), inputs, 3, 3)
        shapes[f"features.{at}.bias"] = (int(word),)
        inputs, at = int(word), at + 2
    return shapes


def linears(prefix, places, widths):
    shapes = {}
    for at, inputs, outputs in zip(places, widths, widths[1:], strict=False):
        shapes |= {f"{prefix}.{at}.weight": (outputs, inputs), f"{prefix}.{at}.bias": (outputs,)}
    return shapes


def numbers(shapes):
    generator = torch.Generator().manual_seed(0)

    def draw(shape):
        scale = (2 / max(1, torch.tensor(shape[1:]).prod().item())) ** 0.5 if len(shape) > 1 else 0.1
        return torch.randn(shape, generator=generator) * scale

    return {name: draw(shape) for name, shape in shapes.items()}


def vgg_state(name, classifier=True):
    shapes = convolutions(PUBLISHED[name][0], 3)
    if classifier:
        shapes |= linears("classifier", (0, 3, 6), (512 * 49, 4096, 4096, 1000))
    return shapes


def vggish_state(hidden=4096):
    return convolutions(VGGISH, 1) | linears("embeddings", (0, 2, 4), (512 * 24, hidden, hidden, 128))


def features(state, layers, x):
    at = 0
    for word in layers.split():
        if word == "M":
            x, at = F.max_pool2d(x, 2), at + 1
        else:
            x, at = F.conv2d(x, state[f"features.{at}.weight"], state[f"features.{at}.bias"], padding=1).relu(), at + 2
    return x


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_torchvisions(name):
    shapes = vgg_state(name)
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == PUBLISHED[name][1]
    with torch.device("meta"):
        own = create_encoder(name).state_dict()
    ours = {key: shape for key, shape in shapes.items() if not key.startswith("classifier")}
    assert {key: tuple(tensor.shape) for key, tensor in own.items()} == ours


def test_pool5_of_a_picture_is_7_x_7():
    with torch.device("meta"):
        encoder, maps = create_encoder("vgg19").eval(), torch.zeros(1, 3, 16, 224, 224)
        for stage in encoder.stages().values():
            maps = stage(maps)
    assert maps.shape == (1, 512, 16, 7, 7) and encoder.out_features == 512
    assert list(encoder.stage_channels.values()) == [64, 128, 256, 512, 512]


def test_torchvisions_checkpoint_loads_and_means_the_same():
    state = numbers(vgg_state("vgg19", classifier=False))
    classifier = {"classifier.0.weight": torch.zeros(2), "classifier.6.bias": torch.zeros(1)}
    encoder = create_encoder("vgg19").eval()
    encoder.load_checkpoint({**state, **classifier})
    pictures = torch.randn(2, 3, 64, 72)
    with torch.no_grad():
        expected, maps = features(state, PUBLISHED["vgg19"][0], pictures), pictures
        for stage in encoder.stages().values():
            maps = stage(maps)
        torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(encoder(pictures), expected.mean((2, 3)), rtol=1e-4, atol=1e-4)
        frames = torch.stack([pictures, pictures.flip(3)], 2)
        expected = (encoder(pictures) + encoder(pictures.flip(3))) / 2
        torch.testing.assert_close(encoder(frames), expected, rtol=1e-4, atol=1e-4)


def test_another_number_of_channels_sees_grey_as_before():
    state = numbers(vgg_state("vgg11", classifier=False))
    colour, grey = create_encoder("vgg11").eval(), create_encoder("vgg11", in_channels=1).eval()
    colour.load_checkpoint(state)
    grey.load_checkpoint(state)
    x = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_a_checkpoint_of_another_network_is_refused_and_changes_nothing():
    encoder = create_encoder("vgg11")
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    other = {name: torch.zeros(shape) for name, shape in vgg_state("vgg16", classifier=False).items()}
    for state, message in (
        (other, "lacks features.3.weight"),
        ({}, "lacks features.0.weight"),
        ({**before, "fc.weight": torch.zeros(1)}, "unknown fc.weight"),
        ({**before, "features.3.bias": torch.zeros(1)}, "other shapes for features.3.bias"),
    ):
        with pytest.raises(ConfigError, match=message):
            encoder.load_checkpoint(state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


# ---------------------------------------------------------------------- VGGish


def vggish(hidden=32, **options):
    return create_encoder("vggish", hidden=hidden, **options).eval()


def port(state, patches):
    """The usual port on its own patches, `(N, 1, 96, 64)`."""
    x = features(state, VGGISH, patches)
    x = x.permute(0, 2, 3, 1).flatten(1)  # time, frequency, channels
    for at in (0, 2, 4):
        x = F.linear(x, state[f"embeddings.{at}.weight"], state[f"embeddings.{at}.bias"]).relu()
    return x


def test_names_and_shapes_are_the_ports():
    with torch.device("meta"):
        own = create_encoder("vggish").state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in own.items()} == vggish_state()
    assert sum(tensor.numel() for tensor in own.values()) == 72_141_184


def test_the_ports_checkpoint_loads_and_means_the_same():
    state, encoder = numbers(vggish_state(32)), vggish()
    encoder.load_checkpoint(state | {"pproc.pca_matrix": torch.ones(128, 128), "pproc.pca_means": torch.ones(128, 1)})
    patches = torch.randn(6, 1, 96, 64)
    with torch.no_grad():
        expected = port(state, patches)
        torch.testing.assert_close(encoder(patches.transpose(2, 3)), expected, rtol=1e-4, atol=1e-4)
        # Two clips of three patches each, with a rest that makes no patch.
        clips = patches.view(2, 3, 96, 64).permute(0, 3, 1, 2).flatten(2)[:, None]
        clips = F.pad(clips, (0, 95), value=9.0)
        torch.testing.assert_close(encoder(clips), expected.view(2, 3, 128).mean(1), rtol=1e-4, atol=1e-4)
    assert expected.amax(1).min() > 0


PORT = ("pproc.pca_eigen_vectors", "pproc.pca_means")


def test_components_whiten_cut_and_round():
    state = numbers(vggish_state(32))
    matrix, means = torch.randn(128, 128), torch.randn(128)
    x = torch.randn(3, 1, 64, 96)
    with torch.no_grad():
        raw = port(state, x.transpose(2, 3))
        white = torch.einsum("ij,nj->ni", matrix, raw - means).clamp(-2, 2)
        expected = torch.round((white + 2) * 255 / 4)
        for names in (("pproc.pca_matrix", "pproc.pca_means"), ("pca_eigen_vectors", "pca_means"), PORT):
            encoder = vggish(postprocess=True)
            with pytest.raises(ConfigError, match=r"lacks pproc.pca_matrix"):
                encoder.load_checkpoint(state)
            encoder.load_checkpoint(state | dict(zip(names, (matrix, means), strict=True)))
            out = encoder(x)
            assert (out - expected).abs().max() <= 1 and (out != expected).float().mean() < 0.01
    assert 0 < expected.float().mean() < 255


def test_what_is_no_patch_is_refused():
    for shape in ((1, 1, 96, 64), (1, 1, 64, 95), (1, 1, 63, 96)):
        with pytest.raises(ShapeError, match="vggish_mel"):
            vggish()(torch.zeros(shape))
    with pytest.raises(ConfigError, match="hidden is 0"):
        vggish(hidden=0)
