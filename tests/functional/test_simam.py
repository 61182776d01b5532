import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import simam, simam_energy


def energy(x: np.ndarray, lam: float, correction: int = 0) -> np.ndarray:
    """Eq. (3) of SimAM² along the last axis, from the text."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True, ddof=correction)
    return 4 * (variance + lam) / ((x - mean) ** 2 + 2 * variance + 2 * lam)


def eq1(w: float, b: float, t: float, others: np.ndarray, lam: float) -> float:
    """Eq. (1) of SimAM²: the target neuron is to become 1, the others -1."""
    return float(np.mean((-1 - (w * others + b)) ** 2) + (1 - (w * t + b)) ** 2 + lam * w**2)


@pytest.mark.parametrize("lam", [1e-4, 0.3])
def test_closed_form_is_the_minimum_of_eq_1_by_brute_force(lam):
    """Eq. (2) solves Eq. (1), and Eq. (3) is what remains, with statistics over the other neurons."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        t, others = rng.normal(), rng.normal(size=30)
        mean, variance = others.mean(), others.var()
        w = 2 * (t - mean) / ((t - mean) ** 2 + 2 * variance + 2 * lam)
        b = -0.5 * (t + mean) * w
        minimum = eq1(w, b, t, others, lam)
        assert minimum == pytest.approx(4 * (variance + lam) / ((t - mean) ** 2 + 2 * variance + 2 * lam))
        low, high = np.array([w - 2, b - 2]), np.array([w + 2, b + 2])
        for _ in range(12):  # a grid that closes in on its best point
            grid = [(eq1(p, q, t, others, lam), p, q) for p in np.linspace(low[0], high[0], 9)
                    for q in np.linspace(low[1], high[1], 9)]  # fmt: skip
            best = np.array(min(grid)[1:])
            half = (high - low) / 4
            low, high = best - half, best + half
        assert eq1(*best, t, others, lam) == pytest.approx(minimum, rel=1e-6)
        assert best == pytest.approx([w, b], abs=1e-2)


def test_statistics_over_all_neurons_come_close_to_those_over_the_others():
    rng = np.random.default_rng(1)
    x = rng.normal(size=2000)
    ours = simam_energy(torch.from_numpy(x), lam=1e-4).numpy()
    for k in range(0, 2000, 400):
        others = np.delete(x, k)
        d, v = x[k] - others.mean(), others.var() + 1e-4
        assert ours[k] == pytest.approx(4 * v / (d**2 + 2 * v), rel=0.02)


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("lam", [0.0, 1e-6, 0.1])
def test_agrees_with_eq_3(lam, correction):
    x = np.random.default_rng(2).normal(3, 2, size=(4, 5, 33))
    ours = simam_energy(torch.from_numpy(x), lam=lam, correction=correction).numpy()
    np.testing.assert_allclose(ours, energy(x, lam, correction), rtol=1e-12)


def test_a_population_may_span_several_axes():
    x = torch.randn(2, 3, 4, 5, dtype=torch.double)
    flat = simam_energy(x.flatten(2), lam=1e-6).view_as(x)
    torch.testing.assert_close(simam_energy(x, dim=(-2, -1), lam=1e-6), flat)
    torch.testing.assert_close(simam_energy(x, dim=(2, 3), lam=1e-6), flat)


def test_is_the_inverse_of_what_simam_multiplies_with():
    """SimAM: y = (x - mu)² / (4 (var + lam)) + 0.5, with n - 1."""
    x = torch.randn(2, 3, 7, 7, dtype=torch.double)
    d = (x - x.mean((2, 3), keepdim=True)).square()
    v = d.sum((2, 3), keepdim=True) / 48
    y = d / (4 * (v + 1e-4)) + 0.5
    torch.testing.assert_close(1 / simam_energy(x, dim=(2, 3), lam=1e-4, correction=1), y)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -1e4, 12345.678, 1e18, 1e35])
