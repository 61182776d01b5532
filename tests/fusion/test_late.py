"""Late fusions against their definitions, in float64 and NumPy."""

import math

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.functional import energy_confidence, energy_fusion, log_complement, multiplicative_scores
from counterpoint.fusion import QMF, Average, LogPool, Multiplicative, Product, create_fusion

TWO = {"audio": 6, "visual": 4}
THREE = {**TWO, "text": 3}
C = 5


def features(dims, batch=4):
    return {m: torch.randn(batch, d, dtype=torch.float64) for m, d in dims.items()}


def probabilities(fusion, x):
    """Each modality's softmax, by hand."""
    found = []
    for m, head in fusion.head.each.items():
        z = x[m].numpy() @ head.weight[m].detach().numpy().T + head.bias.detach().numpy()
        e = np.exp(z)
        found.append(e / e.sum(-1, keepdims=True))
    return found


def close(tensor, expected):
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dims", [TWO, THREE])
def test_averaging_is_the_mean_of_probabilities(dims):
    fusion, x = Average(dims, C).double(), features(dims)
    close(fusion(x).logits.exp(), np.mean(probabilities(fusion, x), axis=0))


def test_averaging_may_be_of_logits():
    fusion, x = Average(THREE, C, of="logits").double(), features(THREE)
    logs = [np.log(p) for p in probabilities(fusion, x)]
    expected = np.exp(np.mean(logs, axis=0))  # the geometric mean of probabilities, but for its sum
    close(fusion(x).logits.softmax(-1), expected / expected.sum(-1, keepdims=True))
    out = fusion(x)
    close(out.logits, sum(z.detach().numpy() for z in out.unimodal_logits.values()) / 3)


@pytest.mark.parametrize("dims", [TWO, THREE])
def test_multiplication_is_the_normalised_product_of_probabilities(dims):
    fusion, x = Product(dims, C).double(), features(dims)
    product = np.prod(probabilities(fusion, x), axis=0)
    close(fusion(x).logits.exp(), product / product.sum(-1, keepdims=True))


