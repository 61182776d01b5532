"""Models whose encoders' maps act on each other."""

import json

import pytest
import torch

from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.intermediate import INTERMEDIATES, MMTM
from counterpoint.models import MODELS, MultimodalModel, create_model, from_pretrained
from invariants import (
    assert_trees_close,
    check_compiles,
    check_exports,
    check_finite,
    check_gradients_reach,
    check_independent_of_batch,
    check_state_dict,
)

SHAPES = {"audio": (1, 24, 40), "visual": (1, 9, 24, 20)}


@pytest.fixture(params=INTERMEDIATES.names())
def part(request):
    return request.param


def build(part, **options):
    torch.manual_seed(0)
    return create_model("small_av", num_classes=5, intermediate=part, **options)


def make(batch):
    generator = torch.Generator().manual_seed(batch)
    return ({m: torch.randn(batch, *shape, generator=generator) for m, shape in SHAPES.items()},)


def logits(output):
    return output.logits


def test_independent_of_batch(part):
    model = build(part)
    model(*make(8))
    check_independent_of_batch(model, make, logits)


def test_finite(part):
    check_finite(build(part), make)


def test_gradients_reach(part):
    check_gradients_reach(build(part), make, lambda output: output.logits.square().sum())


def test_state_dict(part):
    check_state_dict(build(part), lambda: build(part), make)


def test_compiles(part):
    check_compiles(build(part), make)


def test_exports(part):
    check_exports(build(part), make, logits)


def test_features_are_those_of_the_stages_with_the_part_between(part):
    model = build(part, intermediate_layers=["mid", {"visual": "temporal", "audio": "temporal"}]).eval()
    (inputs,) = make(3)
    state = dict(inputs)
    for stop, place in (("conv3", model.intermediate[0]), ("temporal", model.intermediate[1])):
        for m, encoder in model.encoders.items():
            names = list(encoder.stages())
            first = names.index("temporal") if stop == "temporal" else 0
            for name in names[first : names.index(stop) + 1]:
                state[m] = encoder.stages()[name](state[m])
        state = place(state)
    expected = {m: encoder.pool(state[m]) for m, encoder in model.encoders.items()}
    assert_trees_close(model.encode(inputs), expected, rtol=0, atol=0)
    plain = create_model("small_av", num_classes=5).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    assert not torch.allclose(plain.encode(inputs)["visual"], expected["visual"])


def test_every_part_acts_where_its_paper_has_it():
    assert build("cross_modal").route.layers == [{"audio": "temporal", "visual": "temporal"}]
    for part in ("mmtm", "msaf"):
        assert build(part).route.layers == [dict.fromkeys(SHAPES, "conv3"), dict.fromkeys(SHAPES, "temporal")]


def test_levels_follow_an_exchanged_encoder():
    model = build("mmtm", visual={"name": "resnet18", "in_channels": 1}, intermediate_layers=["mid"])
    assert model.route.layers == [{"audio": "conv3", "visual": "layer3"}]
    assert model.intermediate[0].channels == {"audio": 32, "visual": 256}


@pytest.mark.parametrize("name", MODELS.names())
def test_every_model_has_both_levels(name):
    with torch.device("meta"):
        model = create_model(name, num_classes=5, intermediate="mmtm")
    assert len(model.intermediate) == 2


def test_out_and_back(part, tmp_path):
    layers = [{"audio": "temporal", "visual": "conv3"}, "late"]
    model = build(part, intermediate_layers=layers)
    model(*make(8))
    model.save_pretrained(tmp_path)
    back = from_pretrained(tmp_path)
    with torch.no_grad():
        assert_trees_close(back(*make(4)), model.eval()(*make(4)), rtol=0, atol=0)
    options = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["options"]
    assert options["intermediate"] == part and options["intermediate_layers"] == layers


def test_models_saved_before_there_were_any_load(tmp_path):
    create_model("small_av", num_classes=5).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["options"] = {k: v for k, v in config["options"].items() if not k.startswith("intermediate")}
    path.write_text(json.dumps(config), encoding="utf-8")
    assert len(from_pretrained(tmp_path).intermediate) == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"intermediate": "mmtn"}, UnknownNameError, "Did you mean 'mmtm'"),
        ({"intermediate_layers": ["lat"]}, UnknownNameError, "Did you mean 'late'"),
        ({"intermediate_layers": [3]}, ConfigError, "a fusion point is 3"),
        ({"intermediate_layers": [{"audio": "conv9", "visual": "conv1"}]}, UnknownNameError, "audio encoder.*'conv9'"),
        ({"intermediate_layers": [{"audoi": "conv1", "visual": "conv1"}]}, UnknownNameError, "Did you mean 'audio'"),
        ({"intermediate_layers": [{"audio": "conv1"}]}, ConfigError, "2 modalities or more"),
        ({"intermediate_layers": ["late", "mid"]}, ConfigError, "comes to its stages in the order"),
        ({"intermediate_options": {"ratoi": 1}}, ConfigError, "Did you mean 'ratio'"),
        ({"intermediate": None, "intermediate_layers": ["mid"]}, ConfigError, "name one"),
        ({"intermediate": None, "intermediate_options": {"ratio": 1}}, ConfigError, "name one"),
        ({"modalities": ["audio"]}, ConfigError, "2 modalities or more"),
    ],
)
def test_wrong_options_are_told(options, error, message):
    with pytest.raises(error, match=message):
        create_model("small_av", num_classes=5, **{"intermediate": "mmtm", **options})


def test_a_model_made_by_hand():
    base = create_model("small_av", num_classes=5)
    part = MMTM({"audio": 8, "visual": 16})
    model = MultimodalModel(
        dict(base.encoders.items()), base.fusion, points=[({"audio": "conv1", "visual": "conv1"}, part)]
    )
    assert list(model.intermediate) == [part]
    assert {k.split(".")[0] for k in model.state_dict()} == {"encoders", "intermediate", "fusion"}
    model(*make(2)).logits.sum().backward()
    assert part.squeeze.weight.grad.abs().sum() > 0
