import pytest
import torch

from counterpoint.errors import ShapeError
from counterpoint.metrics import accuracy


def test_share_of_right_answers():
    scores = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4], [0.5, 0.5]])
    assert accuracy(scores, torch.tensor([1, 0, 1, 0])).item() == 0.75


@pytest.mark.parametrize(
    ("scores", "target"),
    [
        (torch.zeros(4, 3), torch.zeros(4, 1, dtype=torch.long)),  # would be broadcast to (4, 4)
        (torch.zeros(4), torch.zeros(4, dtype=torch.long)),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)),
        (torch.zeros(4, 3), torch.full((4,), torch.nan)),
    ],
)
def test_refuses_what_does_not_fit(scores, target):
    with pytest.raises(ShapeError):
        accuracy(scores, target)
