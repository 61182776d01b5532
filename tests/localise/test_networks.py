import numpy as np
import pytest
import torch

from counterpoint.balance import OGMGE
from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.functional import simam2
from counterpoint.localise import create_localiser, list_localisers
from counterpoint.localise.guided import ChannelSpatialAttention, GuidedAttention
from counterpoint.localise.psp import Propagation
from localiser_cases import DIMS, C, features, make, target


def array(tensor):
    return tensor.detach().numpy()


def relu(x):
    return np.maximum(x, 0)


def linear(layer, x):
    return x @ array(layer.weight).T + (0 if layer.bias is None else array(layer.bias))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_the_whole_table_is_there():
    assert set(list_localisers()) >= {
        *("avel", "avsdn", "cman", "dam", "avrb", "avin", "avt", "cmran", "psp", "bmfn"),
    }
    assert list_localisers("av*") == ["avel", "avin", "avrb", "avsdn", "avt"]


@pytest.mark.parametrize(("variant", "inner"), [("paper", 3), ("paper", 7), ("released", 7)])
def test_guided_attention(variant, inner):
    """Released, the sound's l-th number is added to all of position l."""
    m = GuidedAttention(6, 4, hidden=5, inner=inner, variant=variant).double()
    v, a = torch.randn(2, 3, 7, 6, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    out, weights = m(v, a)
    for b in range(2):
        for t in range(3):
            seen = linear(m.visual[2], relu(linear(m.visual[0], array(v[b, t]))))  # (positions, inner)
            heard = linear(m.audio[2], relu(linear(m.audio[0], array(a[b, t]))))  # (inner,)
            rows = [seen[p] + (heard if variant == "paper" else heard[p]) for p in range(7)]
            common = np.tanh(np.stack(rows))
            w = softmax(linear(m.score, common)[:, 0])
            np.testing.assert_allclose(array(weights[b, t]), w, rtol=1e-9)
            np.testing.assert_allclose(array(out[b, t]), w @ array(v[b, t]), rtol=1e-8)


def test_a_number_of_positions_that_the_released_sum_cannot_have():
    with pytest.raises(ShapeError, match=r"3 positions, but the attention's inner width is 49.*variant='paper'"):
        make("psp", variant="released")(features(1))
    with pytest.raises(ConfigError, match="variant='released' is of the guided attention, and there is none"):
        make("avel", guided=False, variant="released")


@pytest.mark.parametrize("name", ["avel", "psp"])
def test_both_networks_hand_the_variant_on(name):
    forms = {variant: make(name, inner=3, variant=variant).eval() for variant in ("paper", "released")}
    forms["released"].load_state_dict(forms["paper"].state_dict())  # the same parameters
    x = features(2)
    paper, released = (form(x).extras["attention"] for form in forms.values())
    assert paper.shape == released.shape and not torch.allclose(paper, released)
    with torch.no_grad():
        for form in forms.values():
            form.guide.audio[2].weight.zero_()
    paper, released = (form(x).extras["attention"] for form in forms.values())
    assert torch.equal(paper, released)  # they differ by the sound's term alone


def test_channels_and_positions_guided_by_sound():
    m = ChannelSpatialAttention(6, 5, guide=4, variant="released").double()
    v, a = torch.randn(1, 2, 7, 6, dtype=torch.float64), torch.randn(1, 2, 4, dtype=torch.float64)
    out, _ = m(v, a)
    for t in range(2):
        x, y = array(v[0, t]), array(a[0, t])
        asked = (relu(linear(m.project, x)) * relu(linear(m.channel_guide, y))).mean(0)
        channels = 1 / (1 + np.exp(-linear(m.excite, relu(linear(m.squeeze, asked))))) + 1
        x = x * channels
        positions = relu(linear(m.spatial, x)) * relu(linear(m.spatial_guide, y))
        np.testing.assert_allclose(array(out[0, t]), softmax(np.tanh(linear(m.score, positions))[:, 0]) @ x, rtol=1e-8)


@pytest.mark.parametrize("project", [True, False])
def test_propagation(project):
    torch.manual_seed(3)
    m = Propagation(6, 1.25, project=project).double().eval()
    a, v = torch.randn(2, 5, 6, dtype=torch.float64), torch.randn(2, 5, 6, dtype=torch.float64)
    out = m({"visual": v, "audio": a})
    for b in range(2):
        x, y = array(a[b]), array(v[b])
        a1, a2 = relu(linear(m.first["audio"], x)), relu(linear(m.second["audio"], x))
        v1, v2 = relu(linear(m.first["visual"], y)), relu(linear(m.second["visual"], y))
        similarity = relu(v2 @ a1.T / np.sqrt(6))

        def cut(s):
            s = s / (s.sum(-1, keepdims=True) + 1e-8)
            s = np.where(s > 1.25 / 5, s, 0)
            return s / (s.sum(-1, keepdims=True) + 1e-8) if project else s

        for name, z in (("visual", y + cut(similarity) @ a2), ("audio", x + cut(similarity.T) @ v1)):
            if project:
                z = relu(linear(m.out[name], z))
            z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-6)
            np.testing.assert_allclose(array(out[name][b]), z, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("segments", "threshold"), [(10, 0.099), (15, 0.066), (40, 0.02475)])
def test_psp_cuts_off_what_is_below_an_even_share_however_many_segments_there_are(segments, threshold):
    propagation = make("psp").propagation
    even = torch.ones(1, segments, segments)
    assert (propagation._shares(even) > 0).all()
    one = even.clone()
    one[0, 0, 0] = 0.9 * threshold * (segments - 1) / (1 - 0.9 * threshold)  # its share is 0.9 of the threshold
    assert (propagation._shares(one)[0, 0] > 0).tolist() == [False] + [True] * (segments - 1)


