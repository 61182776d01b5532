"""Every registered fusion, with every attention, zeta and head, and in every form, goes through the same tester."""

import inspect
import itertools

import pytest
import torch
from torch import nn

from counterpoint.fusion import FUSIONS, Late, create_fusion
from counterpoint.heads import HEADS
from invariants import (
    check_compiles,
    check_dtypes,
    check_exports,
    check_finite,
    check_gradients_reach,
    check_independent_of_batch,
    check_small_batches,
    check_state_dict,
)

TWO = {"audio": 16, "visual": 16}
THREE = {"audio": 16, "visual": 16, "text": 16}
CLASSES = 5
# Forms beside a fusion's default one.
FORMS = {
    "average": [{}, {"of": "logits"}],
    "concat": [{}, {"hidden": [8, 6], "dropout": 0.2}],
    "film": [{}, {"two_stream": True}],
    "fop": [{}, {"fusion": "linear"}],
    "gated": [{}, {"two_stream": True}, {"form": "gmu"}],
    "mcb": [{"size": 37}, {"size": 64}],
    "sum": [{}, {"sum_at": "features"}],
}


def forms(name):
    """A newly registered fusion is tested in its default form."""
    return FORMS.get(name, [{}])


OPTIONS = [
    {"attention": attention, "zeta": zeta, "head": head}
    for attention, zeta, head in itertools.product((None, "simam2"), (None, 0.3, "learned"), HEADS.names())
]


def taken(name, options):
    """Those of the options that the fusion knows: not every fusion weighs streams."""
    known = inspect.signature(FUSIONS.get(name)).parameters
    return {option: value for option, value in options.items() if option in known}


def options_of(name):
    """Every combination that makes a difference to the fusion."""
    return [options for options in OPTIONS if all(o in taken(name, options) or options[o] is None for o in options)]


CASES = [
    pytest.param(
        name,
        dims,
        {**form, **taken(name, options)},
        id="-".join([name, str(len(dims)), *map(str, (form | options).values())]),
    )
    for name in FUSIONS
    for dims in (TWO, THREE)
    for form in forms(name)
    for options in options_of(name)
    # The head never sees M, and the weights of three differ from those of two only where they are.
    if dims is TWO or (options["head"] == "linear" and (options["attention"] or not options["zeta"]))
]
every_case = pytest.mark.parametrize(("name", "dims", "options"), CASES)


def maker(dims):
    def make(batch, dtype=torch.float32):
        return ({m: torch.randn(batch, d, dtype=dtype) for m, d in dims.items()},)

    return make


def logits(out):
    return out.logits


@every_case
def test_a_sample_does_not_depend_on_its_batch(name, dims, options):
    check_independent_of_batch(create_fusion(name, dims, CLASSES, **options), maker(dims))


@every_case
def test_finite(name, dims, options):
    check_finite(create_fusion(name, dims, CLASSES, **options), maker(dims))


@every_case
def test_small_batches(name, dims, options):
    check_small_batches(create_fusion(name, dims, CLASSES, **options), maker(dims), lambda out: out.unimodal_logits)
    check_small_batches(create_fusion(name, dims, CLASSES, **options), maker(dims), logits)


@every_case
def test_gradients_reach_every_modality_and_parameter(name, dims, options):
    fusion = create_fusion(name, dims, CLASSES, **options)
    check_gradients_reach(fusion, maker(dims), lambda out: out.logits.square().sum())


@every_case
def test_state_comes_back(name, dims, options):
    def build():
        return create_fusion(name, dims, CLASSES, **options)

    check_state_dict(build(), build, maker(dims))


@every_case
def test_precisions_agree(name, dims, options):
    check_dtypes(create_fusion(name, dims, CLASSES, **options), maker(dims), logits)


