import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import simam2, simam2_energy, simam2_with_energy, superpose


def energy(x: np.ndarray, lam: float, axis: tuple[int, ...]) -> np.ndarray:
    mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    return 4 * (variance + lam) / ((x - mean) ** 2 + 2 * variance + 2 * lam)


def reference(x1, x2, zeta, r, lam=1e-6, axis=(-1,), sign=1):
    """Eqs. (4), (5), (7) and (8) of SimAM², term by term as printed."""
    u = zeta * x1 + (1 - zeta) * x2
    e_u, e_1, e_2 = energy(u, lam, axis), energy(x1, 0, axis), energy(x2, 0, axis)
    mutual = (e_u - zeta**2 * e_1 - (1 - zeta) ** 2 * e_2) / (2 * zeta * (1 - zeta))  # Eq. (5) defines it
    e = 2 * zeta * (1 - zeta) * mutual + (1 - r) * e_u  # Eq. (7): Eq. (5)'s numerator plus the degradation term
    return e, u / (1 + np.exp(-sign * e))


SHAPES = [((5, 64), (-1,), (5, 64)), ((3, 4, 6, 7), (-2, -1), (3, 4, 1, 1)), ((2, 10, 16), (-1,), (2, 10, 16))]


@pytest.mark.parametrize(("shape", "axis", "gate"), SHAPES, ids=["vectors", "maps", "sequences"])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(("sign", "factor"), [("paper", 1), ("opposite", -1)])
def test_agrees_with_the_equations(shape, axis, gate, constant, sign, factor):
    rng = np.random.default_rng(0)
    x1, x2 = rng.normal(1, 2, size=shape), rng.normal(-1, 1, size=shape)
    zeta = 0.3 if constant else rng.uniform(0.1, 0.9, size=gate)
    e, updated = reference(x1, x2, zeta, 0.7, axis=axis, sign=factor)
    streams = [torch.from_numpy(x1), torch.from_numpy(x2)]
    z = zeta if constant else torch.from_numpy(zeta)
    fused = superpose(streams, [z, 1 - z])
    np.testing.assert_allclose(simam2_energy(streams, fused, [z, 1 - z], 0.7, dim=axis).numpy(), e, rtol=1e-9)
    ours, recorded = simam2_with_energy(streams, [z, 1 - z], 0.7, dim=axis, sign=sign)
    np.testing.assert_allclose(ours.numpy(), updated, rtol=1e-9)
    np.testing.assert_allclose(recorded.numpy(), e, rtol=1e-9)


def test_three_streams():
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(3, 4, 20)), rng.dirichlet(np.ones(3))
    u = np.einsum("m,mbc->bc", w, x)
    e = (2 - 0.6) * energy(u, 1e-6, (-1,)) - sum(w[m] ** 2 * energy(x[m], 0, (-1,)) for m in range(3))
    ours = simam2(list(torch.from_numpy(x)), list(w), 0.6)
    np.testing.assert_allclose(ours.numpy(), u / (1 + np.exp(-e)), rtol=1e-9)


def chain(streams, weights, r, **options):
    """The same by autograd: what the hand-derived gradient must equal."""
    fused = superpose(streams, weights)
    return torch.sigmoid(simam2_energy(streams, fused, weights, r, **options)) * fused


@given(m=st.integers(2, 4), seed=st.integers(0, 99), correction=st.sampled_from([0, 1]), constant=st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_gradient_derived_by_hand_is_that_of_the_chain(m, seed, correction, constant):
    torch.manual_seed(seed)
    x = [torch.randn(3, 4, 5, dtype=torch.double).requires_grad_() for _ in range(m)]
    w = list(torch.rand(m, 3, 4, 1, dtype=torch.double).softmax(0).unbind())
    w = [1 / m] * m if constant else [one.clone().requires_grad_() for one in w]
    r = torch.tensor(0.7, dtype=torch.double, requires_grad=True)
    inputs = [*x, r, *([] if constant else w)]
    toward = torch.randn(3, 4, 5, dtype=torch.double)
    options = {"dim": (-2, -1) if seed % 2 else -1, "correction": correction}
    expected = torch.autograd.grad((chain(x, w, r, **options) * toward).sum(), inputs)
    ours = torch.autograd.grad((simam2(x, w, r, **options) * toward).sum(), inputs)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("learned", [True, False])
def test_what_is_read_is_what_runs_with_gradient_and_without(learned):
    a, b, z = (torch.rand(4, 16) for _ in range(3))
    w = [z, 1 - z] if learned else [0.3, 0.7]
    without = simam2([a, b], w, 0.7)
    assert torch.equal(without, chain([a, b], w, 0.7))
    assert torch.equal(simam2([a.requires_grad_(), b], w, 0.7).detach(), without)


def test_the_gradient_keeps_the_streams_alone():
    kept = set()
    a, b = (torch.rand(64, 32, requires_grad=True) for _ in range(2))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.add(t.data_ptr()) or t, lambda t: t):
        simam2([a, b], [0.3, 0.7], 0.7)
    assert kept == {a.data_ptr(), b.data_ptr()}


