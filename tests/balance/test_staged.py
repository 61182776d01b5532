"""Two stages: which loss reaches what in each, by hand; the switch; whole runs, resumed and made longer; processes."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from balance_parts import encoders, trained_on_rows
from counterpoint._atomic import read_csv
from counterpoint.balance import Staged, create_balancer
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.fusion import FUSIONS, create_fusion
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.fit import fit
from processes import in_processes
from tiny_clips import tiny_data, write_tiny_clips

C, B, D = 4, 5, 8
NAMES = ("audio", "visual", "text")


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def setting(names, **options):
    torch.manual_seed(0)
    fusion = create_fusion("concat", dict.fromkeys(names, D), C).double()
    balance = Staged({m: nn.Identity() for m in names}, fusion=fusion, epochs=4, **options)
    balance.parts.double()
    features = {m: torch.randn(B, D, dtype=torch.float64).requires_grad_() for m in names}
    return fusion, balance, features, torch.randint(C, (B,))


def numbers(head, m):
    """Weight and bias of one modality's linear head."""
    (bias,) = (p.detach().numpy() for name, p in head.named_parameters() if name.endswith("bias"))
    return head.weights()[m].detach().numpy(), bias


@pytest.mark.parametrize("first", [None, ["visual"]])
@pytest.mark.parametrize("heads", ["own", "fusion"])
@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
def test_which_loss_reaches_what_in_which_stage(names, heads, first):
    fusion, balance, features, target = setting(names, heads=heads, first=first)
    x, hot = {m: one.detach().numpy() for m, one in features.items()}, np.eye(C)[target.numpy()]
    joint = softmax(sum(x[m] @ numbers(fusion.head, m)[0].T for m in names) + numbers(fusion.head, "audio")[1]) - hot
    for epoch in range(4):
        for tensor in (*features.values(), *fusion.parameters(), *balance.parts.parameters()):
            tensor.grad = None
        balance.set_epoch(epoch)
        balance.loss(fusion(features), target).backward()
        for m in names:
            weight, bias = numbers(fusion.head if heads == "fusion" else balance.parts["heads"].each[m], m)
            alone = softmax(x[m] @ weight.T + bias) - hot
            waits = first is not None and m not in first
            expected = 0 * x[m] if waits else alone @ weight / B  # its own loss alone
            if epoch >= 2:
                expected = joint @ numbers(fusion.head, m)[0] / B  # the joint loss alone
            np.testing.assert_allclose(features[m].grad, expected, rtol=1e-10, atol=1e-15)
            # The fusion learns from the joint loss in both; heads of their own read on in both.
            np.testing.assert_allclose(fusion.head.weights()[m].grad, joint.T @ x[m] / B, rtol=1e-10)
            if heads == "own":
                own = balance.parts["heads"].each[m].weights()[m].grad
                np.testing.assert_allclose(own, alone.T @ x[m] / B, rtol=1e-10)


@pytest.mark.parametrize(
    ("epochs", "share", "switch"), [(10, 0.5, 5), (10, 0.29, 3), (3, 0.01, 1), (3, 0.99, 2), (2, 0.5, 1), (1, 0.5, 1)]
)
def test_where_the_second_stage_begins(epochs, share, switch):
    fusion = create_fusion("concat", dict.fromkeys(NAMES[:2], D), C)
    assert Staged({m: nn.Identity() for m in NAMES[:2]}, fusion=fusion, epochs=epochs, share=share).switch == switch


@pytest.mark.parametrize("name", list(FUSIONS))
def test_every_fusion_can_be_trained_so(name):
    torch.manual_seed(0)
    fusion = create_fusion(name, dict.fromkeys(NAMES[:2], D), C)
    balance = create_balancer("staged", {m: nn.Identity() for m in NAMES[:2]}, fusion=fusion, epochs=2)
    for epoch in range(2):
        balance.set_epoch(epoch)
        features = {m: torch.randn(B, D).requires_grad_() for m in NAMES[:2]}
        with torch.autocast("cpu", torch.bfloat16):
            out = fusion(features)
        loss = balance.loss(out, torch.arange(B) % C, label_smoothing=0.1)
        loss.backward()
        assert loss.isfinite() and all(x.grad.isfinite().all() and x.grad.any() for x in features.values())