def test_avel_of_one_modality():
    for dims in ({"audio": 6}, {"visual": 12}):
        net = make("avel", dims)
        out = net(features(2, dims=dims))
        assert out.event.shape == (2, 5) and out.unimodal_logits == {} and set(net.encoders()) == set(dims)
    with pytest.raises(ConfigError, match="alone"):
        make("avel", {"audio": 6}, attention="simam2")


def test_unimodal_logits_come_from_silencing_the_late_streams():
    net = make("avel").eval()
    x = features(2)
    out = net(x)
    streams = {
        "visual": net.recurrent["visual"](net.guide(x["visual"], x["audio"])[0]),
        "audio": net.recurrent["audio"](x["audio"]),
    }
    quiet = torch.zeros_like(streams["audio"])
    alone = net.head.logits(torch.cat([streams["visual"], quiet], -1).relu())  # declared first
    torch.testing.assert_close(out.unimodal_logits["visual"], alone)
    alone = net.head.logits(torch.cat([quiet, streams["audio"]], -1).relu())
    torch.testing.assert_close(out.unimodal_logits["audio"], alone)
    assert not out.unimodal_logits["audio"].requires_grad


def test_simam2_takes_the_place_of_psps_mean():
    net, plain = make("psp", attention="simam2").eval(), make("psp").eval()
    plain.load_state_dict(net.state_dict())
    seen = {}
    plain.propagation.register_forward_hook(lambda _m, _i, o: seen.update(o))
    x = features(2)
    out = net(x)
    plain_out = plain(x)
    mean = (seen["visual"] + seen["audio"]) / 2
    torch.testing.assert_close(plain.head.logits(mean), plain_out.segment_logits)
    attended = simam2([seen["visual"], seen["audio"]], [0.5, 0.5], np.tanh(1.0))
    torch.testing.assert_close(net.head.logits(attended), out.segment_logits)
    assert plain_out.weights is None and float(out.weights["visual"]) == 0.5


@pytest.mark.parametrize("supervision", ["fully", "weakly"])
@pytest.mark.parametrize("name", ["avel", "psp"])
def test_ogm_ge_and_decoupling_free_modulation(name, supervision):
    for ratio, options in (("score", {}), ("zeta", {"attention": "simam2", "zeta": "learned"})):
        net = make(name, supervision=supervision, **options)
        balance = OGMGE(net.encoders(), ratio=ratio, parameters="all")
        before = {n for n, _ in net.named_parameters()}
        y = target(4, supervision)
        out = net(features(4))
        net.loss(out, y).backward()
        gradients = {n: p.grad.clone() for n, p in net.named_parameters()}
        told = balance.step(out, y)
        assert told["ratio"].shape == (2,) and told["coefficient"].min() < 1
        changed = {n for n, p in net.named_parameters() if not torch.equal(p.grad, gradients[n])}
        own = {id(p) for e in net.encoders().values() for p in e.parameters()}
        assert changed == {n for n, p in net.named_parameters() if id(p) in own} and changed < before
        assert not any(n.startswith(("propagation", "join", "head")) for n in changed)


def test_zeta_weights_sum_to_one_and_follow_the_declared_order():
    net = make("psp", zeta="learned").eval()
    out = net(features(2))
    assert list(out.weights) == ["visual", "audio"]
    torch.testing.assert_close(out.weights["visual"] + out.weights["audio"], torch.ones(2, 5, 8))


def test_silenced_leaves_the_network_as_it_was():
    net = make("bmfn").train()
    net.head.eval()
    state = {n: t.clone() for n, t in net.state_dict().items()}
    x = features(3)
    out = net.ablated(x, "audio")
    assert net.training and not net.head.training and not out.event.requires_grad
    assert all(torch.equal(t, state[n]) for n, t in net.state_dict().items())
    other = net.ablated({**x, "visual": torch.randn_like(x["visual"])}, "audio")
    torch.testing.assert_close(out.event, other.event)
    both = net.ablated(x, ["audio", "visual"])
    torch.testing.assert_close(both.event, net.eval()(x).event)
    with pytest.raises(UnknownNameError, match="'audio'"):
        net.ablated(x, "audoi")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"audio": torch.randn(2, 5, 7)}, ShapeError, r"needs \(B, T, 6\)"),
        ({"visual": torch.randn(2, 5, 12)}, ShapeError, r"\(B, T, L, 12\) or \(B, T, H, W, 12\)"),
        ({"visual": torch.randn(2, 4, 3, 12)}, ShapeError, "same clips and segments"),
        ({"audio": torch.ones(2, 5, 6, dtype=torch.long)}, ShapeError, "floating point"),
        ({"sound": torch.randn(2, 5, 6)}, UnknownNameError, "sound"),
        ({"visual": torch.randn(2, 5, 0, 12)}, ShapeError, "has shape"),
    ],
)
def test_wrong_features_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        make("cmran")({**features(2), **change})


def test_wrong_options_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'bmfn'"):
        create_localiser("bfmn", DIMS, C)
    with pytest.raises(ConfigError, match="no option 'widht'.*'width'"):
        create_localiser("bmfn", DIMS, C, widht=8)
    with pytest.raises(ConfigError, match="modalities audio and visual"):
        create_localiser("bmfn", {"audio": 6}, C)
    with pytest.raises(ConfigError, match="heads"):
        create_localiser("bmfn", DIMS, C, width=10)
    with pytest.raises(ConfigError, match="'fully'"):
        make("dam", supervision="weakly")
