import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from counterpoint.errors import ShapeError
from counterpoint.metrics import mean_average_precision


def reference(scores, target):
    scores, target = scores.double().numpy(), target.numpy()
    classes = [c for c in range(scores.shape[1]) if (target == c).any()]
    return np.mean([average_precision_score(target == c, scores[:, c]) for c in classes])


def draw(n, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, classes, generator=generator), torch.randint(classes, (n,), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_equals_scikit_learn(dtype):
    scores, target = draw(500, 17)
    scores[torch.arange(500), target] += 1.0
    scores = scores.to(dtype)
    assert mean_average_precision(scores, target).item() == pytest.approx(reference(scores, target), abs=1e-7)


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_ties_are_one_threshold(levels):
    scores, target = draw(400, 6)
    scores = (scores.sigmoid() * levels).floor() / levels
    assert mean_average_precision(scores, target).item() == pytest.approx(reference(scores, target), abs=1e-7)


def test_constant_scores_give_the_share_of_each_class():
    target = torch.tensor([0, 0, 0, 1])
    assert mean_average_precision(torch.zeros(4, 2), target).item() == pytest.approx((3 / 4 + 1 / 4) / 2)


def test_by_hand():
    # Class 0 is at ranks 1 and 3: (1/1 + 2/3) / 2. Class 1 is at ranks 2 and 3 of its own scores: (1/2 + 2/3) / 2.
    scores = torch.tensor([[4.0, 4.0], [3.0, 3.0], [2.0, 1.0], [1.0, 2.0]])
    target = torch.tensor([0, 1, 0, 1])
    assert mean_average_precision(scores, target).item() == pytest.approx(((1 + 2 / 3) + (1 / 2 + 2 / 3)) / 4)


def test_classes_without_samples_are_left_out():
    scores, target = draw(50, 5)
    target = target.clamp(max=2)
    assert mean_average_precision(scores, target).item() == pytest.approx(
        mean_average_precision(scores[:, :3], target).item()
    )


def test_infinite_scores_count_and_nan_is_told():
    scores, target = draw(50, 5)
    scores[3, 1], scores[4, 2] = torch.inf, -torch.inf
    finite = scores.clamp(-1e6, 1e6)
    assert mean_average_precision(scores, target) == mean_average_precision(finite, target)
    scores[0, 0] = torch.nan
    assert mean_average_precision(scores, target).isnan()


def test_the_arguments_are_left_as_they_are():
    scores, target = draw(30, 4)
    scores.requires_grad_()
    before = scores.detach().clone()
    assert not mean_average_precision(scores, target).requires_grad
    assert torch.equal(scores.detach(), before)


@pytest.mark.parametrize(
    ("scores", "target"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.long)),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.long)),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.long)),
        (torch.zeros(2, 2), torch.tensor([0, 2])),
        (torch.zeros(2, 2), torch.tensor([-1, 0])),
        (torch.zeros(2, 2), torch.tensor([0.0, torch.nan])),
    ],
)
def test_refuses_what_does_not_fit(scores, target):
    with pytest.raises(ShapeError):
        mean_average_precision(scores, target)
