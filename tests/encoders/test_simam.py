"""SimAM inside the ResNets, over pictures and over clips."""

import numpy as np
import pytest
import torch
from torch import nn

from counterpoint.encoders import SimAM, create_encoder, fold_batch_norms
from counterpoint.errors import ConfigError
from counterpoint.models import create_model
from invariants import (
    check_compiles,
    check_exports,
    check_finite,
    check_gradients_reach,
    check_independent_of_batch,
    check_state_dict,
)

SHAPES = {
    "resnet18": (3, 40, 36),
    "resnet34": (3, 40, 36),
    "resnet50": (3, 2, 40, 36),
    "resnet18_3d": (3, 3, 36, 32),
    "resnext50_3d": (3, 3, 36, 32),
}
every_resnet = pytest.mark.parametrize("name", SHAPES)
one_of_each_kind = pytest.mark.parametrize("name", ["resnet18", "resnet18_3d"])


def build(name, **options):
    torch.manual_seed(0)
    return create_encoder(name, attention="simam", **options)


def make(name):
    def inputs(batch, dtype=torch.float32):
        return (torch.randn(batch, *SHAPES[name], generator=torch.Generator().manual_seed(batch), dtype=dtype),)

    return inputs


def by_hand(x, lam, correction):
    """x sigmoid(1 / e*) per sample and channel, with e* of Eq. (3) of SimAM²."""
    x = x.double().numpy()
    out = np.empty_like(x)
    for sample, channel in np.ndindex(*x.shape[:2]):
        t = x[sample, channel]
        squares = (t - t.mean()) ** 2
        variance = squares.sum() / max(t.size - correction, 1)
        energy = 4 * (variance + lam) / (squares + 2 * variance + 2 * lam)
        out[sample, channel] = t / (1 + np.exp(-1 / energy))
    return out


@every_resnet
@pytest.mark.parametrize("options", [{}, {"lam": 0.1, "correction": 0}])
def test_each_block_weighs_its_second_convolution(name, options):
    encoder = build(name, attention_options=options).eval()
    block, seen = encoder.layer2[0], {}

    def keep(part):
        def hook(_, args, out):
            seen.setdefault(part, (args[0].clone(), out.clone()))

        return hook

    for part in ("conv2", "attention", "bn2"):
        getattr(block, part).register_forward_hook(keep(part))
    # One module serves all blocks: what it did in those before is forgotten.
    block.register_forward_pre_hook(lambda *_: seen.clear())
    with torch.no_grad():
        encoder(*make(name)(2))
    assert torch.equal(seen["attention"][0], seen["conv2"][1])
    assert torch.equal(seen["attention"][1], seen["bn2"][0])
    expected = by_hand(seen["attention"][0], options.get("lam", 1e-4), options.get("correction", 1))
    np.testing.assert_allclose(seen["attention"][1].numpy(), expected, rtol=1e-4, atol=1e-5)
    blocks = [b for b in encoder.modules() if hasattr(b, "attention")]
    assert len(blocks) == sum(encoder.depths) and all(isinstance(b.attention, SimAM) for b in blocks)


@every_resnet
def test_no_parameter_is_added_or_renamed(name):
    with torch.device("meta"):
        plain, attending = create_encoder(name), create_encoder(name, attention="simam")
    assert [(k, v.shape) for k, v in attending.state_dict().items()] == [
        (k, v.shape) for k, v in plain.state_dict().items()
    ]


def test_frames_are_weighed_picture_by_picture():
    encoder = build("resnet18").eval()
    frames = torch.randn(2, 3, 4, 40, 40)
    with torch.no_grad():
        expected = torch.stack([encoder(frames[:, :, t]) for t in range(4)]).mean(0)
        torch.testing.assert_close(encoder(frames), expected, rtol=1e-4, atol=1e-5)


@one_of_each_kind
class TestInvariants:
    def test_independent_of_batch(self, name):
        encoder = build(name)
        encoder(*make(name)(8))
        check_independent_of_batch(encoder, make(name))

    def test_finite(self, name):
        check_finite(build(name), make(name))

    def test_gradients_reach(self, name):
        check_gradients_reach(build(name), make(name), lambda out: out.square().sum())

    def test_state_dict(self, name):
        check_state_dict(build(name), lambda: create_encoder(name, attention="simam"), make(name))

    def test_traced(self, name):
        encoder = build(name)

        def inputs(batch):
            return (torch.randn(batch, 64, *[5] * encoder.axes),)

        check_compiles(encoder.layer1[0], inputs)
        check_exports(encoder.layer1[0], inputs)

    def test_checkpointing_changes_no_number(self, name):
        gradients = []
        for checkpoint in (False, True):
            encoder = build(name, checkpoint=checkpoint)
            encoder(*make(name)(3)).square().sum().backward()
            gradients.append([p.grad for p in encoder.parameters()])
        for one, other in zip(*gradients, strict=True):
            assert torch.equal(one, other)


def test_precisions_agree():
    for axes, shape in ((2, (2, 3, 6, 5)), (3, (2, 3, 4, 6, 5))):
        x = torch.randn(shape, dtype=torch.float64)
        exact = SimAM(axes)(x)
        torch.testing.assert_close(SimAM(axes)(x.float()).double(), exact, rtol=1e-5, atol=1e-6)
        half = SimAM(axes)(x.bfloat16())
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.double(), exact, rtol=2e-2, atol=2e-2)


def test_the_normalisation_behind_it_is_not_folded_into_the_convolution_before_it():
    encoder = build("resnet18")
    for seed in range(3):
        encoder(torch.randn(6, 3, 40, 36, generator=torch.Generator().manual_seed(seed)))
    folded = fold_batch_norms(encoder)
    left = sum(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert left == sum(encoder.depths)
    x = torch.randn(3, 3, 40, 36)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), encoder.eval()(x), rtol=1e-4, atol=1e-5)


def test_a_models_encoders_take_it():
    with torch.device("meta"):
        model = create_model("resnet18_av", num_classes=3, audio={"attention": "simam"})
    assert isinstance(model.encoders["audio"].layer1[0].attention, SimAM)
    assert not isinstance(model.encoders["visual"].layer1[0].attention, SimAM)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "siman"}, "Did you mean 'simam'"),
        ({"attention": "simam", "attention_options": {"lamb": 1}}, "no option 'lamb'.*mean 'lam'"),
        ({"attention": "simam", "attention_options": {"lam": -1.0}}, "lam=-1"),
        ({"attention": "simam", "attention_options": {"correction": 2}}, "correction=2"),
        ({"attention_options": {"lam": 0.1}}, "need an attention"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        create_encoder("resnet18", **options)
