"""Encoders that stop at named layers: by their stages, or whatever they are by hooks."""

import ctypes
import re
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from counterpoint.encoders import create_encoder
from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.intermediate import MMTM, CrossModal, Interleaved


def _openmp():
    """The OpenMP library that torch computes with; others, such as scikit-learn's, may be in the process as well."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    paths = {line.split()[-1] for line in lines if re.search(r"lib[gi]?omp[^/]*\.so", line)}
    own = sorted(path for path in paths if Path(torch.__file__).parent in Path(path).parents)
    return ctypes.CDLL(own[0]) if own else None


OPENMP = _openmp()


class Sound(nn.Module):
    """An encoder that knows nothing of this library: its layers are not even called in their order."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv1d(6, 5, 3)
        self.blocks = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Conv1d(4, 6, 3))
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return torch.relu(self.last(self.blocks(x).tanh())).mean(-1)


class Sight(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.act = nn.ReLU()
        self.second = nn.Conv2d(4, 8, 3)

    def forward(self, x):
        return self.act(self.second(self.act(self.first(x)))).mean((2, 3))


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    torch.manual_seed(0)
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "counterpoint-encoder"]


def inputs(batch=3):
    return {"sound": torch.randn(batch, 1, 20), "sight": torch.randn(batch, 1, 9, 9)}


def hooked():
    places = [
        ({"sound": "blocks.0", "sight": "first"}, MMTM({"sound": 4, "sight": 4})),
        ({"sound": "last", "sight": "second"}, CrossModal({"sound": 5, "sight": 8}, self_attention=False)),
    ]
    return Interleaved({"sound": Sound(), "sight": Sight()}, places)


def by_hand(net, x):
    """The same, written out."""
    sound, sight = net.encoders["sound"], net.encoders["sight"]
    maps = net.parts[0]({"sound": sound.blocks[0](x["sound"]), "sight": sight.first(x["sight"])})
    a = sound.last(sound.blocks[2](maps["sound"].relu()).tanh())
    v = sight.second(maps["sight"].relu())
    maps = net.parts[1]({"sound": a, "sight": v})
    return {"sound": maps["sound"].relu().mean(-1), "sight": maps["sight"].relu().mean((2, 3))}


def gradients(net, features):
    net.zero_grad()
    sum(f.square().sum() for f in features.values()).backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def test_any_network_stops_at_its_modules():
    net, x = hooked(), inputs()
    out, expected = net(x), by_hand(net, x)
    assert list(out) == ["sound", "sight"]
    torch.testing.assert_close(out, expected, rtol=0, atol=0)
    torch.testing.assert_close(gradients(net, out), gradients(net, expected), rtol=0, atol=0)
    assert not any(m._forward_hooks for m in net.modules())
    assert set(net.state_dict()) == {
        *[f"encoders.{m}.{k}" for m, e in net.encoders.items() for k in e.state_dict()],
        *[f"parts.{i}.{k}" for i, p in enumerate(net.parts) for k in p.state_dict()],
    }


def test_modes_go_along_into_the_threads():
    net, x = hooked(), inputs()
    assert all(f.requires_grad for f in net(x).values())
    with torch.no_grad():
        assert not any(f.requires_grad for f in net(x).values())
    with torch.inference_mode():
        assert all(f.is_inference() for f in net(x).values())
    with torch.autocast("cpu", torch.bfloat16):
        out, expected = net(x), by_hand(net, x)
        assert out["sound"].dtype == expected["sound"].dtype == torch.bfloat16
        torch.testing.assert_close(out, expected, rtol=0, atol=0)
    net.encoders["sound"].blocks.append(nn.Dropout(0.5))
    torch.manual_seed(1)
    first = net(x)["sound"]
    torch.manual_seed(1)
    torch.testing.assert_close(net(x)["sound"], first, rtol=0, atol=0)


class Counting(Sight):
    """Sees how many threads OpenMP would take where it runs, which it keeps per thread."""

    seen: int

    def forward(self, x):
        self.seen = OPENMP.omp_get_max_threads()
        return super().forward(x)


@pytest.mark.skipif(OPENMP is None, reason="torch brings no OpenMP of its own along here")
@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_goes_along(threads):
    """A forked process that asked for one thread would hang with more, and others would lose their cores to it."""
    sight, sound, before = Counting(), Sound(), torch.get_num_threads()
    net = Interleaved(
        {"sound": sound, "sight": sight}, [({"sound": "blocks", "sight": "first"}, MMTM({"sound": 6, "sight": 4}))]
    )
    torch.set_num_threads(threads)
    try:
        net(inputs())
        assert sight.seen == threads == torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def test_one_network_for_two_modalities():
    net = Sight()
    both = Interleaved(
        {"left": net, "right": net}, [(dict.fromkeys(("left", "right"), "first"), MMTM({"left": 4, "right": 4}))]
    )
    x = {"left": torch.randn(2, 1, 9, 9), "right": torch.randn(2, 1, 9, 9)}
    out = both(x)
    maps = both.parts[0]({m: net.first(t) for m, t in x.items()})
    for m in x:
        torch.testing.assert_close(out[m], net.second(maps[m].relu()).relu().mean((2, 3)), rtol=0, atol=0)


