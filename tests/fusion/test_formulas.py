"""Each fusion against the paper's equation, in float64 and NumPy."""

import math

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError
from counterpoint.fusion import Concat, FiLM, Gated, Sum
from counterpoint.fusion.gate import ZetaGate

TWO = {"audio": 6, "visual": 6}
THREE = {"audio": 6, "visual": 6, "text": 6}
C = 4


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def features(dims, batch=3):
    return {m: torch.randn(batch, d) for m, d in dims.items()}


def array(tensor):
    return tensor.detach().numpy()


def linear(layer, x):
    return x @ array(layer.weight).T + array(layer.bias)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def energy(x, lam):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return 4 * (variance + lam) / ((x - mean) ** 2 + 2 * variance + 2 * lam)


def attended(x1, x2, zeta, r):
    """Eqs. (4), (7) and (8) of SimAM²."""
    u = zeta * x1 + (1 - zeta) * x2
    e_u = energy(u, 1e-6)
    e = e_u - zeta**2 * energy(x1, 0) - (1 - zeta) ** 2 * energy(x2, 0) + (1 - r) * e_u
    return sigmoid(e) * u


def parts(fusion, x):
    """W_m x_m + b / M of a linear head."""
    w, b = fusion.head.weights(), array(fusion.head.bias)
    return [array(x[m]) @ array(w[m]).T + b / len(w) for m in w]


def close(tensor, expected):
    np.testing.assert_allclose(array(tensor), expected, rtol=1e-9, atol=1e-12)


def test_sum_of_logits():
    x = features(TWO)
    plain = Sum(TWO, C)
    a, v = parts(plain, x)
    out = plain(x)
    close(out.logits, a + v)
    close(out.unimodal_logits["visual"], v)
    weighted = Sum(TWO, C, zeta=0.3)
    weighted.load_state_dict(plain.state_dict())
    out = weighted(x)
    close(out.logits, 0.3 * a + 0.7 * v)
    close(out.unimodal_logits["audio"], 0.3 * a)
    assert out.weights["visual"].item() == pytest.approx(0.7)


def test_sum_with_simam2_and_constant_zeta():
    x, fusion = features(TWO), Sum(TWO, C, attention="simam2")
    a, v = parts(fusion, x)
    out = fusion(x)
    close(out.logits, attended(a, v, 0.5, math.tanh(1)))
    assert out.extras["r"].item() == pytest.approx(math.tanh(1))
    bias = array(fusion.head.bias) / 2 + np.zeros_like(a)
    close(out.unimodal_logits["audio"], attended(a, bias, 0.5, math.tanh(1)))


def test_sum_of_features_with_learned_zeta_and_simam2():
    x, fusion = features(TWO, 9), Sum(TWO, C, attention="simam2", zeta="learned", sum_at="features", gate_hidden=5)
    first, _, last = fusion.superposition.gate.net
    both = np.concatenate([array(x["audio"]), array(x["visual"])], 1)
    zeta = sigmoid(linear(last, np.maximum(linear(first, both), 0)))
    variance = zeta.var(0).sum()
    r = math.tanh((2.5 * variance + 1e-6) / (variance + 1e-6))  # Eq. (6) on the first batch
    u = attended(array(x["audio"]), array(x["visual"]), zeta, r)
    out = fusion(x)
    close(out.weights["audio"], zeta)
    close(out.fused, u)
    close(out.logits, u @ array(fusion.head.weights()["fused"]).T + array(fusion.head.bias))
    assert out.extras["r"].item() == pytest.approx(r)
    close(fusion.superposition.attention.var_max, zeta.var(0))


def test_three_modalities_share_what_zeta_leaves():
    x, fusion = features(THREE), Sum(THREE, C, zeta=0.5)
    a, v, t = parts(fusion, x)
    close(fusion(x).logits, 0.5 * a + 0.25 * v + 0.25 * t)
    gate = ZetaGate(18, 6, 3, hidden=None)
    scores = linear(gate.net, np.concatenate([array(t) for t in x.values()], 1)).reshape(3, 3, 6)
    close(torch.stack(gate(list(x.values())), 1), np.exp(scores) / np.exp(scores).sum(1, keepdims=True))