@every_case
def test_one_output(name, dims, options):
    """What a FusionOutput promises, for every fusion alike."""
    fusion = create_fusion(name, dims, CLASSES, **options)
    (x,) = maker(dims)(4)
    before = {key: value.clone() for key, value in fusion.eval().state_dict().items()}
    out = fusion(x)
    assert out.logits.shape == (4, CLASSES)
    assert list(out.unimodal_logits) == list(dims)
    assert all(u.shape == (4, CLASSES) for u in out.unimodal_logits.values())
    if isinstance(fusion, Late):
        assert all(u.requires_grad for u in out.unimodal_logits.values())
    elif out.unimodal_logits["audio"].requires_grad:
        torch.testing.assert_close(sum(out.unimodal_logits.values()), out.logits)
    else:
        for m, u in out.unimodal_logits.items():
            torch.testing.assert_close(u, fusion.ablated(x, m), rtol=1e-4, atol=1e-5)
    if out.weights is not None:
        assert list(out.weights) == list(dims)
        total = sum(w.expand_as(out.fused) for w in out.weights.values())
        torch.testing.assert_close(total, torch.ones_like(total))
    attention, zeta = options.get("attention"), options.get("zeta")
    gated = options.get("form") == "gmu" or (
        name == "fop" and "fusion" not in options
    )  # they learn a zeta of their own
    assert (out.weights is None) == (name == "concat" or (zeta is attention is None and not gated))
    assert set(out.extras) == ({"r", "energy"} if attention else set())
    torch.testing.assert_close(fusion.ablated(x, list(dims)), out.logits)
    torch.testing.assert_close(fusion(*x.values()).logits, out.logits)
    for key, value in fusion.state_dict().items():
        assert torch.equal(value, before[key]), key


class Several(nn.Module):
    """Many options of one form at once: tracing costs by the call, not by the size."""

    def __init__(self, name, dims, form):
        super().__init__()
        # The heads are traced in their own tests; here the one with a gradient of its own meets the rest once.
        wanted = [(None, None, "linear"), (None, "learned", "linear"), ("simam2", 0.3, "linear")]
        wanted.append(("simam2", "learned", "cosine"))
        traced = [taken(name, o) for o in options_of(name) if tuple(o.values()) in wanted]
        self.parts = nn.ModuleList(create_fusion(name, dims, CLASSES, **form, **options) for options in traced)

    def forward(self, features):
        return [part(features) for part in self.parts]


@pytest.mark.parametrize(
    ("name", "form", "dims"), [(name, form, THREE if form else TWO) for name in FUSIONS for form in forms(name)]
)
class TestTraced:
    def test_compiles(self, name, form, dims):
        check_compiles(Several(name, dims, form), maker(dims))

    def test_exports(self, name, form, dims):
        check_exports(Several(name, dims, form), maker(dims))


@pytest.mark.parametrize("name", [name for name in FUSIONS if "attention" in taken(name, OPTIONS[0])])
def test_compiles_while_training(name):
    """The record of Eq. (6) is a side effect that a compiled graph must keep."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    fusion = create_fusion(name, TWO, CLASSES, **taken(name, {"attention": "simam2", "zeta": "learned"})).train()
    (x,) = maker(TWO)(8)
    compiled = torch.compile(fusion, backend="aot_eager", fullgraph=True)
    compiled(x).logits.sum().backward()
    records = {key: value for key, value in fusion.named_buffers() if key.endswith("var_max")}
    assert records
    assert all((value > 0).any() for value in records.values())


@pytest.mark.parametrize("name", FUSIONS.names())
def test_sequences_are_fused_segment_by_segment(name):
    options = taken(name, {"attention": "simam2", "zeta": "learned"})
    fusion = create_fusion(name, TWO, CLASSES, **options).eval()
    x = {m: torch.randn(3, 10, d) for m, d in TWO.items()}
    flat = fusion({m: t.flatten(0, 1) for m, t in x.items()})
    torch.testing.assert_close(fusion(x).logits.flatten(0, 1), flat.logits)
