"""Every registered localiser, in every supervision and form, goes through the same tester."""

import pytest
import torch

from invariants import (
    check_compiles,
    check_dtypes,
    check_exports,
    check_finite,
    check_gradients_reach,
    check_independent_of_batch,
    check_state_dict,
)
from localiser_cases import C, cases, features, make, target

CASES = [pytest.param(name, options, id="-".join([name, *map(str, options.values())])) for name, options in cases()]
every_case = pytest.mark.parametrize(("name", "options"), CASES)


def inputs(batch):
    return (features(batch),)


def numbers(out):
    return [out.event, out.event_class, out.segment_logits, out.video_logits]


@every_case
def test_a_sample_does_not_depend_on_its_batch(name, options):
    net = make(name, **options)
    net.train()
    net(features(8))  # moves running statistics off their initial values
    check_independent_of_batch(net, inputs)


@every_case
def test_finite(name, options):
    check_finite(make(name, **options), inputs)


@every_case
def test_gradients_reach_every_modality_and_parameter(name, options):
    net = make(name, **options)
    check_gradients_reach(net, inputs, lambda out: net.loss(out, target(8, net.supervision)))
    without = [n for n, p in net.named_parameters() if p.grad.abs().sum() == 0]
    # A bias that shifts all scores of a softmax alike, or all keys alike, has a gradient of zero.
    assert all(n.endswith((".bias", "score.bias")) for n in without), without


@every_case
def test_state_dict(name, options):
    check_state_dict(make(name, **options), lambda: make(name, **options), inputs)


@every_case
def test_dtypes(name, options):
    # A hard threshold falls on either side of a rounding error; half precision is held against the rest.
    check_dtypes(make(name, **options, **({"threshold": 0.0} if name == "psp" else {})), inputs, numbers)


def positions_of(options, *free):
    """Any shapes of maps; where sound is added over positions as released, as many positions as it has channels."""
    return ((options["inner"],),) * len(free) if "inner" in options else free


@every_case
def test_any_number_of_segments_and_positions(name, options):
    net = make(name, **options).eval()
    for segments, positions in zip((1, 3, 17), positions_of(options, (1,), (2, 2), (5,)), strict=True):
        out = net(features(2, segments, positions))
        assert out.event.shape == (2, segments) and out.segments().shape == (2, segments)
        assert out.segment_logits.shape == (2, segments, C + 1) and out.video_logits.shape == (2, C + 1)
        assert out.event_class.shape[-1] == C and out.background == C


@every_case
def test_maps_may_come_flat_or_not(name, options):
    net = make(name, **options).eval()
    ((positions),) = positions_of(options, (2, 3))
    whole = features(2, 4, positions if len(positions) == 2 else (1, *positions))
    flat = {**whole, "visual": whole["visual"].flatten(2, 3)}
    torch.testing.assert_close(net(whole).segment_logits, net(flat).segment_logits)


@every_case
def test_encoders_share_nothing_and_hold_parameters_of_the_network(name, options):
    net = make(name, **options)
    own = {id(p) for p in net.parameters()}
    sides = [{id(p) for p in encoder.parameters()} for encoder in net.encoders().values()]
    assert all(side and side <= own for side in sides)
    assert not set.intersection(*sides) if len(sides) > 1 else True


@pytest.mark.parametrize("name", ["avt", "bmfn", "cman", "cmran", "dam"])
def test_compiles(name):
    check_compiles(make(name), inputs)


@pytest.mark.parametrize("supervision", ["fully", "weakly"])
@pytest.mark.parametrize("name", ["avel", "bmfn", "cmran", "psp"])
def test_exports(name, supervision):
    options = {"attention": "simam2", "zeta": "learned"} if name in ("avel", "psp") else {}
    check_exports(make(name, supervision=supervision, **options), inputs)