def test_a_run_made_longer_keeps_its_switch():
    fusion = create_fusion("concat", dict.fromkeys(NAMES[:2], D), C)
    nets = {m: nn.Identity() for m in NAMES[:2]}
    longer = Staged(nets, fusion=fusion, epochs=20)
    longer.load_state_dict(Staged(nets, fusion=fusion, epochs=4).state_dict())
    assert longer.switch == 2


def _trained(rank, world, heads, first):
    def second_stage_at_last(balance, step):
        balance.set_epoch(step // 2)

    options = {"epochs": 2, "heads": heads, "first": first}
    return trained_on_rows(rank, world, "staged", steps=4, before=second_stage_at_last, **options)


@pytest.mark.parametrize(("heads", "first"), [("fusion", None), ("own", None), ("own", ["visual"])])
def test_two_processes_are_as_one(heads, first):
    alone = _trained(0, 1, heads, first)
    for state in in_processes(2, _trained, heads, first):
        torch.testing.assert_close(state, alone, rtol=1e-9, atol=1e-12)


def test_the_encoders_that_wait_stay():
    torch.manual_seed(0)
    nets = encoders("audio", "visual")
    fusion = create_fusion("concat", dict.fromkeys(nets, 8), C)
    balance = Staged(nets, fusion=fusion, epochs=2, first=["visual"])
    before = copy.deepcopy(dict(nets.named_parameters()))
    optimizer = torch.optim.Adam(nets.parameters(), lr=0.01)
    balance.loss(fusion({m: nets[m](torch.randn(B, 1, 8, 8)) for m in nets}), torch.arange(B) % C).backward()
    optimizer.step()
    for name, p in nets.named_parameters():
        assert torch.equal(p, before[name]) == name.startswith("audio"), name


def test_a_run_chooses_among_the_epochs_of_both_stages(tmp_path):
    clips = write_tiny_clips(tmp_path / "clips")
    values = {
        "data": tiny_data(clips),
        "balance": {"name": "staged"},
        "epochs": 4,
        "precision": "32-true",
        "optim": {"schedule": "constant", "lr": 1e-3},
    }
    run = fit(from_dict(TrainConfig, values), tmp_path / "run", progress=False)
    rows = read_csv(run.folder / "metrics.csv")
    accuracy = [float(row["val_accuracy"]) for row in rows]
    assert len(rows) == 4 and accuracy[json.loads((run.folder / "result.json").read_text())["epoch"]] == max(accuracy)
    # The first stage is that of detached heads under the same seed, to the bit; the second is not.
    detached = {**values, "balance": {"name": "detached", "options": {"heads": "own", "alpha": 1.0}}}
    other = read_csv(fit(from_dict(TrainConfig, detached), tmp_path / "other", progress=False).folder / "metrics.csv")
    losses = [[row["val_loss"] for row in of] for of in (rows, other)]
    assert losses[0][:2] == losses[1][:2] and losses[0][2:] != losses[1][2:]


def test_bad_input():
    fusion = create_fusion("concat", dict.fromkeys(NAMES[:2], D), C)
    nets = {m: nn.Identity() for m in NAMES[:2]}
    for options in ({"share": 0.0}, {"share": 1.0}, {"share": float("nan")}, {"epochs": 0}):
        with pytest.raises(ConfigError, match="epochs must be 1 or more and share between 0 and 1"):
            Staged(nets, **{"fusion": fusion, "epochs": 3, **options})
    with pytest.raises(ConfigError, match="first names no modality"):
        Staged(nets, fusion=fusion, epochs=3, first=[])
    with pytest.raises(UnknownNameError, match="Did you mean 'visual'"):
        Staged(nets, fusion=fusion, epochs=3, first=["visul"])
