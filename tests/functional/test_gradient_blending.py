import numpy as np
import pytest
import torch

from counterpoint.errors import ShapeError
from counterpoint.functional import blending_weights


def by_hand(train, held_out):
    """w_k = G_k / O_k² / Z, with G = L*_0 - L*_N, and O the growth of L* - L over the same epochs."""
    weights = []
    for k in range(train.shape[1]):
        g = held_out[0, k] - held_out[1, k]
        o = (held_out[1, k] - train[1, k]) - (held_out[0, k] - train[0, k])
        weights.append(max(g, 0.0) / o**2)
    return np.array(weights) / sum(weights)


@pytest.mark.parametrize("heads", [2, 3, 5])
def test_agrees_with_the_paper(heads):
    rng = np.random.default_rng(heads)
    for _ in range(5):
        train = np.stack([rng.uniform(2, 3, heads), rng.uniform(0, 1, heads)])
        held_out = np.stack([rng.uniform(2, 3, heads), rng.uniform(1, 2.5, heads)])
        ours = blending_weights(torch.from_numpy(train), torch.from_numpy(held_out))
        np.testing.assert_allclose(ours.numpy(), by_hand(train, held_out), rtol=1e-12)
        assert ours.sum().item() == pytest.approx(1)


def test_of_heads_that_gain_as_much_the_one_that_overfits_twice_as_much_weighs_a_quarter():
    train, held_out = torch.tensor([[2.0, 2.0], [1.0, 0.5]]), torch.tensor([[2.0, 2.0], [1.5, 1.5]])
    assert blending_weights(train, held_out).tolist() == pytest.approx([0.8, 0.2])


def test_a_head_that_got_worse_on_new_clips_weighs_nothing():
    train, held_out = torch.tensor([[2.0, 2.0], [1.0, 1.0]]), torch.tensor([[2.0, 2.0], [1.5, 2.5]])
    assert blending_weights(train, held_out).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("last", [3.0, float("nan"), float("inf")])
def test_with_nothing_to_choose_by_all_weigh_the_same(last):
    train, held_out = torch.tensor([[2.0] * 4, [1.0] * 4]), torch.tensor([[2.0] * 4, [last] * 4])
    assert blending_weights(train, held_out).tolist() == [0.25] * 4


def test_a_head_that_does_not_overfit_at_all_takes_the_weight_and_stays_finite():
    train, held_out = torch.tensor([[2.0, 2.0], [1.0, 1.0]]), torch.tensor([[2.0, 2.0], [1.0, 1.5]])
    weights = blending_weights(train, held_out)
    assert weights.isfinite().all() and weights[0] > 0.99


def test_shapes_are_told():
    for train, held_out in (((2, 3), (2, 4)), ((3, 3), (3, 3)), ((2,), (2,)), ((2, 0), (2, 0))):
        with pytest.raises(ShapeError, match="before and after"):
            blending_weights(torch.zeros(train), torch.zeros(held_out))
