"""What parts declare that they want of their surroundings, and that they are handed it: the house's and a guest's."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import counterpoint
from counterpoint.balance import BALANCERS, Balancer
from counterpoint.data import DATASETS
from counterpoint.encoders import ENCODERS, Encoder
from counterpoint.errors import ConfigError
from counterpoint.fusion import FUSIONS
from counterpoint.localise import LOCALISERS
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import TRANSFORMS, Transform
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.module import CounterpointModule
from counterpoint.training.resolve import with_wants
from counterpoint.wants import AFTERWARDS, WANTS, hand_in, wants
from made_parts import parts_of

SPEC = MediaSpec(seconds=0.5, fps=8, size=32)


class Bands(Encoder):
    wants = ("n_mels", "clip_shape", "seed")

    def __init__(self, *, n_mels: int, clip_shape: tuple, seed: int, num_frames: int = 7) -> None:
        super().__init__(1, n_mels, ("B, C, F, T",), {"bands": n_mels})
        self.told = (n_mels, clip_shape, seed, num_frames)
        self.bands = nn.Linear(clip_shape[-1], 1)

    def stages(self):
        return {"bands": lambda x: self.bands(x)[:, 0]}


class Step(Balancer):
    wants = ("optimizer", "seed")

    def __init__(self, encoders, *, seed: int) -> None:
        super().__init__(encoders)
        self.seed = seed

    def observe(self, output, target):
        raise NotImplementedError

    def step(self, output, target):
        return {}


@pytest.fixture
def guests():
    ENCODERS.register("bands")(Bands)
    BALANCERS.register("step")(Step)
    yield
    del ENCODERS._parts["bands"], BALANCERS._parts["step"]


def config(**changes) -> TrainConfig:
    return from_dict(TrainConfig, {"seed": 5, **changes})


@pytest.mark.parametrize(
    "registry", [ENCODERS, FUSIONS, LOCALISERS, BALANCERS, TRANSFORMS, DATASETS], ids=lambda r: r.kind
)
def test_every_registered_part_wants_what_the_contract_names(registry):
    for name in registry:
        assert set(wants(registry.get(name))) <= set(WANTS), name
    if registry is TRANSFORMS:
        assert all(issubclass(registry.get(name), Transform) for name in registry)


def test_what_is_wanted_comes_before_the_options_and_gives_way_to_them():
    assert hand_in(Bands, {"seed": 1}, n_mels=4, clip_shape=(1, 4, 9), seed=0, num_frames=3) == {
        "n_mels": 4,
        "clip_shape": (1, 4, 9),
        "seed": 1,
    }
    assert hand_in(nn.Linear, {"bias": False}, seed=0) == {"bias": False}  # declares nothing
    with pytest.raises(ConfigError, match=r"Bands wants 'clip_shape' \(tuple.*here it may want n_mels, seed"):
        hand_in(Bands, {}, n_mels=4, seed=0)


def test_an_encoder_of_ones_own_is_told_what_it_wants_and_nothing_else(guests):
    chosen = config(model={"options": {"audio": {"name": "bands"}}, "inputs": {"audio": {"n_mels": 20}}})
    encoder = parts_of(chosen, 3, SPEC).model.encoders["audio"]
    assert encoder.told == (20, (1, 20, 51), 5, 7)


def test_a_balancer_of_ones_own_is_handed_the_optimizer_of_the_run(guests):
    parts = parts_of(config(balance={"name": "step"}), 3, SPEC)
    assert {"optimizer", "validation"} == AFTERWARDS and parts.balancer.seed == 5 and parts.balancer.optimizer is None
    module = CounterpointModule(parts.model, parts.transforms, balancer=parts.balancer)
    assert parts.balancer.optimizer is module.optimizer
    trained = {id(p) for group in parts.balancer.optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in module.model.parameters()}


def test_a_balancer_that_does_not_want_it_is_handed_none():
    parts = parts_of(config(balance={"name": "gradient_blending"}), 3, SPEC)
    CounterpointModule(parts.model, parts.transforms, balancer=parts.balancer)
    assert "optimizer" not in wants(parts.balancer) and parts.balancer.optimizer is None


def test_nothing_is_guessed_from_the_names_of_parameters():
    source = Path(counterpoint.__file__).parent
    looking = {str(p.relative_to(source)) for p in source.rglob("*.py") if "inspect.signature" in p.read_text()}
    assert looking <= {"registry.py"}, "it holds options against a signature; whoever else looks into one is wiring"


@pytest.mark.parametrize("frames", [None, 1, 8])
def test_whether_frames_are_spread_follows_from_the_clips(frames):
    told = with_wants("visual_cnn", {}, "visual", {"name": "frames"}, replace(SPEC, frames=frames), 1, 0)
    assert told["spread"] is (frames is not None)
    own = with_wants("visual_cnn", {"spread": False}, "visual", {"name": "frames"}, replace(SPEC, frames=8), 1, 0)
    assert own["spread"] is False


def test_the_shape_of_clips_is_found_without_drawing():
    torch.manual_seed(3)
    drawn = torch.get_rng_state()
    told = with_wants("mfcc_cnn", {}, "audio", {"name": "mfcc", "n_mfcc": 17}, SPEC, 1, 0)
    assert told == {"in_channels": 1, "n_mfcc": 17, "num_frames": 16} and torch.equal(torch.get_rng_state(), drawn)
