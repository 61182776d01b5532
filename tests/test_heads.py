import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.functional import mmcosine_scale_bound
from counterpoint.fusion import create_fusion
from counterpoint.heads import HEADS, Cosine, Head, Linear, create_head

DIMS = {"audio": 5, "visual": 7, "text": 3}


def features(batch=4, **changes):
    return {m: torch.randn(batch, d) for m, d in {**DIMS, **changes}.items()}


def test_linear_is_one_layer_over_the_concatenation():
    """Eq. (2) of MMCosine, and Eq. (1) with cross entropy."""
    head, x, y = Linear(DIMS, 6), features(), torch.tensor([0, 5, 2, 2])
    out = head(x)
    w = torch.cat(list(head.weights().values()), 1)
    joint = F.linear(torch.cat(list(x.values()), 1), w, head.bias)
    torch.testing.assert_close(sum(out.values()), joint)
    torch.testing.assert_close(out["audio"], F.linear(x["audio"], head.weights()["audio"], head.bias / 3))
    z = joint.detach().double().numpy()
    vanilla = -np.mean([z[i, k] - np.log(np.exp(z[i]).sum()) for i, k in enumerate(y)])
    assert F.cross_entropy(joint, y).item() == pytest.approx(vanilla, rel=1e-5)


def test_an_encoder_receives_the_joint_error_times_its_block():
    """Eq. (5) of MMCosine."""
    head, x, y = Linear(DIMS, 6), features(), torch.tensor([0, 5, 2, 2])
    x["audio"].requires_grad_()
    joint = sum(head(x).values())
    F.cross_entropy(joint, y, reduction="sum").backward()
    error = joint.softmax(-1) - F.one_hot(y, 6)
    torch.testing.assert_close(x["audio"].grad, (error @ head.weights()["audio"]).detach())


def test_linear_splits_the_logits_of_a_sum():
    head = Linear({"fused": 5}, 4)
    parts = [torch.randn(3, 5) for _ in range(3)]
    torch.testing.assert_close(sum(head.split("fused", parts)), head({"fused": sum(parts)})["fused"])


@pytest.mark.parametrize("bias", ["shared", "each"])
def test_a_sum_with_ogm_ges_biases(bias):
    """Two layers with a bias each, whose decoupled logits have it whole: the scores, and so k, are others."""
    dims = {"audio": 5, "visual": 7}
    fusion = create_fusion("sum", dims, 4, head_options={"bias": bias}).double()
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.normal_()
    x = {m: torch.randn(3, d, dtype=torch.float64) for m, d in dims.items()}
    out, weights = fusion(x), fusion.head.weights()
    for m in dims:
        own = (fusion.head.bias[m] if bias == "each" else fusion.head.bias / 2).detach().numpy()
        expected = x[m].numpy() @ weights[m].detach().numpy().T + own
        np.testing.assert_allclose(out.unimodal_logits[m].detach().numpy(), expected, rtol=1e-10)
    torch.testing.assert_close(out.logits, sum(out.unimodal_logits.values()))
    count = sum(p.numel() for p in fusion.parameters())
    assert count == 4 * 12 + (8 if bias == "each" else 4)


def test_a_bias_of_its_own_begins_as_a_layer_of_its_own():
    torch.manual_seed(0)
    head = Linear({"audio": 4, "visual": 400}, 300, bias="each")
    for m, width in head.dims.items():
        assert 0.9 / width**0.5 < head.weight[m].abs().max() <= 1 / width**0.5
        assert 0.9 / width**0.5 < head.bias[m].abs().max() <= 1 / width**0.5
    parts = [torch.randn(3, 4) for _ in range(3)]
    whole = head({"audio": sum(parts), "visual": torch.zeros(3, 400)})["audio"]
    torch.testing.assert_close(sum(head.split("audio", parts)), whole)


def test_cosine_is_mmcosine():
    head, x = Cosine(DIMS, 6, scale=10), features()
    for m, logits in head(x).items():
        torch.testing.assert_close(logits, 10 * F.cosine_similarity(x[m][:, None], head.weights()[m][None], dim=-1))


