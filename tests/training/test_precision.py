import pytest
import torch
from torch import nn

from counterpoint.cli import main
from counterpoint.encoders import create_encoder
from counterpoint.errors import ConfigError
from counterpoint.training import precision
from counterpoint.training.precision import channels_last, require_device


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


@pytest.mark.parametrize(
    ("cuda", "cores", "most", "words"),
    [(0, 4, 4, "4 CPU cores; take at most 4"), (0, 1, 2, "1 CPU cores"), (3, 4, 3, "3 of the type cuda")],
)
def test_no_more_processes_than_devices(monkeypatch, cuda, cores, most, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(precision, "cores", lambda: cores)
    require_device("auto", most)
    with pytest.raises(ConfigError, match=f"devices is {most + 1}, but this machine has {words}"):
        require_device("auto", most + 1)


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_too_many_processes_are_refused_before_anything_is_read_or_started(tmp_path, capsys, verb):
    words = ["data.name=folder", f"data.root={tmp_path / 'nowhere'}", "devices=1000", "accelerator=cpu"]
    if verb == "compare":
        words = [f"base.{word}" for word in words]
    assert main([verb, *words, "--runs", str(tmp_path), "--name", "run"]) == 2
    assert "devices is 1000" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
