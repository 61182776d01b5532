import copy

import pytest
import torch
from torch import nn

from counterpoint.encoders import create_encoder, fold_batch_norms

# Batch normalisations that stand behind a ReLU, a pooling or a sum cannot be folded.
CASES = {
    "resnet18": ((3, 40, 36), 0),
    "resnet50": ((3, 2, 40, 36), 0),
    "resnext50_3d": ((3, 3, 36, 32), 0),
    "audio_cnn": ((1, 24, 40), 0),
    "visual_cnn": ((1, 9, 24, 20), 0),
    "mfcc_cnn": ((1, 13, 212), 3),
    "erann": ((1, 32, 21), 20),
}


def norms(module):
    return sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())


@pytest.mark.parametrize("name", CASES)
def test_the_same_answers_with_fewer_normalisations(name):
    torch.manual_seed(0)
    shape, left = CASES[name]
    encoder = create_encoder(name)
    for module in encoder.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    for seed in range(4):
        encoder(torch.randn(6, *shape, generator=torch.Generator().manual_seed(seed)))
    before = copy.deepcopy(encoder.state_dict())
    folded = fold_batch_norms(encoder)
    assert norms(folded) == left
    assert encoder.training and all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    assert not folded.training and type(folded) is type(encoder)
    x = torch.randn(3, *shape)
    with torch.no_grad():
        expected = encoder.eval()(x)
        torch.testing.assert_close(folded(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def test_channels_stay_innermost():
    encoder = create_encoder("resnext50_3d").to(memory_format=torch.channels_last_3d)
    folded = fold_batch_norms(encoder)
    assert folded.layer4[2].conv2.weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_what_is_not_said_to_follow_is_left_alone():
    class Crossed(nn.Module):
        """Registered one behind the other, used the other way round."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3)
            self.bn = nn.BatchNorm2d(2)

        def forward(self, x):
            return self.conv(self.bn(x))

    untracked = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2, track_running_stats=False))
    transposed = nn.Sequential(nn.ConvTranspose2d(2, 2, 3), nn.BatchNorm2d(2))
    for module in (Crossed(), untracked, transposed):
        assert norms(fold_batch_norms(module)) == 1


def test_a_whole_model_and_modules_of_others():
    part = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.BatchNorm1d(3))
    model = nn.ModuleDict({"a": nn.Sequential(part), "b": create_encoder("audio_cnn")})
    model.a(torch.randn(9, 2, 8))
    folded = fold_batch_norms(model)
    assert norms(folded) == 1
    x = torch.randn(2, 2, 8)
    torch.testing.assert_close(folded.a(x), model.eval().a(x))
