"""G-Blending: its loss by hand, its weights over a course of epochs, its state, and two processes."""

import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from balance_parts import counted, encoders, output
from counterpoint.balance import GradientBlending, create_balancer
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.fusion import create_fusion
from counterpoint.heads import Cosine, Linear
from processes import in_processes

DIMS = {"audio": 8, "visual": 8}
C = 4
NAMES = ("audio", "visual", "joint")


def parts(head="linear", dims=DIMS, fusion="concat", **options):
    nets = encoders(*dims).double()
    fusion = create_fusion(fusion, dims, C, head=head, **options).double()
    return nets, fusion


def batch(nets, size=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = {m: torch.randn(size, 1, 8, 8, generator=generator, dtype=torch.float64) for m in nets}
    return inputs, torch.randint(C, (size,), generator=generator)


def run(nets, fusion, inputs):
    return fusion({m: net(inputs[m]) for m, net in nets.items()})


def cross_entropy(logits, target):
    logits = logits - logits.max(-1, keepdims=True)
    return (np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(target)), target]).mean()


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_the_loss_is_the_weighted_sum_over_heads(head):
    """Under MMCosine the unimodal heads are plain cosines with the joint head's scale (Sec. 3.2 of MMCosine)."""
    nets, fusion = parts(head, head_options={"scale": 7.0} if head == "cosine" else {})
    weights = {"audio": 0.2, "visual": 0.5, "joint": 0.3}
    balancer = GradientBlending(nets, fusion=fusion, weights=weights)
    balancer.parts.double()
    inputs, target = batch(nets)
    out = run(nets, fusion, inputs)
    expected = 0.3 * cross_entropy(out.logits.detach().numpy(), target.numpy())
    for m, own in balancer.parts["heads"].each.items():
        x, w = out.features[m].detach().numpy(), own.weight[m].detach().numpy()
        logits = 7.0 * unit(x) @ unit(w).T if head == "cosine" else x @ w.T + own.bias.detach().numpy()
        expected += weights[m] * cross_entropy(logits, target.numpy())
    assert balancer.loss(out, target).item() == pytest.approx(expected, rel=1e-12)
    measured = {name: loss.mean().item() for name, loss in balancer.measure(out, target).items()}
    assert list(measured) == list(NAMES)
    assert sum(weights[k] * measured[k] for k in NAMES) == pytest.approx(expected)


def test_heads_follow_the_joint_one_unless_told_otherwise():
    nets, fusion = parts("cosine")
    heads = GradientBlending(nets, fusion=fusion).parts["heads"].each.values()
    assert all(isinstance(h, Cosine) and h.scale == fusion.head.scale for h in heads)
    late = create_fusion("average", DIMS, C, head="cosine", head_options={"scale": 9.0})
    heads = GradientBlending(nets, fusion=late).parts["heads"].each.values()
    assert all(isinstance(h, Cosine) and h.scale == 9.0 for h in heads)
    heads = GradientBlending(nets, fusion=fusion, head_options={"scale": 3.0}).parts["heads"].each.values()
    assert all(h.scale == 3.0 for h in heads)
    heads = GradientBlending(nets, fusion=fusion, head="linear").parts["heads"].each.values()
    assert all(isinstance(h, Linear) for h in heads)


@pytest.mark.parametrize("fusion", ["concat", "film", "average"])
def test_every_encoder_and_every_head_learns(fusion):
    nets, fusion = parts(fusion=fusion)
    balancer = GradientBlending(nets, fusion=fusion)
    balancer.parts.double()
    inputs, target = batch(nets)
    out = run(nets, fusion, inputs)
    balancer.loss(out, target).backward()
    before = {name: p.grad.clone() for name, p in nets.named_parameters()}
    record = balancer.step(out, target)
    assert record["coefficient"].tolist() == pytest.approx([1 / 3, 1 / 3])
    for name, p in nets.named_parameters():
        assert torch.equal(p.grad, before[name])  # the loss has weighed it already
    for module in (nets, fusion, balancer.parts):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


