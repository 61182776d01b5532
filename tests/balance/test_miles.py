"""Conditional utilisation by hand, in NumPy; when rates change; fusions; resuming."""

import numpy as np
import pytest
import torch
from torch import nn

from counterpoint.balance import MILES, create_balancer
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.fusion import FUSIONS, create_fusion

NAMES, B, D, C = ("audio", "visual", "text"), 40, 6, 4


def setting(names, fusion="concat"):
    torch.manual_seed(0)
    made = create_fusion(fusion, dict.fromkeys(names, D), C).double()
    nets = nn.ModuleDict({m: nn.Linear(D, D) for m in names}).double()
    optimizer = torch.optim.SGD(nets.parameters(), lr=0.1)
    return made, nets, optimizer


def batches(names, target_of=None):
    """Two, in which the classes are what the first modality's features say."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        features = {m: torch.randn(B, D, generator=generator, dtype=torch.float64) for m in names}
        target = torch.randint(C, (B,), generator=generator) if target_of is None else target_of(features)
        yield features, target


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
def test_rates_are_of_conditional_utilisation(names, threshold):
    fusion, nets, optimizer = setting(names)
    weights = {m: w.detach().numpy() for m, w in fusion.head.weights().items()}
    (bias,) = (p.detach().numpy() for name, p in fusion.head.named_parameters() if name.endswith("bias"))

    def mostly_audio(features):
        return (features["audio"] @ torch.tensor(weights["audio"]).T).argmax(1)

    balance = MILES(nets, fusion=fusion, threshold=threshold, rate=0.4, optimizer=optimizer)
    right = dict.fromkeys((None, *names), 0)
    for features, target in batches(names, mostly_audio):
        assert balance.step(fusion(features), target)["coefficient"].tolist() == [1.0] * len(names)
        for left_out in right:
            logits = bias + sum(features[m].numpy() @ weights[m].T for m in names if m != left_out)
            right[left_out] += int((logits.argmax(1) == target.numpy()).sum())
    accuracy = {left_out: count / (2 * B) for left_out, count in right.items()}
    used = {m: (accuracy[None] - accuracy[m]) / accuracy[None] for m in names}
    ahead = {m: used[m] - np.mean([used[n] for n in names if n != m]) for m in names}
    balance.set_epoch(1)
    assert balance.rates == {m: 0.4 if ahead[m] > threshold else 1.0 for m in names}
    assert balance.rates["audio"] == 0.4 and min(balance.rates[m] for m in names[1:]) == 1.0
    balance.set_epoch(1)  # said twice, it is the same epoch
    assert balance.rates["audio"] == 0.4


def test_an_accuracy_of_none_is_no_lead():
    fusion, nets, optimizer = setting(NAMES[:2])
    balance = MILES(nets, fusion=fusion, threshold=0.0, optimizer=optimizer)
    features, _ = next(batches(NAMES[:2]))
    out = fusion(features)
    balance.step(out, (out.logits.argmax(1) + 1) % C)
    balance.set_epoch(1)
    assert set(balance.rates.values()) == {1.0}


@pytest.mark.parametrize("name", list(FUSIONS))
def test_every_fusion_is_judged_without_a_trace(name):
    fusion, nets, optimizer = setting(NAMES[:2], name)
    balance = create_balancer("miles", nets, fusion=fusion, optimizer=optimizer)
    features, target = next(batches(NAMES[:2]))
    out = fusion(features)
    state = {k: v.clone() for k, v in fusion.state_dict().items()}
    drawn = torch.get_rng_state()
    balance.step(out, target)
    torch.testing.assert_close(dict(fusion.state_dict()), state, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), drawn) or fusion.training
    assert len(balance.hits) == 3 and all(0 <= hit <= B for hit in balance.hits)


def test_a_resumed_one_goes_on_where_it_was():
    def after(balance, first, last):
        for epoch in range(first, last):
            balance.set_epoch(epoch)
            for features, target in batches(NAMES[:2]):
                balance.step(balance.fusion(features), target)
        return balance.state_dict()

    def make():
        fusion, nets, optimizer = setting(NAMES[:2])
        return MILES(nets, fusion=fusion, threshold=0.0, optimizer=optimizer)

    whole = after(make(), 0, 3)
    first = after(make(), 0, 2)
    again = make()
    again.load_state_dict(first)
    assert after(again, 2, 3) == whole
    assert whole["rates"] != {"audio": 1.0, "visual": 1.0}


def test_bad_input():
    fusion, nets, _ = setting(NAMES[:2])
    for options in ({"threshold": -0.1}, {"threshold": 1.1}, {"rate": 1.5}, {"rate": float("nan")}):
        with pytest.raises(ConfigError, match="threshold and rate must be between 0 and 1"):
            MILES(nets, fusion=fusion, **options)
    with pytest.raises(UnknownNameError):
        MILES({"audio": nn.Linear(2, 2), "text": nn.Linear(2, 2)}, fusion=fusion)
