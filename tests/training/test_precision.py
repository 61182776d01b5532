import pytest
import torch
from torch import nn

from counterpoint.encoders import create_encoder
from counterpoint.training.precision import channels_last


@pytest.mark.parametrize(
    ("name", "shape", "memory_format"),
    [
        ("resnet18", (3, 40, 40), torch.channels_last),
        ("resnext50_3d", (3, 2, 36, 36), torch.channels_last_3d),
    ],
)
def test_weights_gradients_and_inputs_have_channels_innermost(name, shape, memory_format):
    encoder = channels_last(create_encoder(name))
    x = channels_last(torch.randn(2, *shape))
    assert x.is_contiguous(memory_format=memory_format)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # with one, torch takes other kernels for clips, which forget the layout
    encoder(x).square().sum().backward()
    torch.set_num_threads(threads)
    convs = [m for m in encoder.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    assert convs
    for conv in convs:
        assert conv.weight.is_contiguous(memory_format=memory_format)
        assert conv.weight.grad.is_contiguous(memory_format=memory_format)


def test_what_has_no_such_layout_stays():
    encoder = create_encoder("mfcc_cnn")
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    channels_last(encoder)
    assert all(v.is_contiguous() and torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    maps = torch.randn(2, 3, 4)
    assert channels_last(maps) is maps