def test_stages_and_modules_side_by_side_and_a_modality_left_alone():
    encoders = {"sound": create_encoder("audio_cnn"), "sight": Sight(), "touch": nn.Linear(3, 4)}
    part = MMTM({"sight": 4, "sound": 16})
    net = Interleaved(encoders, [({"sound": "conv2", "sight": "first"}, part)]).eval()
    assert net.route.staged == {"sound"}
    x = {"sound": torch.randn(2, 1, 16, 30), "sight": torch.randn(2, 1, 9, 9), "touch": torch.randn(2, 3)}
    out = net(x)
    stages = encoders["sound"].stages()
    maps = part({"sound": stages["conv2"](stages["conv1"](x["sound"])), "sight": encoders["sight"].first(x["sight"])})
    expected = encoders["sound"].pool(stages["temporal"](stages["conv3"](maps["sound"])))
    torch.testing.assert_close(out["sound"], expected, rtol=0, atol=0)
    torch.testing.assert_close(out["touch"], encoders["touch"](x["touch"]), rtol=0, atol=0)


def test_two_parts_at_one_place_come_one_after_the_other():
    layers = {"sound": "blocks.0", "sight": "first"}
    parts = [MMTM({"sound": 4, "sight": 4}) for _ in range(2)]
    net, x = Interleaved({"sound": Sound(), "sight": Sight()}, [(layers, part) for part in parts]), inputs()
    sight = net.encoders["sight"]
    maps = parts[1](parts[0]({"sound": net.encoders["sound"].blocks[0](x["sound"]), "sight": sight.first(x["sight"])}))
    torch.testing.assert_close(net(x)["sight"], sight.second(maps["sight"].relu()).relu().mean((2, 3)), rtol=0, atol=0)


def test_modules_of_our_encoders_that_are_no_stages():
    encoder = create_encoder("resnet18", in_channels=1)
    layers = {"sight": "layer1.0.conv1", "sound": "blocks.0"}
    net = Interleaved({"sight": encoder, "sound": Sound()}, [(layers, MMTM({"sight": 64, "sound": 4}))])
    assert net.route.staged == set()
    x = {"sight": torch.randn(2, 1, 32, 32), "sound": torch.randn(2, 1, 20)}
    assert not torch.allclose(net(x)["sight"], encoder(x["sight"]))


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        (
            {"sound": "blocks.7", "sight": "first"},
            UnknownNameError,
            "sound encoder has no layer 'blocks.7'. Did you mean",
        ),
        ({"sound": "xyz", "sight": "first"}, UnknownNameError, "Known: blocks, blocks.0"),
        ({"sound": "last"}, ConfigError, "MMTM acts between sound, sight, but layers are given for sound"),
        ({"sound": "last", "sight": "first", "x": "y"}, ConfigError, "acts between"),
    ],
)
def test_wrong_layers_are_told(layers, error, message):
    with pytest.raises(error, match=message):
        Interleaved({"sound": Sound(), "sight": Sight()}, [(layers, MMTM({"sound": 4, "sight": 4}))])


def test_wrong_modalities_are_told():
    with pytest.raises(UnknownNameError, match="no encoder 'sonud'. Did you mean 'sound'"):
        Interleaved(
            {"sound": Sound(), "sight": Sight()},
            [({"sonud": "last", "sight": "first"}, MMTM({"sonud": 5, "sight": 4}))],
        )
    x = inputs()
    with pytest.raises(UnknownNameError, match="'sight'"):
        hooked()({"sound": x["sound"]})
    with pytest.raises(ShapeError, match="same number of samples"):
        hooked()({"sound": x["sound"][:1], "sight": x["sight"]})


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([{"sound": "unused", "sight": "first"}], "'unused' does not run"),
        ([{"sound": "last", "sight": "first"}, {"sound": "blocks.0", "sight": "second"}], "'blocks.0'.*runs before"),
        ([{"sound": "blocks.0", "sight": "act"}], "'act' of Sight runs more than once"),
        ([{"sound": "blocks.0", "sight": "act"}, {"sound": "last", "sight": "second"}], None),
    ],
)
def test_layers_that_do_not_run_once_in_order_are_told(places, message):
    channels = {"unused": 2, "blocks.0": 4, "last": 5, "first": 4, "act": 4, "second": 8}
    named = [(p, MMTM({m: channels[layer] for m, layer in p.items()})) for p in places]
    net = Interleaved({"sound": Sound(), "sight": Sight()}, named)
    with pytest.raises(ConfigError, match=message):
        net(inputs())
    assert not any(m._forward_hooks for m in net.modules())


def test_errors_come_out_where_the_caller_waits():
    net, x = hooked(), inputs()
    with pytest.raises(RuntimeError, match="channels"):  # in a thread, before the first layer
        net({**x, "sight": x["sight"].repeat(1, 2, 1, 1)})
    net.parts[1] = MMTM({"sound": 9, "sight": 9})
    with pytest.raises(ShapeError, match=r"the sound maps.*\(B, 9"):  # between threads
        net(x)
    net.encoders["sound"].last = nn.LSTM(16, 5)
    with pytest.raises(ShapeError, match="gives tuple"):
        net(x)
    assert not any(m._forward_hooks for m in net.modules())


def test_stages_compile_and_export():
    encoders = {"a": create_encoder("audio_cnn", width=2), "b": create_encoder("audio_cnn", width=2)}
    net = Interleaved(encoders, [(dict.fromkeys("ab", "conv2"), MMTM({"a": 4, "b": 4}))]).eval()
    x = {m: torch.randn(2, 1, 16, 30) for m in "ab"}
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), net(x))
        torch.testing.assert_close(torch.export.export(net, (x,)).module()(x), net(x))
