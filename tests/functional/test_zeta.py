import math

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import zeta_spread


def test_agrees_with_eq_6():
    rng = np.random.default_rng(0)
    zeta, record = rng.uniform(size=(16, 7)), rng.uniform(0, 0.1, size=7)
    variance = ((zeta - zeta.mean(0)) ** 2).mean(0)
    highest = np.maximum(variance, record)
    expected = math.tanh((2.5 * variance.sum() + 1e-6) / (highest.sum() + 1e-6))
    r, new = zeta_spread(torch.from_numpy(zeta), torch.from_numpy(record))
    assert float(r) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(new.numpy(), highest)


@pytest.mark.parametrize("zeta", [0.5, torch.tensor(0.5), torch.full((8, 3), 0.3), torch.rand(1, 3)])
def test_weights_that_do_not_vary_give_tanh_one(zeta):
    r, _ = zeta_spread(zeta, 0.0)
    assert float(r) == pytest.approx(math.tanh(1), rel=1e-6)


def test_the_first_batch_sets_the_record():
    zeta = torch.rand(32, 5)
    r, record = zeta_spread(zeta, torch.zeros(5), s=2.5)
    assert float(r) == pytest.approx(math.tanh(2.5), rel=1e-4)
    calmer, same = zeta_spread(0.5 + (zeta - 0.5) / 2, record)
    assert calmer < r
    torch.testing.assert_close(same, record)
    assert float(calmer) == pytest.approx(math.tanh(2.5 / 4), rel=1e-4)


def test_gradient_reaches_zeta_but_not_the_record():
    zeta = torch.rand(6, 3, dtype=torch.double, requires_grad=True)
    record = torch.ones(3, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda z: zeta_spread(z, record)[0], zeta)
    assert not zeta_spread(zeta, record)[1].requires_grad


def test_bfloat16_is_computed_in_float32():
    zeta = torch.rand(64, 8)
    exact, _ = zeta_spread(zeta, torch.full((8,), 0.2))
    r, record = zeta_spread(zeta.bfloat16(), torch.full((8,), 0.2).bfloat16())
    assert r.dtype == record.dtype == torch.bfloat16
    assert abs(float(r) - float(exact)) < 0.02


@pytest.mark.parametrize("zeta", [torch.zeros(0, 3), torch.full((4, 3), torch.nan)])
def test_no_batch_spoils_the_record(zeta):
    before = torch.tensor([0.1, 0.0, 0.2])
    r, record = zeta_spread(zeta, before)
    assert r.isnan()
    assert torch.equal(record, before)


def test_the_record_of_other_neurons_is_refused():
    with pytest.raises(ShapeError, match=r"zeta has shape \(4, 1\), but the record .* \(3,\): it needs \(1,\)"):
        zeta_spread(torch.rand(4, 1), torch.zeros(3))


@pytest.mark.parametrize("options", [{"s": 0}, {"lam": 0}, {"lam": -1.0}])
def test_errors(options):
    with pytest.raises(ConfigError, match="needs s > 0 and lam > 0"):
        zeta_spread(0.5, 0.0, **options)