LOSSES = [  # of audio, visual and joint, on training clips and on those held out, at four moments
    ({"audio": 1.4, "visual": 1.4, "joint": 1.4}, {"audio": 1.4, "visual": 1.4, "joint": 1.4}),
    ({"audio": 0.4, "visual": 1.0, "joint": 0.3}, {"audio": 0.9, "visual": 1.1, "joint": 0.8}),
    ({"audio": 0.1, "visual": 0.7, "joint": 0.1}, {"audio": 0.8, "visual": 0.9, "joint": 0.9}),
    ({"audio": 0.0, "visual": 0.5, "joint": 0.0}, {"audio": 0.8, "visual": 0.8, "joint": 0.7}),
]


def weights_by_hand(first, last):
    scores = []
    for k in NAMES:
        g = LOSSES[first][1][k] - LOSSES[last][1][k]
        o = (LOSSES[last][1][k] - LOSSES[last][0][k]) - (LOSSES[first][1][k] - LOSSES[first][0][k])
        scores.append(max(g, 0) / o**2)
    return [s / sum(scores) for s in scores]


def course(balancer, epochs=7, start=0):
    """The weights with which each epoch is trained; what comes at the start is reviewed by then unless it is 0."""
    used = []
    for epoch in range(start, epochs):
        if balancer.due(epoch) and epoch in (0, *range(start + 1, epochs)):
            balancer.review(*LOSSES[epoch // 2])
        balancer.set_epoch(epoch)
        used.append(list(balancer.weights.values()))
    return used


def test_online_weights_are_those_of_the_epochs_just_gone():
    nets, fusion = parts()
    used = course(GradientBlending(nets, fusion=fusion, every=2))
    equal = [1 / 3] * 3
    expected = [equal, equal, *[weights_by_hand(0, 1)] * 2, *[weights_by_hand(1, 2)] * 2, weights_by_hand(2, 3)]
    np.testing.assert_allclose(used, expected, rtol=1e-12)


def test_offline_weights_are_estimated_once():
    nets, fusion = parts()
    balancer = GradientBlending(nets, fusion=fusion, every=2, form="offline")
    np.testing.assert_allclose(course(balancer), [*[[1 / 3] * 3] * 2, *[weights_by_hand(0, 1)] * 5], rtol=1e-12)


@pytest.mark.parametrize("form", ["online", "offline"])
@pytest.mark.parametrize("stopped", range(1, 6))
def test_a_course_that_stops_and_goes_on_weighs_as_one_that_does_not(form, stopped):
    """Before its first estimate, which needs the losses of the very start, as after."""
    nets, fusion = parts()

    def balancer():
        return GradientBlending(nets, fusion=fusion, every=2, form=form)

    first, second = balancer(), balancer()
    before = course(first, stopped)
    if first.due(stopped):  # reviewed at the end of an epoch, before its checkpoint
        first.review(*LOSSES[stopped // 2])
    second.load_state_dict(first.state_dict())
    assert [*before, *course(second, start=stopped)] == course(balancer())


def test_given_weights_ask_for_nothing():
    nets, fusion = parts()
    balancer = GradientBlending(nets, fusion=fusion, weights={"joint": 1, "audio": 0, "visual": 2.5})
    assert balancer.holdout == 0 and not any(balancer.due(n) for n in range(30))
    assert balancer.weights == {"audio": 0.0, "visual": 2.5, "joint": 1.0}


def test_state_comes_back_through_a_file_of_plain_values_and_tensors():
    nets, fusion = parts()
    balancer = GradientBlending(nets, fusion=fusion, every=2)
    course(balancer, epochs=3)
    file = io.BytesIO()
    torch.save(balancer.state_dict(), file)
    file.seek(0)
    fresh = GradientBlending(nets, fusion=fusion, every=2)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert (fresh.epoch, fresh.weights, fresh.before) == (2, balancer.weights, balancer.before)
    for name, tensor in balancer.parts.state_dict().items():
        assert torch.equal(fresh.parts.state_dict()[name], tensor)
    with pytest.raises(ConfigError, match="another balancer"):
        fresh.load_state_dict({"epoch": 1})
    others = {"audio": 8, "text": 8}
    for dims, classes in ((others, C), (DIMS, C + 1)):
        fusion = create_fusion("concat", dims, classes)
        other = GradientBlending({m: nn.Linear(1, 8) for m in dims}, fusion=fusion)
        with pytest.raises(ConfigError, match=r"heads.each.visual.bias \(4,\).*of other modalities, widths or classes"):
            fresh.load_state_dict(other.state_dict())
    assert fresh.weights == balancer.weights


def test_a_step_waits_for_no_device_and_half_precision_features_are_read():
    nets, fusion = parts()
    balancer = GradientBlending(nets, fusion=fusion)
    inputs, target = batch(nets)
    out = fusion.float()({m: net(inputs[m]).float() for m, net in nets.items()})
    half = type(out)(
        out.logits, out.unimodal_logits, out.fused, features={m: x.bfloat16() for m, x in out.features.items()}
    )
    with counted() as counter:
        balancer.loss(half, target)
        balancer.step(half, target)
    assert counter.host_syncs == 0
    torch.testing.assert_close(balancer.loss(half, target), balancer.loss(out, target), rtol=2e-2, atol=2e-2)


def without_batch_statistics():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(108, 8))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoders = nn.ModuleDict({m: without_batch_statistics() for m in DIMS})
        self.fusion = create_fusion("concat", DIMS, C)
        self.balancer = create_balancer("gradient_blending", self.encoders, fusion=self.fusion)
        self.parts = self.balancer.parts  # under the same wrapper as the model

    def forward(self, inputs, target):
        out = run(self.encoders, self.fusion, inputs)
        return self.balancer.loss(out, target)


def trained(rank, world):
    torch.manual_seed(0)
    net = Net().double()
    model = DistributedDataParallel(net) if world > 1 else net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9)
    rows = slice(rank * 6 // world, (rank + 1) * 6 // world)
    for seed in range(3):
        inputs, target = batch(net.encoders, 6, seed)
        optimizer.zero_grad()
        model({m: x[rows] for m, x in inputs.items()}, target[rows]).backward()
        optimizer.step()
        if net.balancer.due(seed * 10):
            net.balancer.review(*LOSSES[seed])
    return {k: v.clone() for k, v in net.state_dict().items()}


def test_two_processes_train_as_one():
    alone = trained(0, 1)
    assert any(key.startswith("parts.") for key in alone)
    for state in in_processes(2, trained):
        torch.testing.assert_close(state, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "onlin"}, "Did you mean 'online'"),
        ({"every": 0}, "every must be 1 or more"),
        ({"holdout": 0.0}, "holdout between 0 and 1"),
        ({"holdout": 1.0}, "holdout between 0 and 1"),
        ({"weights": {"audio": 1.0, "visual": 1.0}}, "must give each of audio, visual, joint"),
        ({"weights": dict.fromkeys(NAMES, 0.0)}, "a number of at least 0"),
        ({"weights": {"audio": -1.0, "visual": 1.0, "joint": 1.0}}, "a number of at least 0"),
        ({"weights": {"audio": float("inf"), "visual": 1.0, "joint": 1.0}}, "a number of at least 0"),
        ({"head": "linear", "head_options": {"scale": 1.0}}, "no option 'scale'"),
        ({"evry": 3}, "Did you mean 'every'"),
    ],
)
def test_options_outside_their_range(options, message):
    nets, fusion = parts()
    with pytest.raises(ConfigError, match=message):
        create_balancer("gradient_blending", nets, fusion=fusion, **options)


def test_what_does_not_fit():
    nets, fusion = parts()
    with pytest.raises(UnknownNameError, match="'visual'"):
        GradientBlending(encoders("audio", "text"), fusion=fusion)
    balancer = GradientBlending(nets, fusion=fusion)
    logits = torch.zeros(2, C)
    with pytest.raises(ConfigError, match="does not carry them"):
        balancer.loss(output({"audio": logits, "visual": logits}), torch.zeros(2, dtype=torch.long))
    dims = {"audio": 3, "joint": 3}
    with pytest.raises(ConfigError, match="cannot be called 'joint'"):
        GradientBlending(encoders(*dims), fusion=create_fusion("concat", dims, C))
