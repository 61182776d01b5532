"""Count sketches against explicit outer products, in float64 and NumPy."""

import itertools

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import compact_bilinear, count_sketch


def hashes(width, size):
    return torch.randint(size, (width,)), 2 * torch.randint(2, (width,)) - 1


def test_every_entry_falls_on_its_index_with_its_sign():
    x = torch.tensor([[1.0, 2.0, 4.0, 8.0]])
    sketch = count_sketch(x, torch.tensor([3, 0, 3, 1]), torch.tensor([1, -1, 1, -1]), 5)
    assert sketch.tolist() == [[-2.0, -8.0, 0.0, 5.0, 0.0]]


@pytest.mark.parametrize("size", [16, 17])  # the inverse transform must know an odd length from an even one
@pytest.mark.parametrize("widths", [(5, 4), (5, 4, 3)])
def test_the_convolution_of_sketches_is_the_sketch_of_the_outer_product(widths, size):
    xs = [torch.randn(2, width, dtype=torch.float64) for width in widths]
    drawn = [hashes(width, size) for width in widths]
    expected = np.zeros((2, size))
    for places in itertools.product(*map(range, widths)):
        at = sum(int(index[i]) for i, (index, _) in zip(places, drawn, strict=True)) % size
        sign = np.prod([int(signs[i]) for i, (_, signs) in zip(places, drawn, strict=True)])
        expected[:, at] += sign * np.prod([x[:, i].numpy() for i, x in zip(places, xs, strict=True)], axis=0)
    sketches = [count_sketch(x, *pair, size) for x, pair in zip(xs, drawn, strict=True)]
    np.testing.assert_allclose(compact_bilinear(sketches).numpy(), expected, rtol=1e-10, atol=1e-12)


def test_inner_products_of_sketches_are_those_of_outer_products_on_average():
    """What sketches are for: E <s(x), s(y)> = <x1, y1> <x2, y2>."""
    torch.manual_seed(0)
    x1, y1, x2, y2 = (torch.randn(1, 6, dtype=torch.float64) for _ in range(4))
    found = []
    for _ in range(400):
        first, second = hashes(6, 64), hashes(6, 64)
        sx = compact_bilinear([count_sketch(x1, *first, 64), count_sketch(x2, *second, 64)])
        sy = compact_bilinear([count_sketch(y1, *first, 64), count_sketch(y2, *second, 64)])
        found.append((sx @ sy.T).item())
    expected = ((x1 @ y1.T) * (x2 @ y2.T)).item()
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / np.sqrt(len(found))


def test_sequences_gradients_and_half_precision():
    x, y = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True), torch.randn(2, 3, 4, dtype=torch.float64)
    first, second = hashes(5, 8), hashes(4, 8)

    def pooled(x):
        return compact_bilinear([count_sketch(x, *first, 8), count_sketch(y, *second, 8)])

    assert pooled(x).shape == (2, 3, 8)
    assert torch.autograd.gradcheck(pooled, x)
    half = [torch.randn(2, 8).bfloat16(), torch.randn(2, 8).bfloat16()]
    assert compact_bilinear(half).dtype == torch.float32


def test_errors():
    with pytest.raises(ShapeError, match="one index and one sign for each"):
        count_sketch(torch.randn(2, 5), torch.zeros(4, dtype=torch.long), torch.ones(5), 8)
    with pytest.raises(ShapeError, match=r"of one size, got \[8, 9\]"):
        compact_bilinear([torch.randn(2, 8), torch.randn(2, 9)])
    with pytest.raises(ConfigError, match="one sketch or more"):
        compact_bilinear([])
