import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import superpose


@given(m=st.integers(2, 5), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_is_the_weighted_sum(m, seed):
    """Eq. (4) of SimAM², for M streams."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(m, 3, 4)), rng.dirichlet(np.ones(m), size=(3, 4)).transpose(2, 0, 1)
    ours = superpose(list(torch.from_numpy(x)), list(torch.from_numpy(w)))
    np.testing.assert_allclose(ours.numpy(), (x * w).sum(0))


def test_weights_may_be_numbers_or_broadcast():
    a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(superpose([a, b], [0.25, 0.75]), 0.25 * a + 0.75 * b)
    z = torch.rand(2, 3, 1, 1)
    torch.testing.assert_close(superpose([a, b], [z, 1 - z]), z * a + (1 - z) * b)


def test_errors():
    x = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="two streams"):
        superpose([x], [1.0])
    with pytest.raises(ConfigError, match="2 streams need as many weights, got 3"):
        superpose([x, x], [1.0, 0.0, 0.0])
    with pytest.raises(ShapeError, match=r"stream 1 has shape \(2, 4\), but stream 0 has \(2, 3\)"):
        superpose([x, torch.zeros(2, 4)], [0.5, 0.5])
    with pytest.raises(ShapeError, match=r"weight 1 has shape \(4, 2, 3\), which does not broadcast .* \(2, 3\)"):
        superpose([x, x], [torch.ones(2, 1), torch.ones(4, 2, 3)])
