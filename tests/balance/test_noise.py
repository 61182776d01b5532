import math

import numpy as np
import pytest
import torch

from balance_parts import counted
from counterpoint.balance.noise import BLOCK, _add_on_device, _quantiles, add_noise, flat_view, standard_deviation


def noise_of(shapes, *, seed=0, step=0, scale=1.0, **options):
    tensors = [torch.zeros(shape, **options) for shape in shapes]
    add_noise(seed, step, range(len(tensors)), tensors, [torch.tensor(scale)] * len(tensors))
    return tensors


def test_table_is_standard_normal():
    table = _quantiles().astype(np.float64)
    assert len(table) == 65536
    assert abs(table.mean()) < 1e-6
    assert np.mean(table**2) == pytest.approx(1, abs=1e-6)
    assert np.mean(table**4) == pytest.approx(3, abs=5e-3)
    cdf = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in table])
    assert np.abs(cdf - (np.arange(65536) + 0.5) / 65536).max() < 1e-4
    assert table[-1] == -table[0] == pytest.approx(4.32, abs=0.01)


def test_draws_are_normal():
    (values,) = noise_of([(1_000_003,)])
    x = np.sort(values.double().numpy())
    cdf = 0.5 * (1 + torch.erf(torch.from_numpy(x) / math.sqrt(2)).numpy())
    distance = np.abs(cdf - (np.arange(len(x)) + 0.5) / len(x)).max()
    assert distance < 1.95 / math.sqrt(len(x))  # Kolmogorov-Smirnov at 0.1 %
    for lag in (1, 2, 4, BLOCK):
        a, b = values[:-lag].numpy(), values[lag:].numpy()
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(len(a))


def test_noise_does_not_hang_on_threads(monkeypatch):
    shapes = [(3, BLOCK), (7,), (BLOCK + 1,), (2, 2, 3, 3)]
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        results.append(noise_of(shapes))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_noise_is_added_and_scaled():
    (unit,) = noise_of([(1000,)])
    (scaled,) = noise_of([(1000,)], scale=0.25)
    torch.testing.assert_close(scaled, 0.25 * unit)
    start = torch.randn(1000)
    moved = start.clone()
    add_noise(0, 0, [0], [moved], [torch.tensor(1.0)])
    torch.testing.assert_close(moved, start + unit)


def test_a_tensor_with_gaps_is_filled_too():
    whole = torch.zeros(300, 200)
    view = whole[:, ::2]
    assert flat_view(view) is None
    add_noise(0, 0, [0], [view], [torch.tensor(1.0)])
    assert view.std().item() == pytest.approx(1, abs=0.02)
    assert not whole[:, 1::2].any()


def test_on_a_device_one_kernel_draws_everything_and_nothing_waits():
    def draw(key):
        tensors = [torch.zeros(64, 3, 3, 64).permute(0, 3, 1, 2), torch.zeros(1000), torch.zeros(100, 4)[:, ::2]]
        with counted() as counter:
            _add_on_device(key, tensors, [torch.tensor(s) for s in (1.0, 0.5, 2.0)])
        assert counter.calls.count("normal_") == 1
        assert counter.host_syncs == 0
        return tensors

    first, again, other = draw((0, 0, 0)), draw((0, 0, 0)), draw((0, 1, 0))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    for tensor, scale in zip(first, (1.0, 0.5, 2.0), strict=True):
        assert tensor.std().item() == pytest.approx(scale, rel=5 / math.sqrt(2 * tensor.numel()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2,), (4097,), (3, 50, 41), (8, 32, 3, 3), (64, 128, 3, 3)])
def test_standard_deviation(shape, dtype):
    tensor = (torch.randn(shape, dtype=torch.float64) * 3e-5 + 1e-5).to(dtype)
    result = standard_deviation(tensor)
    assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert result.item() == pytest.approx(np.std(tensor.double().numpy(), ddof=1), rel=1e-5)


def test_standard_deviation_of_odd_tensors():
    assert standard_deviation(torch.ones(())) == 0
    assert standard_deviation(torch.ones(1)) == 0
    assert standard_deviation(torch.zeros(5000)) == 0
    gaps = torch.randn(100, 200)[:, ::2]
    torch.testing.assert_close(standard_deviation(gaps), gaps.std())
    last = torch.randn(64, 32, 3, 3).to(memory_format=torch.channels_last)
    torch.testing.assert_close(standard_deviation(last), last.std())
    assert torch.isnan(standard_deviation(torch.full((5000,), math.inf)))


def test_standard_deviation_of_a_long_tensor_keeps_its_precision():
    tensor = torch.randn(1 << 22).repeat(8)  # a plain float32 sum of squares is off by 1e-4 and more
    assert standard_deviation(tensor).item() == pytest.approx(tensor.double().std().item(), rel=2e-6)


def test_flat_view():
    for tensor in (
        torch.zeros(2, 3, 4, 5),
        torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.zeros(()),
    ):
        flat = flat_view(tensor)
        assert flat.shape == (tensor.numel(),)
        assert flat.data_ptr() == tensor.data_ptr()
