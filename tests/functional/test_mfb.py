import numpy as np
import pytest
import torch

from counterpoint.errors import ShapeError
from counterpoint.functional.mfb import folded_sum_pool, mfb, power_normalise, sum_pool


def test_mfb_is_equation_2():
    x, y = torch.randn(3, 4, 12, dtype=torch.float64), torch.randn(3, 1, 12, dtype=torch.float64)
    expected = np.empty((3, 4, 4))
    for n in range(3):
        for position in range(4):
            product = x[n, position].numpy() * y[n, 0].numpy()
            pooled = np.array([sum(product[j * 3 + k] for k in range(3)) for j in range(4)])
            root = np.sign(pooled) * np.sqrt(np.abs(pooled))
            expected[n, position] = root / np.sqrt((root**2).sum())
    np.testing.assert_allclose(mfb(x, y, 3).numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("with_bias", [True, False])
def test_folded_pooling_is_the_same_and_has_the_same_gradients(with_bias):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 7, 16, requires_grad=True)
    weight = torch.randn(20, 16, requires_grad=True)
    bias = torch.randn(20) if with_bias else None
    y = torch.randn(2, 3, 20, requires_grad=True)
    plain = sum_pool(torch.nn.functional.linear(x, weight, bias) * y.unsqueeze(-2), 5)
    folded = folded_sum_pool(x, weight, bias, y, 5)
    assert folded.shape == (2, 3, 7, 4)
    assert (folded - plain).abs().max() <= 1e-5 * plain.abs().max()
    probe = torch.randn_like(plain)
    ones = torch.autograd.grad((plain * probe).sum(), (x, weight, y))
    others = torch.autograd.grad((folded * probe).sum(), (x, weight, y))
    for one, other in zip(ones, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_folded_pooling_has_exact_first_and_second_derivatives(monkeypatch):
    monkeypatch.setattr("counterpoint.functional.mfb.CHUNK", 2)
    torch.manual_seed(0)
    shapes = ((3, 2, 4), (6, 4), (6,), (3, 6))
    inputs = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda *given: folded_sum_pool(*given, 3), inputs)
    assert torch.autograd.gradgradcheck(lambda *given: folded_sum_pool(*given, 3), inputs)


def test_folded_pooling_holds_neither_the_wide_product_nor_the_matrices_for_the_backward_pass():
    x, weight, y = torch.randn(9, 49, 16, requires_grad=True), torch.randn(80, 16), torch.randn(9, 80)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        folded_sum_pool(x, weight.requires_grad_(), None, y.requires_grad_(), 5)
    assert sum(tensor.numel() for tensor in saved) == x.numel() + weight.numel() + y.numel()


def test_folded_pooling_under_autocast_is_lowered_like_a_linear_layer():
    torch.manual_seed(0)
    x, weight, bias, y = torch.randn(3, 25, 16), torch.randn(20, 16), torch.randn(20), torch.randn(3, 20)
    exact = folded_sum_pool(x, weight, bias, y, 5)
    with torch.autocast("cpu", torch.bfloat16):
        lowered = folded_sum_pool(x, weight, bias, y, 5)
        assert folded_sum_pool(x.double(), weight.double(), bias, y.double(), 5).dtype == torch.float64
    assert lowered.dtype == torch.bfloat16
    assert 0 < (lowered - exact).abs().max() <= 0.03 * exact.abs().max()


def test_folded_pooling_takes_tensors_without_data_and_compiles():
    shapes = ((70, 7, 16), (20, 16), (20,), (70, 20))
    assert folded_sum_pool(*(torch.empty(shape, device="meta") for shape in shapes), 5).shape == (70, 7, 4)
    torch.manual_seed(0)
    given = [torch.randn(shape, requires_grad=True) for shape in shapes]
    compiled = torch.compile(folded_sum_pool, backend="aot_eager", fullgraph=True)
    results = [function(*given, 5) for function in (folded_sum_pool, compiled)]
    ones, others = (torch.autograd.grad(result.square().sum(), given) for result in results)
    for one, other in zip((results[0], *ones), (results[1], *others), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_power_normalise_has_exact_first_and_second_derivatives(dtype):
    torch.manual_seed(0)
    x = torch.randn(3, 5, dtype=dtype)
    x = x.sign() * (x.abs() + 0.2)
    if dtype == torch.float64:
        x.requires_grad_()
        assert torch.autograd.gradcheck(power_normalise, x)
        assert torch.autograd.gradgradcheck(power_normalise, x)
    else:
        out = power_normalise(x)
        torch.testing.assert_close(out, torch.nn.functional.normalize(x.sign() * x.abs().sqrt(), dim=-1))


def test_zeros_stay_zero_and_receive_no_gradient():
    x = torch.tensor([[0.0, 4.0, 0.0, -9.0], [0.0, 0.0, 0.0, 0.0]], requires_grad=True)
    out = power_normalise(x)
    torch.testing.assert_close(out[0], torch.tensor([0.0, 2.0, 0.0, -3.0]) / 13**0.5)
    assert (out[1] == 0).all()
    out[:, 1].sum().backward()
    assert x.grad.isfinite().all() and x.grad[0, 1] != 0 and (x.grad[0, [0, 2]] == 0).all() and (x.grad[1] == 0).all()


def test_channels_that_do_not_divide_are_refused():
    with pytest.raises(ShapeError, match="groups of 5"):
        sum_pool(torch.randn(2, 12), 5)
