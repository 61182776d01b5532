import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import cosine_logits, mmcosine, mmcosine_logits, mmcosine_scale_bound, unit_rows


def angles(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.arccos([[wj @ xi / np.linalg.norm(wj) / np.linalg.norm(xi) for wj in w] for xi in x])


@given(m=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_agrees_with_eq_3(m, seed):
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(5, 3 + k)) for k in range(m)]
    w = [rng.normal(size=(4, 3 + k)) for k in range(m)]
    expected = 7.0 * sum(np.cos(angles(a, b)) for a, b in zip(x, w, strict=True))
    ours = mmcosine_logits([torch.from_numpy(a) for a in x], [torch.from_numpy(b) for b in w], 7.0)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12)


def test_agrees_with_eq_6():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 5, 8)), rng.normal(size=(2, 4, 8))
    a, v = angles(x[0], w[0]), angles(x[1], w[1])
    ours = mmcosine_logits(list(torch.from_numpy(x)), list(torch.from_numpy(w)), 1.0)
    np.testing.assert_allclose(ours.numpy(), 2 * np.cos((a + v) / 2) * np.cos((a - v) / 2), atol=1e-12)


def test_lengths_do_not_matter():
    x, w = torch.randn(4, 6), torch.randn(3, 6)
    torch.testing.assert_close(cosine_logits(x * 1e3, w * 1e-3, 5.0), cosine_logits(x, w, 5.0))


@pytest.mark.parametrize("value", [0.0, 1e-40, 1e-18, 1.0, 1e4, 1e18, 1e38])
def test_finite_with_finite_gradients(value):
    x = torch.full((2, 8), value, requires_grad=True)
    w = torch.full((3, 8), value, requires_grad=True)
    out = cosine_logits(x, w, 10.0)
    (out * torch.randn_like(out)).sum().backward()
    for t in (out, x.grad, w.grad):
        assert torch.isfinite(t).all()
    assert (out.abs() <= 10.001).all()


def test_a_zero_vector_has_no_direction():
    x = torch.zeros(1, 4, requires_grad=True)
    out = cosine_logits(x, torch.randn(3, 4), 10.0)
    out.sum().backward()
    assert not out.any()
    assert not x.grad.any()


def test_gradients_and_their_gradients():
    x = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    w = torch.randn(5, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(unit_rows, x)
    assert torch.autograd.gradgradcheck(unit_rows, x)
    for arguments in ((x, w), (x.detach(), w), (x, w.detach())):
        assert torch.autograd.gradcheck(lambda a, b: cosine_logits(a, b, 3.0), arguments)
        assert torch.autograd.gradgradcheck(lambda a, b: cosine_logits(a, b, 3.0), arguments)


def gradients_of(function, x, w):
    inputs = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    out = function(*inputs, 3.0)
    return [out, *torch.autograd.grad((out * torch.linspace(-1, 2, out.numel()).view_as(out)).sum(), inputs)]


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 6)])
def test_the_closed_form_equals_the_chain(shape, monkeypatch):
    x, w = torch.randn(shape), torch.randn(5, 6)
    closed = gradients_of(cosine_logits, x, w)
    monkeypatch.setattr(mmcosine._CosineLogits, "apply", None)
    for a, b in zip(closed, gradients_of(mmcosine._chain, x, w), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("length", [1e-14, 1e-16, 1e17, 1e19, 1e37])
def test_lengths_at_the_ends_of_the_closed_form(length):
    x, w = torch.randn(4, 6), torch.randn(5, 6)
    expected = gradients_of(cosine_logits, x.double(), w.double())
    ours = gradients_of(cosine_logits, x * length, w)
    for a, b, times in zip(ours, expected, (1, length, 1), strict=True):
        torch.testing.assert_close(a.double() * times, b, rtol=1e-4, atol=1e-5)


def test_gradients_under_autocast():
    x, w = torch.randn(8, 64), torch.randn(5, 64)
    exact = gradients_of(cosine_logits, x, w)

    def mixed(x, w, scale):
        with torch.autocast("cpu", torch.bfloat16):
            return cosine_logits(x, w, scale)

    for a, b in zip(gradients_of(mixed, x, w), exact, strict=True):
        assert (a.float() - b).norm() < 0.02 * b.norm()


def test_compiles_with_its_gradient():
    torch._dynamo.reset()
    x, w = torch.randn(4, 6, requires_grad=True), torch.randn(3, 6, requires_grad=True)

    def gradients(f):
        return torch.autograd.grad(f(x, w, 3.0).square().sum(), [x, w])

    for a, b in zip(
        gradients(torch.compile(cosine_logits, backend="aot_eager", fullgraph=True)),
        gradients(cosine_logits),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("classes", "p", "bound"),
    [(6, 0.9, 1.36), (6, 0.99, 2.22), (6, 0.999, 3.04), (60, 0.9, 3.03), (60, 0.99, 4.19), (60, 0.999, 5.31)],
)
def test_eq_4_gives_the_values_known_for_crema_d_and_ssw60(classes, p, bound):
    assert mmcosine_scale_bound(classes, p) == pytest.approx(bound, abs=0.01)


def test_eq_4_as_printed_and_for_more_modalities():
    c, p = 10, 0.95
    printed = (c - 1) / (2 * (c + 1)) * math.log((c - 1) * p / (1 - p))
    assert mmcosine_scale_bound(c, p) == pytest.approx(printed)
    assert mmcosine_scale_bound(c, p, num_modalities=3) == pytest.approx(printed * 2 / 3)


def test_at_the_bound_the_true_class_may_reach_about_p():
    """The derivation behind Eq. (4): class centres as far apart as can be, features on their centres."""
    c, p = 6, 0.99
    s = mmcosine_scale_bound(c, p) * (c + 1) / c  # without the printed slip of C + 1 for C
    logits = torch.full((c,), 2 * s * -1 / (c - 1))
    logits[0] = 2 * s
    assert float(logits.softmax(0)[0]) == pytest.approx(p, abs=1e-5)


def test_errors():
    x = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="two classes"):
        mmcosine_scale_bound(1, 0.9)
    with pytest.raises(ConfigError, match="above chance"):
        mmcosine_scale_bound(6, 0.1)
    with pytest.raises(ConfigError, match="one weight per modality"):
        mmcosine_logits([x], [], 1.0)
    with pytest.raises(ShapeError, match=r"needs \(..., 4\)"):
        mmcosine_logits([x], [torch.zeros(5, 4)], 1.0)
