"""Soft-HGR from its definition: means of products and a trace, in float64 and NumPy."""

from itertools import combinations

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import soft_hgr


def by_hand(features):
    """sum over pairs of E[f^T g] - 1/2 tr(cov(f) cov(g)), sample by sample."""
    total = 0.0
    for f, g in combinations(features, 2):
        f, g, n = f - f.mean(0), g - g.mean(0), len(f)
        mean = sum(f[i] @ g[i] for i in range(n)) / (n - 1)
        total += mean - 0.5 * np.trace(
            np.cov(f.T, ddof=1).reshape(f.shape[1], -1) @ np.cov(g.T, ddof=1).reshape(g.shape[1], -1)
        )
    return total


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize(("samples", "width"), [(2, 3), (50, 4), (9, 1)])
def test_agrees_with_the_definition(modalities, samples, width):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(samples, width))
    features = [2.0 + shared + rng.normal(size=(samples, width)) for _ in range(modalities)]
    ours = soft_hgr([torch.from_numpy(f) for f in features])
    np.testing.assert_allclose(ours.item(), by_hand(features), rtol=1e-10)


def test_the_most_that_linear_maps_reach_is_half_the_sum_of_squared_canonical_correlations():
    """Wang et al.: the best maps follow the leading singular vectors of the whitened cross-covariance."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 3))
    y = x @ rng.normal(size=(3, 3)) + rng.normal(size=(400, 3))
    x, y = x - x.mean(0), y - y.mean(0)
    qx, qy = np.linalg.qr(x)[0], np.linalg.qr(y)[0]
    canonical = np.linalg.svd(qx.T @ qy, compute_uv=False)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    maps = [torch.eye(3, dtype=torch.float64).requires_grad_() for _ in range(2)]
    optimizer = torch.optim.LBFGS(maps, max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = -soft_hgr([x @ maps[0], y @ maps[1]])
        loss.backward()
        return loss

    optimizer.step(closure)
    assert -closure().item() == pytest.approx((canonical**2).sum() / 2, rel=1e-6)


def test_equal_white_features_depend_most_and_independent_ones_not():
    rng = np.random.default_rng(2)
    white = np.linalg.qr(rng.normal(size=(4000, 4)) - 0)[0]
    white = torch.from_numpy((white - white.mean(0)) * np.sqrt(3999))
    other = torch.from_numpy(rng.normal(size=(4000, 4)))
    assert soft_hgr([white, white]).item() == pytest.approx(2, rel=1e-2)
    zero = torch.zeros_like(other)
    assert soft_hgr([white, zero]).item() == 0
    assert soft_hgr([white, other]).item() == pytest.approx(-2, rel=0.1)  # white both, and nothing in common


def test_gradient_precisions_and_compile():
    features = [torch.randn(6, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(lambda *f: soft_hgr(f), features)
    exact = soft_hgr(features).detach()
    torch.testing.assert_close(soft_hgr([f.float() for f in features]).double(), exact, rtol=1e-5, atol=1e-5)
    half = soft_hgr([f.bfloat16() for f in features])
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.double(), exact, rtol=5e-2, atol=5e-2)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(soft_hgr([f.float() for f in features]).double(), exact, rtol=1e-5, atol=1e-5)
    torch._dynamo.reset()
    compiled = torch.compile(soft_hgr, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(features).detach(), exact)


def test_what_cannot_be_compared():
    with pytest.raises(ConfigError, match="two modalities"):
        soft_hgr([torch.zeros(3, 2)])
    for shapes in (((3, 2), (3, 4)), ((3, 2), (4, 2)), ((1, 2), (1, 2)), ((3,), (3,))):
        with pytest.raises(ShapeError, match="needs \\(N, K\\)"):
            soft_hgr([torch.zeros(s) for s in shapes])
