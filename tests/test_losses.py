"""Losses against their definitions, in float64 and NumPy."""

import itertools

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.functional import confidence_rank_loss, orthogonal_projection_loss
from counterpoint.fusion import Average, FiLM, FusionOutput
from counterpoint.losses import LOSSES, create_loss
from processes import in_processes

TARGET = torch.tensor([0, 3, 1, 1, 2])
C = 4


def output(modalities=("audio", "visual"), scale=1.0):
    own = {m: scale * torch.randn(5, C, dtype=torch.float64) for m in modalities}
    joint = scale * torch.randn(5, C, dtype=torch.float64)
    return FusionOutput(joint, own, joint)


def probabilities(logits):
    e = np.exp(logits.numpy())
    return e / e.sum(-1, keepdims=True)


def of_target(values):
    return values[np.arange(5), TARGET.numpy()]


def test_cross_entropy_is_of_the_joint_logits():
    """Eq. (10) of CFN-SR, as a mean over samples."""
    out = output()
    expected = -np.log(of_target(probabilities(out.logits))).mean()
    assert create_loss("cross_entropy")(out, TARGET).item() == pytest.approx(expected)


def test_unimodal_is_the_sum_of_each_ones_own():
    out = output(("audio", "visual", "text"))
    expected = sum(-np.log(of_target(probabilities(z))).mean() for z in out.unimodal_logits.values())
    assert create_loss("unimodal")(out, TARGET).item() == pytest.approx(expected)


@pytest.mark.parametrize("modalities", [("audio", "visual"), ("audio", "visual", "text")])
def test_multiplicative(modalities):
    out = output(modalities)
    p = [of_target(probabilities(z)) for z in out.unimodal_logits.values()]
    expected = 0
    for m, own in enumerate(p):
        others = [np.log(1 - other) for j, other in enumerate(p) if j != m]
        expected = expected - (np.exp(0.3 * np.mean(others, axis=0)) * np.log(own)).mean()
    assert create_loss("multiplicative", beta=0.3)(out, TARGET).item() == pytest.approx(expected)


def test_a_modality_learns_little_of_what_the_other_is_sure_of():
    sure = torch.zeros(1, C)
    sure[0, 1] = 20.0
    own = {"audio": torch.zeros(1, C, requires_grad=True), "visual": sure.requires_grad_()}
    create_loss("multiplicative", beta=1.0)(FusionOutput(sure, own, sure), torch.tensor([1])).backward()
    assert own["audio"].grad.abs().max() < 1e-7
    own["audio"].grad = None
    create_loss("unimodal")(FusionOutput(sure, own, sure), torch.tensor([1])).backward()
    assert own["audio"].grad.abs().max() > 0.5


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_without_beta_the_multiplicative_loss_is_the_unimodal_one(smoothing):
    out = output()
    with_beta = create_loss("multiplicative", beta=0.0)(out, TARGET, label_smoothing=smoothing)
    torch.testing.assert_close(with_beta, create_loss("unimodal")(out, TARGET, label_smoothing=smoothing))


def cross_entropy(logits):
    return -np.log(of_target(probabilities(logits)))


@pytest.mark.parametrize("margin", ["paper", "released"])
def test_qmf(margin):
    """Joint and own cross entropies, and over all ordered pairs a hinge on what confidences should be ranked by."""
    out = output(("audio", "visual", "text"))
    expected = cross_entropy(out.logits).mean()
    for logits in out.unimodal_logits.values():
        own = cross_entropy(logits)
        confidence = 0.1 * np.log(np.exp(logits.numpy()).sum(-1))
        level = (own - own.min()) / (own.max() - own.min())
        hinges = []
        for i in range(5):
            for j in range(5):
                if i != j:
                    gap = abs(level[i] - level[j]) * (1 if margin == "paper" else -1)
                    hinges.append(max(0.0, np.sign(own[i] - own[j]) * (confidence[i] - confidence[j]) + gap))
        expected += own.mean() + 0.4 * np.mean(hinges)
    assert create_loss("qmf", rank=0.4, margin=margin)(out, TARGET).item() == pytest.approx(expected)