def test_cosine_scales_by_its_bound():
    assert Cosine(DIMS, 6).scale == pytest.approx(mmcosine_scale_bound(6, 0.999, num_modalities=3))
    assert Cosine(DIMS, 6, p=0.9).scale == pytest.approx(mmcosine_scale_bound(6, 0.9, num_modalities=3))
    assert "scale=2" in repr(Cosine(DIMS, 6, scale=2))


@pytest.mark.parametrize("name", HEADS.names())
class TestEveryHead:
    def test_state_comes_back(self, name):
        head, fresh, x = create_head(name, DIMS, 6), create_head(name, DIMS, 6), features()
        fresh.load_state_dict(copy.deepcopy(head.state_dict()))
        for a, b in zip(head(x).values(), fresh(x).values(), strict=True):
            torch.testing.assert_close(a, b)

    def test_weights_are_the_parameters(self, name):
        head = create_head(name, DIMS, 6)
        parameters = {id(p) for p in head.parameters()}
        assert {m: tuple(w.shape) for m, w in head.weights().items()} == {m: (6, d) for m, d in DIMS.items()}
        assert all(id(w) in parameters for w in head.weights().values())

    def test_sequences(self, name):
        head = create_head(name, DIMS, 6)
        x = {m: torch.randn(2, 10, d) for m, d in DIMS.items()}
        flat = head({m: t.flatten(0, 1) for m, t in x.items()})
        for m, logits in head(x).items():
            torch.testing.assert_close(logits.flatten(0, 1), flat[m])

    def test_finite(self, name):
        head = create_head(name, DIMS, 6)
        for value in (0.0, 1.0, 1e4, -1e4):
            x = {m: torch.full((2, d), value, requires_grad=True) for m, d in DIMS.items()}
            sum(head(x).values()).sum().backward()
            assert all(torch.isfinite(t.grad).all() for t in x.values())

    def test_order_is_that_of_the_declaration(self, name):
        x = features()
        assert list(create_head(name, DIMS, 6)(dict(reversed(x.items())))) == list(DIMS)

    def test_autocast(self, name):
        head, x = create_head(name, DIMS, 6), features()
        with torch.autocast("cpu", torch.bfloat16):
            out = head(x)
        for a, b in zip(out.values(), head(x).values(), strict=True):
            assert (a.float() - b).abs().max() < 0.05 * max(1, b.abs().max().item())

    def test_compiles(self, name):
        torch._dynamo.reset()
        head, x = create_head(name, DIMS, 6), features()
        compiled = torch.compile(head, backend="aot_eager", fullgraph=True)
        for a, b in zip(compiled(x).values(), head(x).values(), strict=True):
            torch.testing.assert_close(a, b)


def test_errors_say_which_tensor_and_what_it_needs():
    head = Linear(DIMS, 6)
    with pytest.raises(ShapeError, match=r"'visual' has shape \(4, 8\), but the head needs \(B, ..., 7\)"):
        head(features(visual=8))
    with pytest.raises(UnknownNameError, match="no(t declared|) .*'vizual'. Did you mean 'visual'"):
        head({**features(), "vizual": torch.zeros(4, 7)})
    with pytest.raises(UnknownNameError, match="needs the modality 'text' too"):
        head({m: t for m, t in features().items() if m != "text"})
    with pytest.raises(ShapeError, match="the same axes before the last"):
        head({**features(), "text": torch.zeros(5, 3)})
    with pytest.raises(ConfigError, match="scale must be finite"):
        Cosine(DIMS, 6, scale=0)
    with pytest.raises(ConfigError, match="sizes of 1 or more"):
        Linear({}, 6)
    with pytest.raises(ConfigError, match="no option 'scala'. Did you mean 'scale'"):
        create_head("cosine", DIMS, 6, scala=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'cosine'"):
        create_head("cosin", DIMS, 6)


def test_a_head_of_ones_own_can_be_registered():
    @HEADS.register("for_this_test")
    class Doubled(Linear):
        def forward(self, features):
            return {m: 2 * t for m, t in super().forward(features).items()}

    try:
        assert isinstance(create_head("for_this_test", DIMS, 3), Head)
        assert isinstance(create_head("for_this_test", DIMS, 3), nn.Module)
    finally:
        HEADS._parts.pop("for_this_test")