@pytest.mark.parametrize("lam", [0.0, 1e-6])
def test_a_constant_population_has_energy_two_and_a_finite_gradient(value, lam):
    x = torch.full((2, 513), value, requires_grad=True)
    e = simam_energy(x, lam=lam)
    torch.testing.assert_close(e, torch.full_like(e, 2), rtol=0.05, atol=0)
    (e * torch.randn_like(e)).sum().backward()
    assert torch.isfinite(x.grad).all()


@given(scale=st.sampled_from([1e-30, 1e-8, 1.0, 1e4, 1e18, 1e30]), shift=st.sampled_from([0.0, 1.0, 1e4, 1e18]))
@settings(max_examples=24, deadline=None)
def test_is_finite_and_bounded_everywhere(scale, shift):
    x = (torch.randn(3, 64) * scale + shift).requires_grad_()
    e = simam_energy(x, lam=0.0)
    e.sum().backward()
    assert ((e >= 0) & (e <= 2)).all()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 5e-2), (torch.float16, 2e-2)])
def test_lower_precisions_agree(dtype, tolerance):
    x = torch.randn(8, 256, dtype=torch.double)
    exact = simam_energy(x, lam=1e-6)
    ours = simam_energy(x.to(dtype), lam=1e-6)
    assert ours.dtype == dtype
    assert (ours.double() - exact).abs().max() < tolerance


def test_a_large_mean_does_not_cancel_in_float32():
    x = torch.randn(4, 512, dtype=torch.double).float().double() + 1000
    exact = simam_energy(x, lam=1e-6)
    assert (simam_energy(x.float(), lam=1e-6) - exact).abs().max() < 5e-3


def test_gradient():
    x = torch.randn(3, 6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: simam_energy(x, lam=0.1), x)


def test_compiles():
    x = torch.randn(3, 6)
    compiled = torch.compile(simam_energy, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, lam=1e-6), simam_energy(x, lam=1e-6))


def test_what_stands_out_has_low_energy():
    x = torch.zeros(100)
    x[3] = 1.0
    e = simam_energy(x, lam=1e-6)
    assert e.argmin() == 3
    assert math.isclose(float(e.max()), 2, abs_tol=0.05)


def test_errors():
    with pytest.raises(ConfigError, match="negative"):
        simam_energy(torch.zeros(3), lam=-1)
    with pytest.raises(ShapeError, match="only 1 axes"):
        simam_energy(torch.zeros(3), dim=(-2, -1), lam=0)


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize(("shape", "dim"), [((2, 3, 5, 4), (-2, -1)), ((2, 3, 4, 5, 4), (-3, -2, -1))])
def test_simam_weighs_by_the_inverse_energy(shape, dim, correction):
    x = np.random.default_rng(4).normal(1, 3, size=shape)
    flat = x.reshape(2, 3, -1)
    expected = flat / (1 + np.exp(-1 / energy(flat, 1e-4, correction)))
    ours = simam(torch.from_numpy(x), dim=dim, correction=correction)
    np.testing.assert_allclose(ours.numpy(), expected.reshape(shape), rtol=1e-10)


def test_simam_lets_the_outstanding_neuron_pass_and_never_damps_below_its_floor():
    x = torch.zeros(1, 1, 6, 6, dtype=torch.float64) + 1
    x[0, 0, 2, 3] = 9.0
    weights = simam(x) / x
    assert weights[0, 0, 2, 3] == weights.max() > 0.99
    assert weights.min().item() >= 1 / (1 + math.exp(-0.5))


def test_simam_is_differentiable_and_finite():
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(simam, (x,))
    for values in (torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 1, 1), torch.randn(1, 1, 4, 4) * 1e30):
        x = values.requires_grad_()
        out = simam(x)
        out.sum().backward()
        assert out.isfinite().all() and x.grad.isfinite().all()
    with pytest.raises(ConfigError, match="lam"):
        simam(torch.zeros(1, 1, 2, 2), lam=-1.0)
