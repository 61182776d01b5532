import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.verify import CropMean, spread_crops


@pytest.mark.parametrize(("samples", "length", "count"), [(100, 30, 1), (100, 30, 4), (100, 100, 3), (37, 10, 10)])
def test_crops_lie_evenly(samples, length, count):
    signal = torch.arange(samples * 2.0).reshape(2, samples)
    crops = spread_crops(signal, length, count)
    assert crops.shape == (count, 2, length)
    for crop, start in zip(crops, np.linspace(0, samples - length, count), strict=True):
        assert torch.equal(crop, signal[:, int(start) : int(start) + length])


def test_what_is_too_short_is_repeated():
    crops = spread_crops(torch.arange(3), 8, 2)
    assert crops.tolist() == [[0, 1, 2, 0, 1, 2, 0, 1]] * 2


def test_the_mean_of_directions_in_whatever_batches():
    rng = torch.Generator().manual_seed(0)
    vectors, index = torch.randn(40, 6, generator=rng), torch.arange(40) % 7
    expected = torch.stack(
        [torch.stack([v / v.norm() for v in vectors[index == k].double()]).mean(0) for k in range(7)]
    )
    mean = CropMean(7, 6)
    for part in torch.randperm(40, generator=rng).split(9):
        mean.update(vectors[part].requires_grad_(), index[part])
    torch.testing.assert_close(mean.compute().double(), expected, atol=1e-6, rtol=1e-6)
    longer = CropMean(7, 6)
    longer.update(vectors * torch.rand(40, 1, generator=rng) * 100, index)
    torch.testing.assert_close(longer.compute(), mean.compute())


def test_refusals():
    mean = CropMean(3, 2)
    for vectors, index in (
        (torch.zeros(2, 3), torch.zeros(2)),
        (torch.zeros(2, 2), torch.zeros(3)),
        (torch.zeros(2), 0),
    ):
        with pytest.raises(ShapeError, match=r"crops must be \(B, 2\)"):
            mean.update(vectors, torch.as_tensor(index).long())
    mean.update(torch.ones(1, 2), torch.tensor([1]))
    with pytest.raises(ShapeError, match="2 of 3 utterances have no crops, the first at position 0"):
        mean.compute()
    with pytest.raises(ConfigError, match="length and a count"):
        spread_crops(torch.zeros(5), 0, 1)
    with pytest.raises(ShapeError, match="cannot crop"):
        spread_crops(torch.zeros(2, 0), 3, 1)
