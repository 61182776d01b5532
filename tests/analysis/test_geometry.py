import numpy as np
import pytest
import torch

from counterpoint.analysis.geometry import angles, weight_norms
from counterpoint.errors import ShapeError


def test_norms_against_numpy():
    weights = torch.randn(7, 5)
    np.testing.assert_allclose(weight_norms(weights), np.sqrt((weights.numpy().astype(float) ** 2).sum(1)))


def test_angles_against_numpy():
    rng = np.random.default_rng(0)
    x, w, y = rng.normal(size=(20, 6)), rng.normal(size=(4, 6)), rng.integers(0, 4, 20)
    expected = [
        np.degrees(np.arccos(x[i] @ w[c] / np.linalg.norm(x[i]) / np.linalg.norm(w[c]))) for i, c in enumerate(y)
    ]
    found = angles(torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(y))
    np.testing.assert_allclose(found, expected)


def test_known_angles_whatever_the_length():
    w = torch.tensor([[1.0, 0.0]])
    x = torch.tensor([[3.0, 0.0], [0.0, 0.1], [-2.0, 0.0], [1e-3, 1e-3]])
    found = angles(x, w, torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(found, torch.tensor([0.0, 90.0, 180.0, 45.0], dtype=torch.float64), atol=1e-5, rtol=0)


def test_no_direction_no_angle():
    assert angles(torch.zeros(1, 3), torch.ones(2, 3), torch.tensor([1])).isnan().all()


def test_other_widths_are_refused_with_both_shapes():
    with pytest.raises(ShapeError, match=r"\(4, 3\).*\(2, 5\)"):
        angles(torch.ones(4, 3), torch.ones(2, 5), torch.zeros(4, dtype=torch.long))
