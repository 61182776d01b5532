import math

import pytest
import torch

from counterpoint.errors import ConfigError
from counterpoint.functional import ogm_coefficients


@pytest.mark.parametrize(("ratio", "k"), [(2.0, 0.078), (3.0, 0.016)])
def test_the_leading_modality_is_slowed(ratio, k):
    ours = ogm_coefficients(torch.tensor([ratio, 1 / ratio]), 0.8)
    assert float(ours[0]) == pytest.approx(1 - math.tanh(0.8 * ratio), rel=1e-5)
    assert float(ours[0]) == pytest.approx(k, abs=1e-3)
    assert float(ours[1]) == 1


def test_the_coefficient_jumps_at_one():
    ours = ogm_coefficients(torch.tensor([1.0, 1.0001], dtype=torch.double), 0.8)
    assert float(ours[0]) == 1
    assert float(ours[1]) == pytest.approx(0.336, abs=1e-3)


def test_three_modalities():
    ours = ogm_coefficients(torch.tensor([1.5, 1.2, 0.4]), 0.1)
    torch.testing.assert_close(ours, torch.tensor([1 - math.tanh(0.15), 1 - math.tanh(0.12), 1.0]))


def test_errors():
    with pytest.raises(ConfigError, match="negative"):
        ogm_coefficients(torch.ones(2), -0.1)
