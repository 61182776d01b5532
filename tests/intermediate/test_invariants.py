"""Every registered intermediate fusion goes through the shared tester."""

import pytest
import torch

from counterpoint.errors import ShapeError
from counterpoint.intermediate import INTERMEDIATES, create_intermediate
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

# Sounds with time, clips with time and two axes more, and a vector that has no position at all.
TWO = {"audio": (8, 6), "visual": (12, 2, 3, 3)}
THREE = {**TWO, "text": (5,)}
FORMS = {
    "cross_modal": [
        {},
        {"variant": "released"},
        {"self_attention": False},
        {"residual": False},
        {"source": "visual", "target": "audio"},
    ],
    "mmtm": [{}, {"variant": "released"}],
    "msaf": [{}, {"lowest": 0.5}],
}
CASES = [
    pytest.param(name, shapes, form, id="-".join([name, str(len(shapes)), *map(str, form.values())]))
    for name in INTERMEDIATES
    for shapes in (TWO, THREE)
    for form in FORMS.get(name, [{}])
]
every_case = pytest.mark.parametrize(("name", "shapes", "form"), CASES)


def build(name, shapes, form):
    torch.manual_seed(0)
    return create_intermediate(name, {m: shape[0] for m, shape in shapes.items()}, **form)


def maker(shapes):
    def make(batch):
        generator = torch.Generator().manual_seed(batch)
        return ({m: torch.randn(batch, *shape, generator=generator) for m, shape in shapes.items()},)

    return make


@every_case
def test_a_sample_does_not_depend_on_its_batch(name, shapes, form):
    part = build(name, shapes, form)
    part(*maker(shapes)(8))
    check_independent_of_batch(part, maker(shapes))


@every_case
def test_finite(name, shapes, form):
    check_finite(build(name, shapes, form), maker(shapes))


@every_case
def test_small_batches(name, shapes, form):
    check_small_batches(build(name, shapes, form), maker(shapes))


@every_case
def test_gradients_reach_every_modality_and_parameter(name, shapes, form):
    check_gradients_reach(
        build(name, shapes, form), maker(shapes), lambda out: sum(x.square().sum() for x in out.values())
    )


@every_case
def test_every_modality_is_told_of_another(name, shapes, form):
    """Each part acts between modalities: some output depends on another modality's input."""
    part = build(name, shapes, form).eval()
    (x,) = maker(shapes)(4)
    heard = set()
    for m in shapes:
        out = part({**x, m: x[m] + 1})
        heard |= {(m, other) for other in shapes if other != m and not torch.allclose(out[other], part(x)[other])}
    pairs = {(m, other) for m in shapes for other in shapes if m != other}
    assert heard == ({(part.source, part.target)} if name == "cross_modal" else pairs)


@every_case
def test_state_comes_back(name, shapes, form):
    check_state_dict(build(name, shapes, form), lambda: build(name, shapes, form), maker(shapes))


@every_case
def test_precisions_agree(name, shapes, form):
    check_dtypes(build(name, shapes, form), maker(shapes))


@every_case
def test_shapes_and_kinds_of_number_stay(name, shapes, form):
    part = build(name, shapes, form)
    (x,) = maker(shapes)(3)
    with torch.autocast("cpu", torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            given = {m: t.to(dtype) for m, t in x.items()}
            out = part(given)
            assert list(out) == list(shapes)
            assert all(y.shape == given[m].shape and y.dtype == dtype for m, y in out.items())
    assert part(dict(reversed(x.items()))).keys() == x.keys()


@every_case
def test_compiles(name, shapes, form):
    check_compiles(build(name, shapes, form), maker(shapes))


@every_case
def test_exports(name, shapes, form):
    check_exports(build(name, shapes, form), maker(shapes))


@pytest.mark.parametrize("name", INTERMEDIATES.names())
def test_one_export_serves_batches_of_any_size(name):
    part = build(name, TWO, {}).eval()
    axes = ({m: {0: torch.export.Dim("batch")} for m in TWO},)
    exported = torch.export.export(part, maker(TWO)(4), dynamic_shapes=axes).module()
    torch.testing.assert_close(exported(*maker(TWO)(7)), part(*maker(TWO)(7)))


@every_case
def test_what_is_no_map_is_told(name, shapes, form):
    part = build(name, shapes, form)
    (x,) = maker(shapes)(2)
    for bad, told in (
        (x["audio"].tolist(), "list, but"),
        (x["audio"].long(), "torch.int64, but"),
        (x["audio"][:1], "same B"),
        (x["audio"][..., :0], "no other axis empty"),
        (x["audio"][:, 1:], r"needs \(B, "),
    ):
        with pytest.raises(ShapeError, match=f"the .* maps are of .*{told}"):
            part({**x, "audio": bad})