@pytest.mark.parametrize("beta", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("dims", [TWO, THREE])
def test_multiplicative_weighs_by_what_the_others_leave(dims, beta):
    """Sum over m of q_m log p_m, where q_m is the geometric mean of the others' 1 - p to the power of beta."""
    fusion, x = Multiplicative(dims, C, beta=beta).double(), features(dims)
    p = probabilities(fusion, x)
    expected = 0
    for m, own in enumerate(p):
        others = [1 - other for j, other in enumerate(p) if j != m]
        q = np.prod(others, axis=0) ** (beta / len(others))
        expected = expected + q * np.log(own)
    close(fusion(x).logits, expected)


@pytest.mark.parametrize("dims", [TWO, THREE])
def test_qmf_weighs_by_minus_the_energy(dims):
    """Each modality's logits times a tenth of the logarithm of their summed exponentials."""
    fusion, x = QMF(dims, C).double(), features(dims)
    expected = 0
    for m, head in fusion.head.each.items():
        z = x[m].numpy() @ head.weight[m].detach().numpy().T + head.bias.detach().numpy()
        expected = expected + 0.1 * np.log(np.exp(z).sum(-1, keepdims=True)) * z
    close(fusion(x).logits, expected)


def test_the_confidence_of_qmf_carries_gradient_unless_told_otherwise():
    z = [torch.randn(3, C, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda *each: energy_fusion(each, 0.3), z)
    assert energy_confidence(z[0].bfloat16()).dtype == torch.float32
    out = QMF(TWO, C, scale=0.3, detach_weights=True).double()(features(TWO))
    own = list(out.unimodal_logits.values())
    for gradient, one in zip(torch.autograd.grad(out.logits.sum(), own), own, strict=True):
        close(gradient, (0.3 * np.log(np.exp(one.detach().numpy()).sum(-1, keepdims=True))).repeat(C, -1))


def test_a_sure_prediction_keeps_its_complement():
    """1 - p of a class at 100 nats above all others is exp(-100) times their number: far below what 1 - p can hold."""
    log_p = torch.tensor([100.0, 0.0, 0.0, 0.0]).log_softmax(-1)
    assert log_complement(log_p)[0].item() == pytest.approx(math.log(3) - 100)
    assert log_complement(torch.tensor([0.5, 0.3, 0.2]).log()).tolist() == pytest.approx(np.log([0.5, 0.7, 0.8]))


def test_weights_may_be_constants_for_the_gradient():
    logits = [torch.randn(3, C, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    multiplicative_scores(logits, 0.3, detach_weights=True)[:, 2].sum().backward()
    for one, other in (logits, logits[::-1]):
        p, q = one.detach().softmax(-1), (1 - other.detach().softmax(-1)[:, 2]) ** 0.3
        expected = q[:, None] * (torch.eye(C, dtype=torch.float64)[2] - p)  # q times the gradient of log p_2
        torch.testing.assert_close(one.grad, expected)


@pytest.mark.parametrize("name", ["average", "product", "log_pool", "multiplicative", "qmf"])
class TestEveryLateFusion:
    def test_unimodal_logits_are_the_heads_own(self, name):
        fusion, x = create_fusion(name, TWO, C), features(TWO)
        x = {m: t.float() for m, t in x.items()}
        out = fusion(x)
        for m, head in fusion.head.each.items():
            torch.testing.assert_close(out.unimodal_logits[m], head({m: x[m]})[m])
            assert out.unimodal_logits[m].requires_grad
        assert out.fused is out.logits and out.weights is None

    def test_every_modality_has_a_bias_of_its_own(self, name):
        parameters = sum(p.numel() for p in create_fusion(name, {"audio": 1664, "visual": 2048}, 8).parameters())
        assert parameters == 25_916_080 - 25_865_664 - 20_704  # Table 1 of CFN-SR: late fusion less both trunks

    def test_agreement_of_extremely_sure_modalities_stays_finite(self, name):
        most = 1e15 if name == "qmf" else 1e30  # logits are squared, as it were
        fusion, x = create_fusion(name, TWO, C), {m: torch.full((2, d), most) for m, d in TWO.items()}
        out = fusion({m: t.requires_grad_() for m, t in x.items()})
        assert out.logits.isfinite().all()
        out.logits.max(-1).values.sum().backward()
        assert all(t.grad.isfinite().all() for t in x.values())


def test_a_cosine_head_is_scaled_for_one_modality():
    """Modalities answer alone, so that Eq. (4) of MMCosine bounds the scale for one cosine, not for the sum of two."""
    from counterpoint.functional import mmcosine_scale_bound

    for head in Average(TWO, C, head="cosine").head.each.values():
        assert head.scale == pytest.approx(mmcosine_scale_bound(C, 0.999, num_modalities=1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Multiplicative(TWO, C, beta=-0.1), "beta must be 0 or more"),
        (lambda: Multiplicative(TWO, 1), "needs two or more"),
        (lambda: Average(TWO, C, of="logit"), "Did you mean 'logits'"),
        (lambda: Average({"audio": 3}, C), "Average joins 2 modalities or more"),
        (lambda: create_fusion("multiplicative", TWO, C, bta=1), "Did you mean 'beta'"),
        (lambda: create_fusion("product", TWO, C, head_options={"scale": 1}), "Head 'linear' has no option 'scale'"),
        (lambda: multiplicative_scores([torch.zeros(2, 3)]), "two modalities"),
        (lambda: energy_fusion([torch.zeros(2, 3)]), "two modalities"),
        (lambda: QMF(TWO, C, scale=0.0), "scale must be above 0"),
        (lambda: multiplicative_scores([torch.zeros(2, 3)] * 2, -1.0), "0 or more"),
    ],
)
def test_what_cannot_be_built(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def pool_of(z, target):
    """The weights of a logarithmic opinion pool, by another optimizer over the weights themselves."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    def loss(w):
        joint = log_softmax(sum(each * one for each, one in zip(w, z, strict=True)), axis=1)
        return -joint[np.arange(len(target)), target].sum() + (np.log(w) ** 2).sum() / (2 * np.log(10) ** 2)

    return minimize(loss, np.ones(len(z)), bounds=[(1e-6, 1e3)] * len(z), tol=1e-14).x


@pytest.mark.parametrize("dims", [TWO, THREE])
def test_a_pool_weighs_each_modality_by_what_fits_the_clips_it_is_shown(dims):
    rng = np.random.default_rng(3)
    target = rng.integers(0, C, 200)
    strengths = np.linspace(0.3, 4, len(dims))
    z = [s * (np.eye(C)[target] * 2 + rng.normal(size=(200, C))) for s in strengths]
    fusion, x = LogPool(dims, C).double(), features(dims)
    product = np.prod(probabilities(fusion, x), axis=0)
    close(fusion(x).logits.exp(), product / product.sum(-1, keepdims=True))  # as long as nothing was weighed
    fusion.calibrate({m: torch.from_numpy(one) for m, one in zip(dims, z, strict=True)}, torch.from_numpy(target))
    expected = pool_of(z, target)
    np.testing.assert_allclose(fusion.weight.numpy(), expected, rtol=1e-4)
    assert np.all(np.diff(expected) < 0)  # the more sure of itself, the less it counts
    joint = sum(w * np.log(p) for w, p in zip(expected, probabilities(fusion, x), strict=True))
    np.testing.assert_allclose(fusion(x).logits.detach().exp(), softmax(joint), rtol=1e-3)
    other = LogPool(dims, C).double()
    other.load_state_dict(fusion.state_dict())
    close(other(x).logits, fusion(x).logits.detach())


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_a_pool_stays_finite_where_clips_tell_little_or_everything():
    fusion, sure = LogPool(TWO, C), torch.eye(C)[torch.arange(8) % C]
    fusion.calibrate({"audio": sure * 5, "visual": torch.zeros(8, C)}, torch.arange(8) % C)
    assert fusion.weight.isfinite().all() and fusion.weight[0] > 1
    assert fusion.weight[1] == 1  # it says nothing, whatever it counts: the prior alone speaks
    with torch.inference_mode():
        fusion.calibrate({"audio": sure, "visual": -sure}, torch.arange(8) % C)
    assert fusion.weight[1] < 1 < fusion.weight[0] < 1000


@pytest.mark.parametrize(
    ("logits", "target", "says"),
    [
        ({"audio": torch.zeros(2, C), "visual": torch.zeros(2, C)}, [-100, -100], "clips that have a class"),
        ({"audio": torch.full((2, C), torch.nan), "visual": torch.zeros(2, C)}, [0, 1], "finite logits"),
        ({"audio": torch.zeros(2, C)}, [0, 1], "needs the modality 'visual'"),
    ],
)
def test_a_pool_refuses_what_cannot_be_weighed(logits, target, says):
    with pytest.raises(CounterpointError, match=says):
        LogPool(TWO, C).calibrate(logits, torch.tensor(target))
