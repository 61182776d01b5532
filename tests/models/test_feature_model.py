"""Models of features that were made before."""

import pytest
import torch

from counterpoint.balance import create_balancer
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.fusion import FOP, FUSIONS
from counterpoint.models import MultimodalModel, create_feature_model, from_pretrained
from invariants import check_compiles, check_exports, check_independent_of_batch, check_state_dict

DIMS = {"audio": 6, "visual": 9}


def build(**options):
    torch.manual_seed(0)
    return create_feature_model(DIMS, num_classes=4, **options)


def make(batch):
    rng = torch.Generator().manual_seed(batch)
    return ({m: torch.randn(batch, width, generator=rng) for m, width in DIMS.items()},)


def test_features_reach_the_fusion_as_they_are():
    model, (inputs,) = build(fusion="fop", fusion_options={"fusion": "linear"}).eval(), make(3)
    assert isinstance(model, MultimodalModel) and isinstance(model.fusion, FOP)
    assert all(model.encode(inputs)[m] is inputs[m] for m in DIMS)
    assert torch.equal(model(inputs).logits, model.fusion(inputs).logits)
    assert not [name for name, _ in model.named_parameters() if not name.startswith("fusion.")]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_joins_features(fusion):
    model = build(fusion=fusion)
    model(*make(4)).logits.square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_invariants():
    check_independent_of_batch(build(fusion="fop"), make, lambda output: output.logits)
    check_state_dict(build(), build, make)
    check_compiles(build(), make)
    check_exports(build(), make, lambda output: output.logits)


def test_out_and_back(tmp_path):
    model = build(fusion="fop", head="cosine", modalities=["visual", "audio"])
    model(*make(8))
    model.save_pretrained(tmp_path, extra={"classes": ["a"]})
    back = from_pretrained(tmp_path)
    assert back.config["extra"] == {"classes": ["a"]} and back.modalities == ("audio", "visual")
    with torch.no_grad():
        assert torch.equal(back(*make(5)).logits, model.eval()(*make(5)).logits)


def test_what_does_not_fit():
    with pytest.raises(ConfigError, match="features has no modality 'visuel'. Did you mean 'visual'"):
        build(modalities=["visuel"])
    alone = build(modalities=["audio"])
    assert alone.modalities == ("audio",)
    for wrong in (torch.zeros(2, 5), torch.zeros(2, 10, 6)):
        with pytest.raises(ShapeError, match=r"the features must be \(B, 6\), but have the shape"):
            alone({"audio": wrong})


@pytest.mark.parametrize("which", ["conv", "all"])
def test_there_is_nothing_to_balance(which):
    with pytest.raises(ConfigError, match=r"The encoder of 'audio' has no \w+ to balance\.$"):
        create_balancer("ogm_ge", build().balanced, alpha=0.5, parameters=which)
