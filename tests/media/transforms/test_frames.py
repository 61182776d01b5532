"""Pictures: normalisation by definition, and random views that are one per clip."""

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import create_transform
from invariants import check_compiles, check_exports, check_independent_of_batch

GRAY = MediaSpec(size=32)
COLOUR = MediaSpec(size=32, gray=False)
PLAIN = {"mean": [0.0], "std": [1 / 255]}  # leaves bytes as they are


def pictures(spec: MediaSpec, batch: int = 4, frames: int = 5, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (batch, frames, spec.size, spec.size, spec.channels), np.uint8))


@pytest.mark.parametrize("spec", [GRAY, COLOUR], ids=["gray", "colour"])
def test_values_by_definition(spec):
    x = pictures(spec)
    mean, std = np.array([0.2, 0.5, 0.7])[: spec.channels], np.array([0.1, 0.3, 0.9])[: spec.channels]
    out = create_transform("frames", spec=spec, mean=mean.tolist(), std=std.tolist())(x)
    expected = ((x.numpy() / 255 - mean) / std).transpose(0, 4, 1, 2, 3)
    assert out.shape == (4, spec.channels, 5, 32, 32)
    assert np.abs(out.numpy() - expected).max() < 1e-5


def test_default_is_imagenets():
    out = create_transform("frames", spec=COLOUR)(torch.full((1, 1, 32, 32, 3), 255, dtype=torch.uint8))
    expected = [(1 - m) / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)]
    torch.testing.assert_close(out[0, :, 0, 0, 0], torch.tensor(expected))


def test_input_is_left_alone():
    for x in (pictures(GRAY), pictures(GRAY).float()):
        before = x.clone()
        create_transform("frames", spec=GRAY, augment=True).train()(x)
        assert torch.equal(x, before)


def test_floating_point_bytes_give_the_same():
    module = create_transform("frames", spec=COLOUR)
    torch.testing.assert_close(module(pictures(COLOUR)), module(pictures(COLOUR).float()))


@pytest.mark.parametrize("spec", [GRAY, COLOUR], ids=["gray", "colour"])
def test_views_are_shifts_and_reflections_with_the_edge_repeated(spec):
    """Every output is one of the views that padding, cutting and turning over in NumPy gives."""
    most = 3
    options = {"mean": [0.0] * spec.channels, "std": [1 / 255] * spec.channels, "shift": most / 32}
    module = create_transform("frames", spec=spec, augment=True, **options).train()
    x = pictures(spec, batch=64, frames=2)
    torch.manual_seed(0)
    out = module(x).permute(0, 2, 3, 4, 1).round().to(torch.uint8).numpy()
    found = set()
    for clip, view in zip(x.numpy(), out, strict=True):
        padded = np.pad(clip, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
        matches = [
            (dy, dx, turned)
            for turned in (False, True)
            for dy in range(2 * most + 1)
            for dx in range(2 * most + 1)
            if np.array_equal((padded[:, :, ::-1] if turned else padded)[:, dy : dy + 32, dx : dx + 32], view)
        ]
        assert len(matches) == 1
        found.update(matches)
    assert len(found) > 30 and {turned for *_, turned in found} == {False, True}
    assert {dy for dy, *_ in found} == set(range(7)) == {dx for _, dx, _ in found}


def test_without_flip_nothing_is_turned_over():
    x = torch.zeros(64, 1, 32, 32, 1, dtype=torch.uint8)
    x[:, :, :, :16] = 200
    out = create_transform("frames", spec=GRAY, augment=True, flip=False, **PLAIN).train()(x)
    assert (out[:, 0, 0, :, 2].mean(1) > 150).all()


def test_enlarged_views_show_part_of_the_picture():
    ramp = torch.arange(32, dtype=torch.uint8)[None, None, None, :, None].expand(128, 3, 32, 32, 1)
    module = create_transform("frames", spec=GRAY, augment=True, min_area=0.25, shift=0.0, flip=False, **PLAIN).train()
    torch.manual_seed(0)
    out = module(ramp)
    assert out.shape == (128, 1, 3, 32, 32)
    torch.testing.assert_close(out[:, :, 0], out[:, :, 2])  # one view per clip
    slope = (out[:, 0, 0, 16, 24] - out[:, 0, 0, 16, 8]) / 16  # side of the view as a share
    assert slope.min() >= 0.5 - 1e-3 and slope.max() <= 1 + 1e-3 and slope.max() - slope.min() > 0.3
    assert out.min() >= 0 and out.max() <= 31


@pytest.mark.parametrize("options", [{}, {"min_area": 0.3}], ids=["moved", "enlarged"])
def test_views_per_frame_are_those_of_clips_of_one_frame(options):
    x = pictures(COLOUR, batch=3, frames=5)
    make = {"spec": COLOUR, "augment": True, **options}
    torch.manual_seed(0)
    out = create_transform("frames", per_frame=True, **make).train()(x)
    torch.manual_seed(0)
    single = create_transform("frames", **make).train()(x.flatten(0, 1)[:, None])
    assert out.shape == (3, 3, 5, 32, 32)
    for clip in range(3):
        for frame in range(5):
            assert torch.equal(out[clip, :, frame], single[clip * 5 + frame, :, 0])
    still = x[:, :1].expand(-1, 5, -1, -1, -1)
    torch.manual_seed(0)
    out = create_transform("frames", per_frame=True, **make).train()(still)
    assert not torch.equal(out[:, :, 0], out[:, :, 1])
    once = create_transform("frames", **make).train()(still)
    assert torch.equal(once[:, :, 0], once[:, :, 4])  # the default
    module = create_transform("frames", per_frame=True, **make)
    assert torch.equal(module.eval()(x), create_transform("frames", spec=COLOUR)(x))


def test_random_in_training_only_and_by_the_seed():
    x = pictures(COLOUR)
    for options in ({}, {"min_area": 0.3}):
        module = create_transform("frames", spec=COLOUR, augment=True, **options)
        torch.testing.assert_close(module.eval()(x), create_transform("frames", spec=COLOUR).train()(x))
        outs = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            outs.append(module.train()(x))
        assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])


def test_invariants():
    def make(batch):
        return (pictures(COLOUR, batch),)

    module = create_transform("frames", spec=COLOUR)
    check_independent_of_batch(module, make)
    check_compiles(module, make)
    check_exports(module, make)
    assert not module.state_dict()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mean": [0.5, 0.5]}, "1 values"),
        ({"std": [0.0]}, "std above 0"),
        ({"shift": 2.0}, "shift"),
        ({"min_area": 0.0}, "min_area"),
        ({"flipp": True}, "flip"),
    ],
)
def test_wrong_options(options, reason):
    with pytest.raises(ConfigError, match=reason):
        create_transform("frames", spec=GRAY, **options)


def test_wrong_shape():
    with pytest.raises(ShapeError, match=r"\(B, T, H, W, 1\)"):
        create_transform("frames", spec=GRAY)(pictures(COLOUR))