def test_the_ranking_moves_confidence_away_from_clips_that_are_hard():
    confidence = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    confidence_rank_loss(confidence, torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)).backward()
    assert confidence.grad[0] < confidence.grad[1] < confidence.grad[2] and confidence.grad[2] > 0
    ranked = torch.tensor([9.0, 5.0, 0.0])
    assert confidence_rank_loss(ranked, torch.tensor([0.1, 0.5, 2.0])) == 0
    for alone in (torch.ones(1), torch.zeros(4)):
        assert confidence_rank_loss(torch.randn(len(alone)), alone) == 0
    with pytest.raises(ShapeError, match="both must be"):
        confidence_rank_loss(torch.zeros(3), torch.zeros(2))


def projection_by_hand(features, target, gamma):
    alike, apart = [], []
    for i, j in itertools.permutations(range(len(target)), 2):
        cosine = features[i] @ features[j] / np.linalg.norm(features[i]) / np.linalg.norm(features[j])
        (alike if target[i] == target[j] else apart).append(cosine)
    return 1 - np.mean(alike) + gamma * np.mean(np.abs(apart))


def test_orthogonal_projection():
    out = output()
    fused = torch.randn(5, 7, dtype=torch.float64)
    out = FusionOutput(out.logits, out.unimodal_logits, fused)
    expected = cross_entropy(out.logits).mean() + 2.5 * projection_by_hand(fused.numpy(), TARGET.numpy(), 0.7)
    assert create_loss("orthogonal_projection", alpha=2.5)(out, TARGET).item() == pytest.approx(expected)


def test_classes_at_right_angles_leave_nothing_to_project():
    fused, target = torch.eye(3).repeat(2, 1) * torch.tensor([[2.0], [5.0], [1.0]] * 2), torch.tensor([0, 1, 2] * 2)
    assert orthogonal_projection_loss(fused, target).item() == pytest.approx(0, abs=1e-6)
    assert orthogonal_projection_loss(torch.ones(4, 3), torch.arange(4), gamma=0.5).item() == pytest.approx(1.5)
    assert orthogonal_projection_loss(torch.zeros(4, 3), torch.zeros(4)).item() == 1
    leaf = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: orthogonal_projection_loss(f, TARGET), (leaf,))
    with pytest.raises(ShapeError, match="features \\(N, D\\)"):
        orthogonal_projection_loss(torch.zeros(4, 2, 3), torch.zeros(4))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_orthogonal_projection_keeps_its_digits_under_autocast(dtype):
    """300 samples have 89700 pairs, more than float16 can count."""
    fused, target = 1 + 0.1 * torch.randn(300, 8), torch.arange(300) % 3
    exact = orthogonal_projection_loss(fused, target)
    with torch.autocast("cpu", dtype):
        found = orthogonal_projection_loss(fused, target)
    assert found.dtype == torch.float32 and torch.equal(found, exact)