def test_concatenation_plain_and_as_padded_streams():
    dims = {"audio": 4, "visual": 7}
    x, plain = features(dims), Concat(dims, C)
    a, v = parts(plain, x)
    out = plain(x)
    close(out.logits, a + v)
    close(out.unimodal_logits["audio"], a)
    fusion = Concat(dims, C, attention="simam2")
    fusion.load_state_dict(plain.state_dict())
    x1 = np.concatenate([array(x["audio"]), np.zeros((3, 7))], 1)
    x2 = np.concatenate([np.zeros((3, 4)), array(x["visual"])], 1)
    u = attended(x1, x2, 0.5, math.tanh(1))
    out = fusion(x)
    close(out.fused, u)
    w, b = fusion.head.weights(), array(fusion.head.bias)
    close(out.unimodal_logits["visual"], u[:, 4:] @ array(w["visual"]).T + b / 2)
    close(sum(out.unimodal_logits.values()), array(out.logits))
    assert out.weights is None


def test_concatenation_tells_its_zeta_where_asked():
    """What Eq. (11) of SimAM² sums: zeta of all channels of the padded vectors, and one minus it."""
    dims = {"audio": 4, "visual": 7}
    x, fusion = features(dims), Concat(dims, C, attention="simam2", zeta="learned", report_weights=True)
    first, _, last = fusion.superposition.gate.net
    both = np.concatenate([array(x["audio"]), array(x["visual"])], 1)
    zeta = sigmoid(linear(last, np.maximum(linear(first, both), 0)))
    out = fusion(x)
    close(out.weights["audio"], zeta)
    close(out.weights["visual"], 1 - zeta)
    assert out.weights["audio"].shape == out.fused.shape
    for options in ({}, {"attention": "simam2", "hidden": 3}):
        with pytest.raises(ConfigError, match="report_weights"):
            Concat(dims, C, report_weights=True, **options)


def test_concatenation_takes_one_modality():
    x, fusion = features({"audio": 5}), Concat({"audio": 5}, C)
    out = fusion(x)
    close(out.logits, parts(fusion, x)[0])
    close(out.unimodal_logits["audio"], array(out.logits))
    close(fusion.ablated(x, "audio"), array(out.logits))


@pytest.mark.parametrize(("major", "other"), [("audio", "visual"), ("visual", "audio")])
def test_film(major, other):
    x, fusion = features(TWO), FiLM(TWO, C, major=major)
    gamma, beta = np.split(linear(fusion.affine[major], array(x[other])), 2, 1)
    f = array(x[major])
    out = fusion(x)
    close(out.fused, gamma * f + beta)  # Eq. (9)
    assert out.weights is None
    balanced = FiLM(TWO, C, major=major, zeta=0.3)
    balanced.load_state_dict(fusion.state_dict())
    out = balanced(x)
    close(out.fused, 0.3 * gamma * f + 0.7 * beta)  # Eq. (10)
    assert out.weights[major].item() == pytest.approx(0.3)
    attending = FiLM(TWO, C, major=major, attention="simam2")
    attending.load_state_dict(fusion.state_dict())
    close(attending(x).fused, attended(gamma * f, beta, 0.5, math.tanh(1)))
    assert not out.unimodal_logits[major].requires_grad


def test_film_by_default_lets_the_first_modality_modulate_the_last():
    assert FiLM(TWO, C).major == "visual"


def test_film_is_conditioned_on_all_others():
    x, fusion = features(THREE), FiLM(THREE, C, major="visual", zeta=0.4)
    condition = np.concatenate([array(x["audio"]), array(x["text"])], 1)
    gamma, beta = np.split(linear(fusion.affine["visual"], condition), 2, 1)
    out = fusion(x)
    close(out.fused, 0.4 * gamma * array(x["visual"]) + 0.6 * beta)
    assert out.weights["text"].item() == pytest.approx(0.3)


