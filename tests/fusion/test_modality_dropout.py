"""Modality dropout: how often what is dropped, by the formula; what is left stays; compilation; gradients."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from counterpoint.errors import ConfigError
from counterpoint.fusion import Concat, ModalityDropout
from counterpoint.models import MultimodalModel, create_feature_model, create_model, from_pretrained
from invariants import check_compiles, check_exports
from processes import in_processes

NAMES = ("audio", "visual", "text")


def ones(names, count, dtype=torch.float64):
    return {m: torch.ones(count, 2, dtype=dtype) for m in names}


def chance(p, modalities):
    """Of one modality to be dropped: all outcomes of independent draws, counted; where all would go, one stays."""
    found = 0.0
    for outcome in np.ndindex(*(2,) * modalities):  # 1: dropped
        probability = np.prod([p if dropped else 1 - p for dropped in outcome])
        found += probability * ((modalities - 1) / modalities if all(outcome) else outcome[0])
    return found


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_each_is_dropped_as_often_as_said_and_never_all(names, p):
    torch.manual_seed(0)
    count = 20_000
    dropped = ModalityDropout(p)(ones(names, count))
    kept = torch.stack([dropped[m][:, 0] for m in names])
    assert set(kept.unique().tolist()) <= {0.0, 1.0} and kept.sum(0).min() >= 1
    expected = chance(p, len(names))
    assert expected == pytest.approx(p - p ** len(names) / len(names), rel=1e-12)  # as the docstring has it
    margin = 5 * np.sqrt(expected * (1 - expected) / count)
    for one in kept:
        assert 1 - one.mean().item() == pytest.approx(expected, abs=margin)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_clips_are_ablated_whole_and_the_rest_stays_to_the_bit(dtype):
    torch.manual_seed(0)
    features = {m: torch.randn(64, 3, width, dtype=dtype) for m, width in (("audio", 4), ("visual", 6))}
    features["audio"][:, 0, 0] = torch.inf  # what is dropped is zero, whatever it was
    dropped = ModalityDropout(0.5)(features)
    gone = {m: (x == 0).flatten(1).all(1) for m, x in dropped.items()}
    for m, x in dropped.items():
        assert x.dtype == dtype and 0 < gone[m].sum() < 64
        assert torch.equal(x[~gone[m]], features[m][~gone[m]])


@pytest.mark.parametrize(("names", "p", "training"), [(NAMES, 0.5, False), (NAMES, 0.0, True), (NAMES[:1], 1.0, True)])
def test_nothing_is_dropped(names, p, training):
    features, drawn = ones(names, 16), torch.get_rng_state()
    found = ModalityDropout(p).train(training)(features)
    assert all(torch.equal(found[m], features[m]) for m in names)
    assert len(names) == 1 or torch.equal(torch.get_rng_state(), drawn)


def model(p=0.5, dtype=torch.float64):
    torch.manual_seed(0)
    encoders = {"audio": nn.Linear(4, 5), "visual": nn.Linear(6, 5)}
    return MultimodalModel(encoders, Concat({"audio": 5, "visual": 5}, 3), modality_dropout=p).to(dtype)


def batch(count=7, dtype=torch.float64):
    torch.manual_seed(count)
    return {"audio": torch.randn(count, 4, dtype=dtype), "visual": torch.randn(count, 6, dtype=dtype)}


def test_the_fusion_sees_what_an_ablated_modality_is_and_no_gradient_passes():
    made, inputs = model(1.0), batch()
    made.train()
    torch.manual_seed(1)
    output = made(inputs)
    features = {m: x.detach() for m, x in made.encode(inputs).items()}
    for i in range(len(output.logits)):
        (kept,) = (m for m in features if output.features[m][i].abs().sum() > 0)
        alone = made.fusion.ablated({m: x[i : i + 1] for m, x in features.items()}, kept)
        torch.testing.assert_close(output.logits[i], alone[0])
    given = {m: x.requires_grad_() for m, x in inputs.items()}
    torch.manual_seed(1)
    made(given).logits.square().sum().backward()
    for m, x in given.items():
        dropped = output.features[m].abs().sum(1) == 0
        assert 0 < dropped.sum() < 7 and torch.equal(x.grad.abs().sum(1) == 0, dropped)


def test_evaluation_compilation_and_export_are_as_without():
    made, plain = model(dtype=torch.float32).eval(), model(0.0, torch.float32).eval()
    inputs = batch(dtype=torch.float32)
    assert torch.equal(made(inputs).logits, plain(inputs).logits)
    assert list(made.state_dict()) == list(plain.state_dict())

    def make(count):
        return (batch(count, torch.float32),)

    check_compiles(made, make)
    check_exports(made, make, lambda output: output.logits)


def test_compiled_in_training():
    dropout = torch.compile(ModalityDropout(0.5), backend="aot_eager", fullgraph=True)
    found = dropout(ones(NAMES, 64))
    kept = torch.stack([found[m][:, 0] for m in NAMES])
    assert kept.sum(0).min() >= 1 and 0 < kept.sum() < kept.numel()


def test_autocast_trains():
    made, inputs = model(dtype=torch.float32), batch(64, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        output = made(inputs)
    nn.functional.cross_entropy(output.logits.float(), torch.arange(64) % 3).backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in made.parameters())


def _trained(rank, world):
    net = model(1.0)
    wrapped = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    seen = []
    for step in range(4):
        torch.manual_seed(100 * step + rank)
        inputs = batch(1)  # of one clip a whole modality is gone, and yet each process takes part in its gradients
        output = wrapped(inputs)
        seen += [m for m, x in output.features.items() if x.abs().sum() > 0]
        optimizer.zero_grad()
        output.logits.square().sum().backward()
        optimizer.step()
    return seen, net.state_dict()


def test_two_processes_draw_apart_and_stay_one():
    (first, state), (second, other) = in_processes(2, _trained)
    assert len(first) == len(second) == 4
    for name in state:
        assert torch.equal(state[name], other[name])


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_probability_outside_its_range(p):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ModalityDropout(p)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        create_feature_model({"audio": 4, "visual": 4}, num_classes=3, modality_dropout=p)


def test_a_saved_model_goes_on_dropping_in_training(tmp_path):
    made = create_model("small_av", num_classes=3, modality_dropout=0.4)
    made.save_pretrained(tmp_path)
    assert from_pretrained(tmp_path).modality_dropout.p == 0.4
    assert "modality_dropout" not in create_model("small_av", num_classes=3).config["options"]
