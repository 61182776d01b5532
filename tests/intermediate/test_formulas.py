"""Each part against its paper's equations, in float64 and NumPy."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.intermediate import MMTM, MSAF, CrossModal, create_intermediate
from counterpoint.intermediate.tokens import positions


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def array(tensor):
    return tensor.detach().numpy()


def linear(layer, x):
    return x @ array(layer.weight).T + (0 if layer.bias is None else array(layer.bias))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layer_norm(norm, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + norm.eps)
    return x * array(norm.weight) + array(norm.bias)


def close(tensor, expected):
    np.testing.assert_allclose(array(tensor), expected, rtol=1e-9, atol=1e-12)


def stirred(module):
    """Weights that no initialisation has made equal or zero."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


def attend(attention, x):
    """Eq. (5): multi-head self-attention of ``(T, d)``, causal."""
    length, d = x.shape
    heads = attention.num_heads
    qkv = x @ array(attention.in_proj_weight).T + array(attention.in_proj_bias)
    q, k, v = (part.reshape(length, heads, d // heads) for part in np.split(qkv, 3, axis=1))
    out = np.zeros((length, heads, d // heads))
    for h in range(heads):
        for t in range(length):
            seen = q[t, h] @ k[: t + 1, h].T / math.sqrt(d // heads)
            out[t, h] = softmax(seen, 0) @ v[: t + 1, h]
    return linear(attention.out_proj, out.reshape(length, d))


def token_encoder(part, maps):
    """Eqs. (5) and (6) for one sample ``(C, T)``."""
    width = part.width
    x = maps.T if isinstance(part.embed, nn.Identity) else linear(part.embed, maps.T)
    x = math.sqrt(width) * x
    for t in range(len(x)):
        for i in range(0, width, 2):
            angle = t / 10000 ** (i / width)
            x[t, i] += math.sin(angle)
            x[t, i + 1] += math.cos(angle)
    for layer in part.layers.layers:
        x = x + attend(layer.self_attn, layer_norm(layer.norm1, x))
        x = x + linear(layer.linear2, np.maximum(linear(layer.linear1, layer_norm(layer.norm2, x)), 0))
    return layer_norm(part.layers.norm, x)[-1]


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("self_attention", [True, False])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("width", [8, 4])
def test_cross_modal(variant, self_attention, residual, width):
    options = {"attention_options": {"width": width, "layers": 2, "heads": 2, "hidden": 5}} if self_attention else {}
    part = CrossModal(
        {"a": 8, "v": 6}, hidden=3, variant=variant, self_attention=self_attention, residual=residual, **options
    )
    stirred(part)
    x = {"a": torch.randn(2, 8, 5), "v": torch.randn(2, 6, 2, 3, 4)}
    out = part(x)
    assert list(out) == ["a", "v"] and out["a"] is x["a"]
    for b in range(2):
        a, v = array(x["a"][b]), array(x["v"][b])
        summary = token_encoder(part.tokens, a) if self_attention else a.mean(1)
        score = np.zeros((2, 3, 4))
        for place in np.ndindex(2, 3, 4):
            q = np.tanh(linear(part.project_target, v[(slice(None), *place)]) + linear(part.project_source, summary))
            score[place] = linear(part.score, q)[0]
        if variant == "paper":
            weights = softmax(score.reshape(-1), 0).reshape(2, 3, 4)
        else:
            weights = 16 * softmax(score.reshape(2, -1), 1).reshape(2, 3, 4)
        close(part.attention(x)[b], weights)
        close(out["v"][b], weights * v + (v if residual else 0))


def test_cross_modal_goes_either_way_and_leaves_others_alone():
    channels = {"a": 8, "v": 6, "t": 4}
    maps = {"a": torch.randn(2, 8, 5), "v": torch.randn(2, 6, 3, 4), "t": torch.randn(2, 4)}
    for options, target in (({}, "v"), ({"source": "v"}, "a"), ({"target": "a"}, "a"), ({"source": "t"}, "a")):
        part = CrossModal(channels, attention_options={"width": 4, "heads": 2, "layers": 1}, **options).eval()
        out = part(maps)
        assert part.target == target
        for name, x in maps.items():
            assert (out[name] is x) == (name != target)
    weights = part.attention(maps)
    close(weights.sum(1), np.ones(2))
    loud = CrossModal(channels, gain=3.0).eval()
    close(loud.attention(maps).sum((1, 2)), np.full(2, 3.0))


def test_each_sample_has_its_own_map():
    """The released code adds up the maps of a batch; here a neighbour changes nothing."""
    part = stirred(CrossModal({"a": 8, "v": 6}))
    a, v = torch.randn(3, 8, 5), torch.randn(3, 6, 4)
    before = part.attention({"a": a, "v": v})
    after = part.attention({"a": torch.cat([a[:1], 9 * a[1:]]), "v": torch.cat([v[:1], -v[1:]])})
    close(after[:1], array(before[:1]))
    assert not torch.allclose(after[1:], before[1:])


def test_the_last_token_has_seen_all():
    part = stirred(CrossModal({"a": 8, "v": 6})).tokens
    x = torch.randn(1, 8, 5, requires_grad=True)
    part(x).sum().backward()
    assert (x.grad.abs().sum((0, 1)) > 1e-6).all()
    close(
        positions(3, 4), [[0, 1, 0, 1], *[[f(t * r) for r in (1, 0.01) for f in (math.sin, math.cos)] for t in (1, 2)]]
    )


def test_sinusoids_of_the_released_code():
    """Positions from 1, all sines before all cosines, and the exponent over d / 2 - 1: 31 for CFN-SR's 64."""
    expected = np.zeros((5, 64))
    for p in range(5):
        for i in range(32):
            angle = (p + 1) * math.exp(-math.log(10000) * i / 31)
            expected[p, i], expected[p, 32 + i] = math.sin(angle), math.cos(angle)
    close(positions(5, 64, variant="released"), expected)
    released = stirred(CrossModal({"a": 8, "v": 6}, attention_options={"variant": "released"})).tokens
    paper = stirred(CrossModal({"a": 8, "v": 6})).tokens
    x = torch.randn(1, 8, 5)
    paper.load_state_dict(released.state_dict())
    assert not torch.allclose(paper(x), released(x))
    with pytest.raises(ConfigError, match="released sinusoids need a width of at least 4"):
        CrossModal({"a": 8, "v": 6}, attention_options={"variant": "released", "width": 2, "heads": 1})


@pytest.mark.parametrize(("variant", "gain"), [("paper", 2), ("released", 1)])
def test_mmtm(variant, gain):
    part = stirred(MMTM({"a": 4, "v": 6, "t": 5}, ratio=3, variant=variant))
    x = {"a": torch.randn(2, 4, 5), "v": torch.randn(2, 6, 2, 3, 4), "t": torch.randn(2, 5)}
    out = part(x)
    means = [array(x[m]).reshape(2, c, -1).mean(-1) for m, c in part.channels.items()]
    z = np.maximum(linear(part.squeeze, np.concatenate(means, 1)), 0)
    assert z.shape == (2, 10)
    for m in x:
        gate = gain * sigmoid(linear(part.excite[m], z))
        close(out[m], gate.reshape(2, -1, *[1] * (x[m].ndim - 2)) * array(x[m]))


def test_mmtm_that_has_learnt_nothing_changes_nothing():
    part = MMTM({"a": 4, "v": 6})
    for layer in part.excite.values():
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = {"a": torch.randn(2, 4, 5), "v": torch.randn(2, 6)}
    for m, y in part(x).items():
        close(y, array(x[m]))


@pytest.mark.parametrize("lowest", [0.0, 0.25])
def test_msaf(lowest):
    part = stirred(MSAF({"a": 8, "v": 14, "t": 4}, block_channels=4, reduction=2, lowest=lowest))
    nn.init.normal_(part.norm.running_mean)
    nn.init.uniform_(part.norm.running_var, 0.5, 2)
    x = {"a": torch.randn(2, 8, 5), "v": torch.randn(2, 14, 2, 3), "t": torch.randn(2, 4)}
    out = part(x)
    for b in range(2):
        blocks = []  # (modality, first channel, channels of this block)
        for m, c in part.channels.items():
            blocks += [(m, k, min(4, c - k)) for k in range(0, c, 4)]
        assert len(blocks) == 2 + 4 + 1
        total = np.zeros(4)
        for m, k, size in blocks:
            total[:size] += array(x[m][b]).reshape(part.channels[m], -1)[k : k + size].mean(1)
        norm = part.norm
        z = (linear(part.joint, total) - array(norm.running_mean)) / np.sqrt(array(norm.running_var) + norm.eps)
        z = np.maximum(z * array(norm.weight) + array(norm.bias), 0)
        scores = np.stack([linear(part.score[m], z)[k : k + 4] for m, k, _ in blocks])
        weights = lowest + (1 - lowest) * softmax(scores, 0)
        for (m, k, size), weight in zip(blocks, weights, strict=True):
            piece = array(x[m][b])[k : k + size]
            close(out[m][b][k : k + size], weight[:size].reshape(-1, *[1] * (piece.ndim - 1)) * piece)


def test_msaf_leaves_out_whole_blocks_and_scales_the_others_once():
    part = MSAF({"a": 8, "v": 6}, block_channels=4, block_dropout=0.5, lowest=1.0).train()  # weights are all one
    out = part({"a": torch.ones(400, 8, 3), "v": torch.ones(400, 6)})
    assert set(out["a"].unique().tolist()) == set(out["v"].unique().tolist()) == {0.0, 2.0}
    a = out["a"].reshape(400, 2, 12)
    assert (a == a[..., :1]).all()
    assert (a[:, 0, 0] != a[:, 1, 0]).any()
    assert (out["v"][:, :4] == out["v"][:, :1]).all() and (out["v"][:, 4] == out["v"][:, 5]).all()
    assert out["a"].mean().item() == pytest.approx(1, abs=0.1)


def test_msaf_takes_a_single_sample_in_training():
    part = MSAF({"a": 8, "v": 6}, block_dropout=0.0).train()
    x = {"a": torch.randn(1, 8, 3), "v": torch.randn(1, 6)}
    alone = part(x)
    for m, y in part.eval()(x).items():
        close(alone[m], array(y))


def test_parameters_as_counted_in_the_paper():
    def count(part):
        return sum(p.numel() for p in part.parameters())

    late, mid = {"audio": 64, "visual": 2048}, {"audio": 32, "visual": 1024}
    assert count(CrossModal(late)) == 131_136 + 4_096 + 65 + 250_048
    assert count(CrossModal(late, residual=False)) == count(CrossModal(late))
    assert count(CrossModal(late, self_attention=False)) == 131_136 + 4_096 + 65
    assert count(MSAF(mid)) + count(MSAF(late)) == 24_644
    assert MSAF(mid).block_channels == 16 and MSAF(late).block_channels == 32


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("mmtmm", {}, UnknownNameError, "Did you mean 'mmtm'"),
        ("mmtm", {"ratoi": 2}, ConfigError, "Did you mean 'ratio'"),
        ("mmtm", {"ratio": 0}, ConfigError, "above 0"),
        ("mmtm", {"ratio": 1000}, ConfigError, "leaves nothing"),
        ("mmtm", {"variant": "papr"}, ConfigError, "Did you mean 'paper'"),
        ("msaf", {"block_channels": 0}, ConfigError, "at least 1"),
        ("msaf", {"block_dropout": 1.0}, ConfigError, "block_dropout is 1.0"),
        ("msaf", {"lowest": -0.1}, ConfigError, "lowest -0.1"),
        ("cross_modal", {"source": "w"}, UnknownNameError, "no modality 'w'"),
        ("cross_modal", {"source": "v", "target": "v"}, ConfigError, "at once"),
        ("cross_modal", {"hidden": 0}, ConfigError, "hidden is 0"),
        ("cross_modal", {"gain": -1.0}, ConfigError, "above 0"),
        ("cross_modal", {"attention_options": {"widht": 4}}, ConfigError, "Did you mean 'width'"),
        ("cross_modal", {"attention_options": {"width": 12}}, ConfigError, "multiple of the heads"),
        ("cross_modal", {"attention_options": {"dropout": 1.0}}, ConfigError, "dropout is 1.0"),
        ("cross_modal", {"self_attention": False, "attention_options": {"width": 8}}, ConfigError, "need self_att"),
    ],
)
def test_wrong_options_are_told(name, options, error, message):
    with pytest.raises(error, match=message):
        create_intermediate(name, {"a": 8, "v": 6}, **options)


@pytest.mark.parametrize("channels", [{}, {"a": 3}, {"a": 3, "v": 0}, {"a": 3, "v.w": 2}])
def test_wrong_channels_are_told(channels):
    with pytest.raises(ConfigError):
        MMTM(channels)


def test_wrong_maps_are_told():
    part = CrossModal({"a": 8, "v": 6})
    a, v = torch.randn(2, 8, 3), torch.randn(2, 6, 4)
    for maps, error, message in (
        ({"a": a}, UnknownNameError, "'v'"),
        ({"a": a, "v": v, "w": v}, UnknownNameError, "'w'"),
        ({"a": a, "v": a}, ShapeError, r"the v maps.*\(B, 6"),
        ({"a": a[:1], "v": v}, ShapeError, "same B"),
        ({"a": a, "v": v.int()}, ShapeError, "int32"),
        ({"a": a, "v": v[..., 0]}, ShapeError, "positions to weigh"),
    ):
        with pytest.raises(error, match=message):
            part(maps)