def test_film_in_two_streams_is_mmcosines():
    dims = {"audio": 4, "visual": 7}
    x, fusion = features(dims), FiLM(dims, C, two_stream=True, zeta=0.3)
    expected = []
    for major, other in (("audio", "visual"), ("visual", "audio")):
        gamma, beta = np.split(linear(fusion.affine[major], array(x[other])), 2, 1)
        expected.append(0.3 * gamma * array(x[major]) + 0.7 * beta)
    out = fusion(x)
    close(out.fused, np.concatenate(expected, 1))
    w, b = fusion.head.weights(), array(fusion.head.bias)
    close(out.logits, expected[0] @ array(w["audio"]).T + expected[1] @ array(w["visual"]).T + b)
    close(out.weights["audio"][0], np.r_[[0.3] * 4, [0.7] * 7])


def test_two_streams_with_cosine_head():
    x, fusion = features(TWO), FiLM(TWO, C, two_stream=True, head="cosine", head_options={"scale": 10})
    streams = np.split(array(fusion(x).fused), 2, 1)
    cosines = 0
    for stream, w in zip(streams, map(array, fusion.head.weights().values()), strict=True):
        cosines = cosines + np.array([[wj @ s / np.linalg.norm(wj) / np.linalg.norm(s) for wj in w] for s in stream])
    close(fusion(x).logits, 10 * cosines)


def test_gate():
    x, fusion = features(TWO), Gated(TWO, C)
    a, v = (linear(fusion.project[m], array(x[m])) for m in TWO)
    close(fusion(x).fused, sigmoid(a) * v)
    weighted = Gated(TWO, C, zeta=0.3)
    weighted.load_state_dict(fusion.state_dict())
    close(weighted(x).fused, 0.3 * sigmoid(a) * v + 0.7 * a)
    two = Gated(TWO, C, two_stream=True)
    a, v = (linear(two.project[m], array(x[m])) for m in TWO)
    close(two(x).fused, np.concatenate([sigmoid(v) * a, sigmoid(a) * v], 1))


def test_gate_of_three_is_one_layer_over_the_others():
    x, fusion = features(THREE), Gated(THREE, C, major="text")
    a, v, t = (linear(fusion.project[m], array(x[m])) for m in THREE)
    close(fusion(x).fused, sigmoid(a + v) * t)


def test_gmu():
    dims = {"audio": 4, "visual": 7}
    x, fusion = features(dims), Gated(dims, C, form="gmu", size=5)
    z = sigmoid(linear(fusion.superposition["visual"].gate.net, np.concatenate([array(t) for t in x.values()], 1)))
    a, v = (np.tanh(linear(fusion.project[m], array(x[m]))) for m in dims)
    out = fusion(x)
    close(out.fused, z * a + (1 - z) * v)
    close(out.weights["audio"], z)


def test_gmu_with_a_number_comes_apart():
    x, fusion = features(TWO), Gated(TWO, C, form="gmu", zeta=0.4)
    out = fusion(x)
    close(sum(out.unimodal_logits.values()), array(out.logits))
    assert out.unimodal_logits["audio"].requires_grad


def test_concatenation_with_fully_connected_layers():
    dims = {"audio": 4, "visual": 7}
    x, fusion = features(dims), Concat(dims, C, hidden=[5, 3])
    first, _, _, second, _, _ = fusion.hidden
    both = np.concatenate([array(x["audio"]), array(x["visual"])], 1)
    fused = np.maximum(linear(second, np.maximum(linear(first, both), 0)), 0)
    out = fusion(x)
    close(out.fused, fused)
    close(out.logits, fused @ array(fusion.head.weights()["fused"]).T + array(fusion.head.bias))
    close(out.unimodal_logits["audio"], array(fusion.ablated(x, "audio")))
    assert not out.unimodal_logits["audio"].requires_grad


def test_concatenation_with_fully_connected_layers_has_the_papers_parameters():
    """Table 1 of CFN-SR: 26.87M, less both trunks."""
    fusion = Concat({"audio": 1664, "visual": 2048}, 8, hidden=[256, 128])
    assert sum(p.numel() for p in fusion.parameters()) == 26_870_824 - 25_865_664 - 20_704
    assert [type(layer).__name__ for layer in Concat({"audio": 4}, C, hidden=3).hidden] == ["Linear", "ReLU", "Dropout"]