def test_gradients_and_their_gradients():
    x = [torch.randn(2, 5, dtype=torch.double, requires_grad=True) for _ in range(2)]
    z = torch.rand(2, 5, dtype=torch.double, requires_grad=True)

    def function(a, b, z):
        return simam2([a, b], [z, 1 - z], 0.7, lam=0.01)

    assert torch.autograd.gradcheck(function, (*x, z))
    assert torch.autograd.gradgradcheck(function, (*x, z))


def test_constant_half_weights_give_the_energy_of_the_facts():
    """zeta = 0.5 and r = tanh(1): E* = 1.2384 e_U - 0.25 (e_1 + e_2)."""
    a, b = torch.randn(2, 64, dtype=torch.double), torch.randn(2, 64, dtype=torch.double)
    u = (a + b) / 2
    e = [torch.from_numpy(energy(t.numpy(), lam, (-1,))) for t, lam in ((u, 1e-6), (a, 0), (b, 0))]
    ours = simam2_energy([a, b], u, [0.5, 0.5], math.tanh(1))
    torch.testing.assert_close(ours, 1.2384 * e[0] - 0.25 * (e[1] + e[2]), atol=1e-3, rtol=1e-3)


def test_the_printed_sign_damps_what_stands_out_and_the_opposite_raises_it():
    a, b = torch.randn(64, 512), torch.randn(64, 512)
    u = (a + b) / 2
    outstanding = (u - u.mean(-1, keepdim=True)).abs().flatten()
    for sign, expected in (("paper", -1), ("opposite", 1)):
        gate = (simam2([a, b], [0.5, 0.5], math.tanh(1), sign=sign) / u).flatten()
        correlation = torch.corrcoef(torch.stack([gate, outstanding]))[0, 1]
        assert expected * correlation > 0.9


VALUES = [0.0, 1.0, 1e4, -1e4, 1e18, 1e35, 1e-20]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("function", [simam2, chain])
def test_nothing_but_finite_numbers(value, constant, function):
    for noise in (0.0, 1.0):
        a, b = ((value * (1 + noise * torch.randn(4, 512))).requires_grad_() for _ in range(2))
        z = torch.rand(4, 512, requires_grad=True)
        out = function([a, b], [0.5, 0.5] if constant else [z, 1 - z], 0.76)
        out.sum().backward()
        for t in (out, a.grad, b.grad) if constant else (out, a.grad, b.grad, z.grad):
            assert torch.isfinite(t).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 5e-2), (torch.float16, 1e-2)])
def test_lower_precisions_agree(dtype, tolerance):
    a, b = torch.randn(8, 128, dtype=torch.double), torch.randn(8, 128, dtype=torch.double)
    exact = simam2([a, b], [0.4, 0.6], 0.7)
    ours = simam2([a.to(dtype), b.to(dtype)], [0.4, 0.6], 0.7)
    assert ours.dtype == dtype
    assert (ours.double() - exact).abs().max() < tolerance * exact.abs().max()


@pytest.mark.parametrize("learned", [True, False])
def test_compiles_with_its_gradient(learned):
    torch._dynamo.reset()
    a, b, z = (torch.rand(4, 6, 3, 3).requires_grad_() for _ in range(3))
    r = torch.tensor(0.7)

    def function(a, b, z):
        w = z.mean((2, 3), keepdim=True) if learned else 0.3
        return simam2([a, b], [w, 1 - w], r if learned else 0.7, dim=(2, 3))

    def gradients(f):
        return torch.autograd.grad(f(a, b, z).square().sum(), [a, b, z] if learned else [a, b])

    compiled = gradients(torch.compile(function, backend="aot_eager", fullgraph=True))
    for x, y in zip(compiled, gradients(function), strict=True):
        torch.testing.assert_close(x, y)


def test_the_recorded_energy_carries_no_gradient():
    a = torch.randn(2, 5, requires_grad=True)
    assert not simam2_with_energy([a, a], [0.5, 0.5], 0.7)[1].requires_grad


def test_errors():
    x = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="sign is 'minus'; it must be one of 'paper'"):
        simam2([x, x], [0.5, 0.5], 0.7, sign="minus")
    with pytest.raises(ConfigError, match="negative"):
        simam2([x, x], [0.5, 0.5], 0.7, lam=-1)
    with pytest.raises(ConfigError, match="two streams"):
        simam2([x], [1.0], 0.7)
    with pytest.raises(ShapeError, match="stream 1"):
        simam2_energy([x, x[:, :2]], x, [0.5, 0.5], 0.7)
    with pytest.raises(ShapeError, match="only 2 axes"):
        simam2([x, x], [0.5, 0.5], 0.7, dim=(2, 3))
