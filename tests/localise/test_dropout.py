import pytest
import torch

from counterpoint.localise.dropout import Dropout, dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_as_many_fall_as_p_says_and_the_rest_are_scaled(dtype):
    torch.manual_seed(0)
    x = torch.full((1001, 999), 2.0, dtype=dtype, requires_grad=True)
    out = dropout(x, 0.1, True)
    fallen = (out == 0).double()
    # Five standard errors of a million draws.
    assert abs(fallen.mean() - 0.1) < 5 * 0.3 / 1000
    torch.testing.assert_close(out[out != 0].double().unique(), torch.tensor([2 / 0.9]).double(), rtol=5e-3, atol=0)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, out.detach() / 2)


def test_draws_are_independent_of_their_neighbours():
    torch.manual_seed(0)
    fallen = (dropout(torch.ones(2**20), 0.5, True) == 0).double() - 0.5
    for distance in (1, 2, 3, 4, 8):
        assert abs((fallen[:-distance] * fallen[distance:]).mean()) < 5 * 0.25 / 2**10


def test_a_seed_repeats_them():
    x = torch.ones(3, 7)
    torch.manual_seed(1)
    first = dropout(x, 0.3, True)
    torch.manual_seed(1)
    assert torch.equal(first, dropout(x, 0.3, True)) and not torch.equal(first, dropout(x, 0.3, True))


@pytest.mark.parametrize(("p", "factor"), [(0.0, 1.0), (1.0, 0.0), (1e-9, 1.0)])
def test_ends(p, factor):
    x = torch.randn(4, 5)
    torch.testing.assert_close(Dropout(p)(x), x * factor)


def test_evaluation_changes_nothing_and_empty_tensors_pass():
    x = torch.randn(4, 5).t()
    assert Dropout(0.5).eval()(x) is x or torch.equal(Dropout(0.5).eval()(x), x)
    assert Dropout(0.5)(x).shape == (5, 4) and Dropout(0.5)(x[:0]).shape == (0, 4)


def test_outside_zero_and_one_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        Dropout(1.5)
