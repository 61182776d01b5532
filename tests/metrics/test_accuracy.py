import torch

from counterpoint.metrics import accuracy


def test_share_of_right_answers():
    scores = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4], [0.5, 0.5]])
    assert accuracy(scores, torch.tensor([1, 0, 1, 0])).item() == 0.75
