"""BMFN against Eqs. (1) to (8) of its paper, derived again in float64 and NumPy."""

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError
from counterpoint.localise import create_localiser
from counterpoint.localise.attention import Attention, AttentionLayer, ExpansionAttention, PairFusion
from counterpoint.localise.avfa import AVFA, PositionwiseMFB
from counterpoint.localise.guided import ChannelSpatialAttention
from localiser_cases import DIMS, C, features, make

HEADS = 4


def array(tensor):
    return tensor.detach().numpy()


def linear(layer, x):
    return x @ array(layer.weight).T + array(layer.bias)


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def layer_norm(norm, x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(centred.var(-1, keepdims=True) + norm.eps) * array(norm.weight) + array(norm.bias)


def batch_norm(norm, maps):
    """One sample's maps (heads, T, T), by the running statistics."""
    shape = (-1, 1, 1)
    mean, var = array(norm.running_mean).reshape(shape), array(norm.running_var).reshape(shape)
    scaled = (maps - mean) / np.sqrt(var + norm.eps)
    return scaled * array(norm.weight).reshape(shape) + array(norm.bias).reshape(shape)


def channel_spatial(m, v, released=False):
    """Eq. (1) for one segment, v (L, D_v)."""
    channel = sigmoid(linear(m.excite, relu(linear(m.squeeze, relu(linear(m.project, v)).mean(0)))))
    v = v * (channel + 1 if released else channel)
    asked = relu(linear(m.spatial, v)) if released else v
    return softmax(np.tanh(linear(m.score, asked))[:, 0]) @ v


def pooled(m, v, a, factors=5):
    """Eq. (2) at every position of one segment."""
    product = linear(m.visual, v) * linear(m.audio, a)
    summed = product.reshape(len(v), -1, factors).sum(-1)
    root = np.sign(summed) * np.sqrt(np.abs(summed))
    return root / np.linalg.norm(root, axis=-1, keepdims=True)


def fusion_attention(m, v, a, released=False):
    """Eqs. (2) and (3) for one segment."""
    w = relu(linear(m.squeeze, pooled(m.asking, v, a)))
    channel = sigmoid(linear(m.excite, w.mean(0)))
    answer = pooled(m.answering, v, a) * (channel + 1 if released else channel)
    return softmax(np.tanh(linear(m.score, w))[:, 0]) @ answer


def attended(m, query, memory, released):
    """What the heads gather for one sample, and Q̂; Eq. (4) where the attention is expanded, else Eq. (5)."""
    expanded = isinstance(m, ExpansionAttention)
    d = query.shape[-1]
    q = linear(m.query, query)
    k, v = np.split(linear(m.key_value, memory), 2, -1)
    q_heads, k_heads, v_heads = (x.reshape(len(x), HEADS, -1).transpose(1, 0, 2) for x in (q, k, v))
    scale = np.sqrt(d if expanded and not released else d // HEADS)
    maps = softmax(q_heads @ k_heads.transpose(0, 2, 1) / scale)
    if expanded:
        w7, bn7, _, w8, bn8 = m.refine
        hidden = batch_norm(bn7, np.einsum("oh,hts->ots", array(w7.weight)[:, :, 0, 0], maps))
        hidden = np.clip(hidden, 0, 6) if released else sigmoid(hidden)
        maps = batch_norm(bn8, np.einsum("oh,hts->ots", array(w8.weight)[:, :, 0, 0], hidden)) + maps
    b = (maps @ v_heads).transpose(1, 0, 2).reshape(len(query), -1)
    return (b if expanded and not released else linear(m.out, b)), q


def encoder(m, query, memory, released=False):
    """Eqs. (4), (5): LN(X + FFN(LN(X + Q̂))); released: the usual residuals."""
    x, q = attended(m.attention, query, memory, released)
    inner = layer_norm(m.norm1, x + (query if released else q))
    if m.ffn is None:
        return inner
    y = linear(m.ffn[3], relu(linear(m.ffn[0], inner)))
    return layer_norm(m.norm2, (inner if released else x) + y)


def block(m, x, released):
    x = linear(m.embed, x)
    for layer in m.layers:
        x = encoder(layer, x, x, released)
    return x


def directed(m, x, memory, released):
    """Eq. (6)."""
    query = linear(m.embed, x)
    return encoder(m.layer, query, np.concatenate([query, memory]), released)


def fused(m, one, other, released):
    """Eq. (7)."""
    return encoder(m.layer, one * other, np.concatenate([one, other]), released)


def bmfn(net, visual, audio, released):
    """Eqs. (1) to (7) for one clip: F_1 and F_2."""
    if released:
        visual = relu(linear(net.embed[0], visual))
    v = np.stack([channel_spatial(net.visual_attention, x, released) for x in visual])
    av = np.stack([fusion_attention(net.avfa, x, a, released) for x, a in zip(visual, audio, strict=True)])
    own = {"visual": v, "audio": audio, "fused": av}
    after = {name: block(m, own[name], released) for name, m in net.self_attention.items()}
    fa1 = directed(net.attention["forward_visual"], v, after["fused"], released)
    ba1 = directed(net.attention["backward_visual"], av, after["visual"], released)
    fa2 = directed(net.attention["forward_audio"], audio, after["fused"], released)
    ba2 = directed(net.attention["backward_audio"], av, after["audio"], released)
    return fa1, ba1, fa2, ba2


def made(**options):
    net = make("bmfn", **options).double()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.uniform_(module.bias)
    return net.eval()


def clip():
    torch.manual_seed(1)
    return features(1, segments=6, positions=(4,), dtype=torch.float64)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_equation_1(variant):
    m = ChannelSpatialAttention(12, 8, variant=variant).double()
    v = torch.randn(2, 3, 5, 12, dtype=torch.float64)
    out, weights = m(v)
    expected = [[channel_spatial(m, array(x), variant == "released") for x in sample] for sample in v]
    np.testing.assert_allclose(array(out), expected, rtol=1e-9)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_equations_2_and_3(variant):
    m = AVFA(12, 6, 8, variant=variant).double().eval()
    v, a = torch.randn(2, 3, 5, 12, dtype=torch.float64), torch.randn(2, 3, 6, dtype=torch.float64)
    expected = [
        [fusion_attention(m, array(x), array(y), variant == "released") for x, y in zip(*pair, strict=True)]
        for pair in zip(v, a, strict=True)
    ]
    np.testing.assert_allclose(array(m(v, a)[0]), expected, rtol=1e-8)


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("kind", [Attention, ExpansionAttention])
def test_equations_4_and_5(kind, variant):
    attention = kind(8, HEADS, **({"variant": variant} if kind is ExpansionAttention else {}))
    m = AttentionLayer(attention, 8, 16, variant=variant).double().eval()
    query, memory = torch.randn(2, 5, 8, dtype=torch.float64), torch.randn(2, 7, 8, dtype=torch.float64)
    expected = [encoder(m, array(q), array(k), variant == "released") for q, k in zip(query, memory, strict=True)]
    np.testing.assert_allclose(array(m(query, memory)), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_equations_6_to_8_fully_supervised(variant):
    net, x, released = made(variant=variant), clip(), variant == "released"
    fa1, ba1, fa2, ba2 = bmfn(net, array(x["visual"][0]), array(x["audio"][0]), released)
    one, two = fused(net.fbfm["fbfm1"], fa1, ba1, released), fused(net.fbfm["fbfm2"], fa2, ba2, released)
    f = (one + two) / 2
    s, classes = linear(net.head.event, f)[:, 0], linear(net.head.event_class, f.max(0))
    out = net(x)
    np.testing.assert_allclose(array(out.event[0]), s, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(array(out.event_class[0]), classes, rtol=1e-7, atol=1e-9)
    expected = [classes.argmax() if sigmoid(score) >= 0.5 else C for score in s]
    assert out.segments()[0].tolist() == expected
    probability = np.concatenate([sigmoid(s)[:, None] * softmax(classes), 1 - sigmoid(s)[:, None]], -1)
    np.testing.assert_allclose(array(out.segment_logits[0].softmax(-1)), probability, rtol=1e-6)


def test_weak_supervision_pools_the_joint_scores():
    net = made(supervision="weakly")
    out = net(clip())
    s, classes = sigmoid(array(out.event[0])), softmax(array(out.event_class[0]))
    joint = (s[:, None] * classes[None]).max(0)
    np.testing.assert_allclose(np.exp(array(out.video_logits[0])), [*joint, 1 - s.max()], rtol=1e-6)
    loss = net.loss(out, torch.tensor([2]))
    p, y = np.array([*joint, 1 - s.max()]), np.eye(C + 1)[2]
    assert float(loss.detach()) == pytest.approx(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


@pytest.mark.parametrize("background", [-5.0, 5.0])
def test_weak_supervision_as_released_multiplies_raw_logits(background):
    net = made(supervision="weakly", variant="released")
    torch.nn.init.constant_(net.head.event.bias, 1.0)
    with torch.no_grad():
        net.head.event_class.bias[C] = background
    raw = {}
    net.head.event_class.register_forward_hook(lambda _m, _i, o: raw.update(logits=o))
    net.head.event.register_forward_hook(lambda _m, _i, o: raw.update(event=o[..., 0]))
    out = net(clip())
    logits, s = array(raw["logits"][0]), sigmoid(array(raw["event"][0]))
    assert logits.shape == (C + 1,) and (s >= 0.5).any()
    video = (s[:, None] * logits[None]).max(0)
    np.testing.assert_allclose(array(out.video_logits[0]), video, rtol=1e-9)
    best = logits.argmax()  # a clip that is taken to be background is so throughout
    assert bool(best == C) is (background > 0)
    assert out.segments()[0].tolist() == [int(best) if score >= 0.5 and best != C else C for score in s]
    p, y = softmax(video), np.eye(C + 1)[1]
    margin = -(y * np.log(sigmoid(p)) + (1 - y) * np.log(1 - sigmoid(p))).mean()
    assert float(net.loss(out, torch.tensor([1])).detach()) == pytest.approx(margin)


@pytest.mark.parametrize(
    ("options", "joined"),
    [
        ({"joint": "add"}, lambda a, b: a + b),
        ({"joint": "multiply"}, lambda a, b: a * b),
        ({"joint": "concat"}, lambda a, b: np.concatenate([a, b], -1)),
        ({"pairing": "directional"}, lambda a, b: (a + b) / 2),
    ],
)
def test_ablations_of_tables_2_and_3(options, joined):
    net, x = made(**options), clip()
    fa1, ba1, fa2, ba2 = bmfn(net, array(x["visual"][0]), array(x["audio"][0]), False)
    pairs = [(fa1, fa2), (ba2, ba1)] if "pairing" in options else [(fa1, ba1), (fa2, ba2)]
    f = joined(*[fused(net.fbfm[f"fbfm{n}"], *pair, False) for n, pair in enumerate(pairs, 1)])
    np.testing.assert_allclose(array(net(x).event[0]), linear(net.head.event, f)[:, 0], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"without": "fbfm1"}, {"forward_audio", "backward_audio"}),
        ({"without": "fbfm2"}, {"forward_visual", "backward_visual"}),
        ({"without": "fbfm1", "pairing": "directional"}, {"backward_audio", "backward_visual"}),
        ({"without": "fbfm2", "pairing": "directional"}, {"forward_visual", "forward_audio"}),
    ],
)
def test_what_only_a_missing_module_needed_is_not_there(options, left):
    net = make("bmfn", **options)
    assert set(net.attention) == left
    needed = {"fused" if name.startswith("forward") else name.split("_")[1] for name in left}
    assert set(net.self_attention) == needed


def test_a_joint_of_one_feature_is_refused():
    with pytest.raises(ConfigError, match="without='fbfm1'"):
        make("bmfn", without="fbfm1", joint="concat")


def test_expansion_is_learned_and_the_same_each_time():
    attention = ExpansionAttention(8, HEADS)
    assert sum(p.numel() for p in attention.refine.parameters()) == 88
    attention.eval()
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(attention(x, x)[0], attention(x, x)[0], rtol=0, atol=0)


def test_folding_changes_nothing_in_evaluation():
    torch.manual_seed(0)
    x = {"visual": torch.randn(2, 40, 49, 64), "audio": torch.randn(2, 40, 16)}
    plain, folded = (make("bmfn", {"visual": 64, "audio": 16}, fold=fold).eval() for fold in (False, None))
    with torch.no_grad():
        one, other = plain(x), folded(x)
    assert (one.event - other.event).abs().max() <= 1e-5 * one.event.abs().max()
    assert (one.event_class - other.event_class).abs().max() <= 1e-5 * one.event_class.abs().max()


@pytest.mark.parametrize(("before", "same"), [(False, True), (True, False)])
def test_dropout_lies_after_the_sum_in_the_paper_and_before_it_in_the_release(before, same):
    m = PositionwiseMFB(12, 6, 4, dropout=0.5, drop_before=before)
    torch.nn.init.ones_(m.visual.weight), torch.nn.init.ones_(m.audio.weight)
    torch.nn.init.zeros_(m.visual.bias), torch.nn.init.zeros_(m.audio.bias)
    torch.manual_seed(0)
    out = m.train()(torch.ones(50, 3, 12), torch.ones(50, 6))
    # After the sum an output is whole or gone; before it, a part of its factors may be.
    values = [row[row > 0] for row in out.detach().flatten(0, 1)]
    assert all(row.numel() == 0 or bool((row - row[0]).abs().max() < 1e-6) for row in values) is same


def test_pair_fusion_without_a_feed_forward_network():
    m = PairFusion(AttentionLayer(Attention(8, HEADS), 8, 0)).double().eval()
    one, other = torch.randn(2, 1, 5, 8, dtype=torch.float64)
    np.testing.assert_allclose(array(m(one, other)[0]), fused(m, array(one[0]), array(other[0]), True), rtol=1e-8)


def test_config_makes_it_again():
    net = create_localiser("bmfn", DIMS, C, width=8, ffn=8, joint="add")
    again = create_localiser(net.config["name"], net.config["dims"], net.config["num_classes"], **net.config["options"])
    again.load_state_dict(net.state_dict())