def _gradients(rank, world, name):
    """Of this process's rows of one batch, under a loss that is the mean over processes."""
    generator = torch.Generator().manual_seed(0)
    rows = slice(rank * 6 // world, (rank + 1) * 6 // world)
    leaves = [torch.randn(6, C, generator=generator, dtype=torch.float64)[rows].requires_grad_() for _ in range(4)]
    target = torch.tensor([0, 3, 1, 1, 0, 2])[rows]
    loss = create_loss(name)(FusionOutput(leaves[0], dict(enumerate(leaves[1:3])), leaves[3]), target)
    (loss / world).backward()
    return [torch.zeros_like(t) if t.grad is None else t.grad for t in leaves]


@pytest.mark.parametrize("name", ["qmf", "orthogonal_projection"])
def test_pairs_are_those_of_all_processes(name):
    alone = _gradients(0, 1, name)
    parts = in_processes(2, _gradients, name)
    for whole, *halves in zip(alone, *parts, strict=True):
        torch.testing.assert_close(torch.cat(halves), whole)


# What compares clips with each other is not smoothed.
WITHOUT_PAIRS = {"qmf": {"rank": 0.0}, "orthogonal_projection": {"alpha": 0.0}}


@pytest.mark.parametrize("name", LOSSES.names())
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_clips_of_no_class_are_left_out_of_the_mean(name, smoothing):
    loss, out, some = create_loss(name), output(), torch.tensor([0, 2, 3])
    kept = FusionOutput(out.logits[some], {m: z[some] for m, z in out.unimodal_logits.items()}, out.fused[some])
    target = TARGET.clone()
    target[[1, 4]] = -100
    expected = loss(kept, TARGET[some], label_smoothing=smoothing)
    torch.testing.assert_close(loss(out, target, label_smoothing=smoothing), expected)


def test_what_is_not_compared_sends_no_gradient_however_large():
    keep = torch.tensor([True, False, True, True, False])
    features = torch.randn(5, 3)
    features[~keep] = torch.inf
    leaf = features.requires_grad_()
    orthogonal_projection_loss(leaf, TARGET, keep=keep).backward()
    confidence = torch.tensor([1.0, torch.inf, 2.0, 0.5, -torch.inf], requires_grad=True)
    confidence_rank_loss(confidence, torch.rand(5), keep=keep).backward()
    for grad in (leaf.grad, confidence.grad):
        assert grad.isfinite().all() and not grad[~keep].any() and grad[keep].any()
    nobody = torch.zeros(5, dtype=torch.bool)
    assert confidence_rank_loss(torch.randn(5), torch.rand(5), keep=nobody) == 0
    assert orthogonal_projection_loss(torch.randn(5, 3), TARGET, keep=nobody) == 1
    for wrong in (
        lambda: confidence_rank_loss(torch.zeros(5), torch.zeros(5), keep=keep[:2]),
        lambda: orthogonal_projection_loss(torch.zeros(5, 2), TARGET, keep=keep[:2]),
    ):
        with pytest.raises(ShapeError, match="keep"):
            wrong()


@pytest.mark.parametrize("name", LOSSES.names())
class TestEveryLoss:
    def test_smoothing_mixes_in_all_classes_evenly(self, name):
        loss, out = create_loss(name, **WITHOUT_PAIRS.get(name, {})), output()
        plain, smooth = loss(out, TARGET), loss(out, TARGET, label_smoothing=0.3)
        every_class = torch.stack([loss(out, torch.full((5,), c)) for c in range(C)]).mean()
        torch.testing.assert_close(smooth, 0.7 * plain + 0.3 * every_class)

    def test_finite_for_predictions_surer_than_floats_can_say(self, name):
        out = output(scale=1e4)
        leaves = [t.float().requires_grad_() for t in (out.logits, *out.unimodal_logits.values())]
        loss = create_loss(name)(FusionOutput(leaves[0], dict(enumerate(leaves[1:])), leaves[0]), TARGET)
        loss.backward()
        grads = [t.grad for t in leaves if t.grad is not None]
        assert loss.isfinite() and grads and all(g.isfinite().all() for g in grads)

    def test_compiles(self, name):
        torch._dynamo.reset()
        loss, out = create_loss(name), output()
        torch.testing.assert_close(torch.compile(loss, backend="eager", fullgraph=True)(out, TARGET), loss(out, TARGET))


@pytest.mark.parametrize("name", ["unimodal", "multiplicative", "qmf"])
def test_modalities_that_cannot_learn_from_their_logits_are_told(name):
    dims = {"audio": 3, "visual": 3}
    x = {m: torch.randn(5, d) for m, d in dims.items()}
    with pytest.raises(ConfigError, match="those of 'audio' come from ablating"):
        create_loss(name)(FiLM(dims, C)(x), TARGET)
    with torch.no_grad():
        create_loss(name)(FiLM(dims, C)(x), TARGET)  # to be read, not to be learnt from
    create_loss(name)(Average(dims, C)(x), TARGET).backward()


def test_wrong_names_and_values():
    with pytest.raises(UnknownNameError, match="Did you mean 'unimodal'"):
        create_loss("unimodel")
    with pytest.raises(ConfigError, match="Loss 'multiplicative' has no option 'bta'. Did you mean 'beta'"):
        create_loss("multiplicative", bta=1)
    with pytest.raises(ConfigError, match="beta must be 0 or more"):
        create_loss("multiplicative", beta=-1)
    with pytest.raises(ConfigError, match="Did you mean 'released'"):
        create_loss("qmf", margin="relased")
    with pytest.raises(ConfigError, match="scale above 0"):
        create_loss("qmf", scale=0)
    with pytest.raises(ConfigError, match="alpha and gamma must be 0 or more"):
        create_loss("orthogonal_projection", alpha=-1)
