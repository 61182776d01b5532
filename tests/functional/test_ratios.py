import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional import modality_ratios, score_ratio, zeta_ratio


def test_two_modalities_give_eq_11_and_its_reciprocal():
    z = np.random.default_rng(0).uniform(size=(8, 5))
    expected = z.sum() / (1 - z).sum()
    ours = zeta_ratio([torch.from_numpy(z), torch.from_numpy(1 - z)])
    np.testing.assert_allclose(ours.numpy(), [expected, 1 / expected])


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@given(m=st.integers(2, 4), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_scores_are_summed_probabilities_of_the_true_class(m, seed):
    rng = np.random.default_rng(seed)
    logits, y = rng.normal(size=(m, 6, 4)), rng.integers(0, 4, size=6)
    s = np.array([sum(softmax(logits[k])[i, y[i]] for i in range(6)) for k in range(m)])
    expected = [s[k] / np.delete(s, k).mean() for k in range(m)]
    ours = score_ratio(list(torch.from_numpy(logits)), torch.from_numpy(y))
    np.testing.assert_allclose(ours.numpy(), expected)
    named = {str(k): torch.from_numpy(logits[k]) for k in range(m)}
    torch.testing.assert_close(score_ratio(named, torch.from_numpy(y)), ours)


def test_segments_count_like_samples():
    logits, y = [torch.randn(2, 3, 4), torch.randn(2, 3, 4)], torch.randint(4, (2, 3))
    torch.testing.assert_close(score_ratio(logits, y), score_ratio([t.flatten(0, 1) for t in logits], y.flatten()))


def test_ignored_samples_add_nothing():
    """As for cross_entropy; also where their logits are no numbers, and where all are ignored."""
    logits, y = [torch.randn(3, 4), torch.randn(3, 4)], torch.tensor([1, -100, 3])
    kept = [one[[0, 2]] for one in logits]
    logits[0][1, 0] = torch.nan
    torch.testing.assert_close(score_ratio(logits, y), score_ratio(kept, y[[0, 2]]))
    assert score_ratio(logits, torch.full((3,), -100)).tolist() == [0, 0]


def test_finite_where_one_modality_has_everything():
    assert torch.isfinite(zeta_ratio([torch.ones(3, 2), torch.zeros(3, 2)])).all()
    logits = torch.tensor([[1e4, -1e4]])
    assert torch.isfinite(score_ratio([logits, -logits], torch.tensor([0]))).all()


def test_half_precision_sums_in_float32():
    z = torch.full((4096, 512), 0.25).bfloat16()
    torch.testing.assert_close(zeta_ratio([z, 1 - z]), torch.tensor([1 / 3, 3.0]))


def test_errors():
    with pytest.raises(ConfigError, match="two modalities"):
        zeta_ratio([torch.ones(2)])
    with pytest.raises(ConfigError, match="two modalities"):
        score_ratio([torch.ones(2, 3)], torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match=r"modality 0 have shape \(2, 3\), but target has \(4,\)"):
        score_ratio([torch.ones(2, 3)] * 2, torch.zeros(4, dtype=torch.long))
    with pytest.raises(ShapeError, match="all need the same classes"):
        score_ratio([torch.ones(2, 3), torch.ones(2, 4)], torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match="integers, but is of torch.float32"):
        score_ratio([torch.ones(2, 3)] * 2, torch.tensor([0.0, torch.nan]))
    with pytest.raises(ShapeError, match="needs"):
        modality_ratios(torch.ones(1))
