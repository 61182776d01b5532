"""What holds for every registered model, whatever fusion joins it."""

import inspect

import pytest
import torch
from torch import nn

from counterpoint.encoders import ResNet18, ResNet34
from counterpoint.errors import ConfigError, CounterpointError, ShapeError, UnknownNameError
from counterpoint.fusion import FUSIONS, Concat, FusionOutput, Sum
from counterpoint.models import MODELS, MultimodalModel, create_model, list_models
from invariants import (
    check_compiles,
    check_exports,
    check_finite,
    check_gradients_reach,
    check_independent_of_batch,
    check_state_dict,
)

SHAPES = {
    "small_av": {"audio": (1, 24, 40), "visual": (1, 9, 24, 20)},
    "resnet18_av": {"audio": (1, 33, 36), "visual": (3, 2, 32, 32)},
    "resnext50_mfcc": {"audio": (1, 13, 20), "visual": (3, 4, 24, 24)},
    "resnet_se34_av": {"audio": (1, 40, 24), "visual": (3, 1, 32, 32)},
}
OPTIONS = {"resnext50_mfcc": {"audio": {"num_frames": 20}}}


def build(name, **options):
    torch.manual_seed(0)
    return create_model(name, num_classes=5, **OPTIONS.get(name, {}), **options)


def make(name):
    def inputs(batch):
        generator = torch.Generator().manual_seed(batch)
        return ({m: torch.randn(batch, *shape, generator=generator) for m, shape in SHAPES[name].items()},)

    return inputs


def logits(output):
    return output.logits


@pytest.fixture(params=list_models())
def name(request):
    return request.param


def test_every_model_is_complete(name):
    model, entry = build(name), MODELS.get(name)
    assert entry.summary
    assert set(entry.default_inputs) == set(entry.encoders) == set(model.modalities)
    output = model(*make(name)(3))
    assert isinstance(output, FusionOutput)
    assert output.logits.shape == (3, 5)
    assert list(output.unimodal_logits) == list(model.encoders) == list(SHAPES[name])
    features = model.encode(*make(name)(3))
    assert {m: f.shape for m, f in features.items()} == {m: (3, d) for m, d in model.fusion.dims.items()}


def test_independent_of_batch(name):
    model = build(name)
    model(*make(name)(8))
    check_independent_of_batch(model, make(name), logits)


def test_finite(name):
    check_finite(build(name), make(name))


def test_gradients_reach(name):
    check_gradients_reach(build(name), make(name), lambda output: output.logits.square().sum())


def test_state_dict(name):
    check_state_dict(build(name), lambda: build(name), make(name))


def test_compiles(name):
    check_compiles(build(name), make(name))


def test_exports(name):
    check_exports(build(name), make(name), logits)


WEIGHING = [name for name in FUSIONS if "attention" in inspect.signature(FUSIONS.get(name)).parameters]


@pytest.mark.parametrize(
    ("fusion", "options"), [*[(f, {}) for f in FUSIONS], *[(f, {"attention": "simam2"}) for f in WEIGHING]]
)
def test_every_fusion_joins_the_encoders(fusion, options):
    model = build("small_av", fusion=fusion, fusion_options=options)
    assert type(model.fusion) is FUSIONS.get(fusion)
    output = model(*make("small_av")(4))
    output.logits.square().sum().backward()
    for encoder in model.encoders.values():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_the_head_and_its_options_arrive():
    model = build("small_av", head="cosine", head_options={"scale": 7.0})
    assert (model(*make("small_av")(4)).logits.abs() <= 14.0 + 1e-4).all()


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_one_modality_alone(name, modality):
    model = build(name, modalities=[modality])
    assert list(model.encoders) == [modality] and model.modalities == (modality,)
    (inputs,) = make(name)(3)
    output = model({modality: inputs[modality]})
    torch.testing.assert_close(output.unimodal_logits[modality], output.logits)


def test_encoders_take_options_or_are_exchanged():
    model = build("small_av", visual={"in_channels": 3, "out_features": 64})
    assert model.fusion.dims == {"audio": 256, "visual": 64}
    assert model.encoders["visual"].in_channels == 3
    model = build("resnet18_av", audio={"name": "resnet34"})
    assert type(model.encoders["audio"]) is ResNet34 and type(model.encoders["visual"]) is ResNet18
    assert model.encoders["audio"].in_channels == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"modalities": ["sound", "visual"]}, CounterpointError, "'sound'"),
        ({"modalities": ["visuel"]}, CounterpointError, "Did you mean 'visual'"),
        ({"modalities": []}, ConfigError, "one or more of audio, visual"),
        ({"modalities": ["audio", "audio"]}, ConfigError, "each once"),
        ({"fusion": "concatt"}, UnknownNameError, "Did you mean 'concat'"),
        ({"fusion": "sum", "modalities": ["audio"]}, ConfigError, "2 modalities"),
        ({"head": "cosin"}, UnknownNameError, "Did you mean 'cosine'"),
        ({"video": {}}, ConfigError, "'video'"),
        ({"visual": {"in_chanels": 3}}, ConfigError, "Did you mean 'in_channels'"),
        ({"visual": 3}, ConfigError, "mapping"),
    ],
)
def test_wrong_options_are_told(options, error, message):
    with pytest.raises(error, match=message):
        build("small_av", **options)


def test_unknown_models_are_proposed():
    with pytest.raises(UnknownNameError, match="Did you mean 'small_av'"):
        create_model("small-av", num_classes=2)
    assert list_models("*res*") == ["resnet18_av", "resnet_se34_av", "resnext50_mfcc"]


def test_wrong_inputs_are_told():
    model = build("small_av")
    (inputs,) = make("small_av")(3)
    audio, visual = inputs["audio"], inputs["visual"]
    for wrong, error, message in (
        ({"audio": audio}, CounterpointError, "visual"),
        ({"audio": audio, "visual": visual, "text": audio}, CounterpointError, "'text'"),
        ({"audio": audio, "visual": visual[:2]}, ShapeError, "same number"),
        ({"audio": visual, "visual": visual}, ShapeError, "AudioCNN needs"),
        ({"audio": audio, "visual": visual.repeat(1, 3, 1, 1, 1)}, ShapeError, "VisualCNN needs.*C = 1"),
    ):
        with pytest.raises(error, match=message):
            model(wrong)


def test_own_encoders_of_any_number():
    encoders = {m: nn.Linear(3, 4) for m in ("touch", "smell", "taste")}
    model = MultimodalModel(encoders, Sum(dict.fromkeys(encoders, 4), 2))
    output = model({m: torch.randn(5, 3) for m in encoders})
    assert output.logits.shape == (5, 2) and list(output.unimodal_logits) == list(encoders)


def test_encoders_that_do_not_fit_the_fusion_are_refused():
    with pytest.raises(ConfigError, match="same names in the same order"):
        MultimodalModel({"a": nn.Linear(3, 4)}, Concat({"b": 4}, 2))
    with pytest.raises(ConfigError, match="a encoder gives 4 features, but the fusion takes 5"):
        MultimodalModel({"a": nn.Linear(3, 4)}, Concat({"a": 5}, 2))
