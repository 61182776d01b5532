import math

import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.functional import multiplicative_scores
from counterpoint.fusion import Concat, FiLM, Gated, Multiplicative, SimAM2, Sum, create_fusion

DIMS = {"audio": 6, "visual": 8}


def features(**changes):
    return {m: torch.randn(4, d) for m, d in {**DIMS, **changes}.items()}


@pytest.mark.parametrize("name", ["sum", "concat", "film", "gated"])
class TestFeatures:
    def test_wrong_width(self, name):
        with pytest.raises(ShapeError, match=r"'visual' has shape \(4, 9\), but \w+ needs \(B, ..., 8\)"):
            create_fusion(name, DIMS, 5)(features(visual=9))

    def test_no_batch(self, name):
        with pytest.raises(ShapeError, match=r"'audio' has shape \(6,\)"):
            create_fusion(name, DIMS, 5)({"audio": torch.zeros(6), "visual": torch.zeros(8)})

    def test_different_batches(self, name):
        with pytest.raises(ShapeError, match="same axes before the last"):
            create_fusion(name, DIMS, 5)({**features(), "visual": torch.zeros(3, 8)})

    def test_misspelt_modality(self, name):
        x = features()
        x["visuals"] = x.pop("visual")
        with pytest.raises(UnknownNameError, match="'visuals'. Did you mean 'visual'"):
            create_fusion(name, DIMS, 5)(x)

    def test_missing_modality(self, name):
        with pytest.raises(UnknownNameError, match="needs the modality 'visual' too, but was given audio"):
            create_fusion(name, DIMS, 5)({"audio": torch.zeros(4, 6)})

    def test_wrong_number_of_tensors(self, name):
        with pytest.raises(ConfigError, match="in the order audio, visual; got 3 arguments"):
            create_fusion(name, DIMS, 5)(*features().values(), torch.zeros(4, 6))

    def test_a_list_instead_of_a_mapping(self, name):
        with pytest.raises(ConfigError, match="takes one mapping, or 2 tensors in the order audio, visual"):
            create_fusion(name, DIMS, 5)(list(features().values()))

    def test_no_numbers_to_compute_with(self, name):
        with pytest.raises(ShapeError, match="'audio' is of torch.int64"):
            create_fusion(name, DIMS, 5)({**features(), "audio": torch.ones(4, 6, dtype=torch.long)})
        with pytest.raises(ShapeError, match="'visual' is of ndarray"):
            create_fusion(name, DIMS, 5)({**features(), "visual": torch.ones(4, 8).numpy()})

    @pytest.mark.parametrize(
        "modality", ["training", "_modules", "_parameters", "_keys", "keys", "a.b", "", "fused", 0]
    )
    def test_names_that_torch_needs_for_itself(self, name, modality):
        with pytest.raises(ConfigError, match=f"cannot be called {modality!r}"):
            create_fusion(name, {modality: 6, "visual": 8}, 5)

    def test_names_that_are_merely_odd(self, name):
        x = {"bruit de fond": torch.randn(4, 6), "été": torch.randn(4, 6), "weight": torch.randn(4, 6)}
        assert create_fusion(name, dict.fromkeys(x, 6), 5)(x).logits.shape == (4, 5)

    def test_silencing_for_an_unknown_modality(self, name):
        with pytest.raises(UnknownNameError, match="no modality 'adio'. Did you mean 'audio'"):
            create_fusion(name, DIMS, 5).ablated(features(), "adio")

    def test_unknown_option(self, name):
        with pytest.raises(ConfigError, match=f"Fusion '{name}' has no option 'zetta'. Did you mean 'zeta'"):
            create_fusion(name, DIMS, 5, zetta=0.5)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"zeta": 1.0}, ConfigError, "between 0 and 1, got 1.0"),
            ({"zeta": "learn"}, ConfigError, "Did you mean 'learned'"),
            ({"attention": "simam"}, ConfigError, "Did you mean 'simam2'"),
            ({"attention_options": {"s": 1.0}}, ConfigError, "need an attention"),
            ({"attention": "simam2", "attention_options": {"sing": "paper"}}, ConfigError, "Did you mean 'sign'"),
            ({"head": "linaer"}, UnknownNameError, "Did you mean 'linear'"),
            ({"head": "cosine", "head_options": {"scal": 1}}, ConfigError, "Did you mean 'scale'"),
            ({"zeta": "learned", "gate_hidden": 0}, ConfigError, "gate_hidden must be 1 or more"),
        ],
    )
    def test_options(self, name, options, error, message):
        with pytest.raises(error, match=message):
            create_fusion(name, DIMS, 5, **options)


def test_unknown_fusion():
    with pytest.raises(UnknownNameError, match="Did you mean 'concat'"):
        create_fusion("conact", DIMS, 5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Sum({"audio": 6}, 5), "Sum joins 2 modalities or more, got audio"),
        (lambda: Concat({}, 5), "Concat joins 1 modalities or more, got none"),
        (lambda: Sum(DIMS, 0), "sizes of 1 or more"),
        (lambda: Sum(DIMS, 2.5), "sizes of 1 or more, got .* and 2.5 classes"),
        (lambda: Sum({"audio": 6, "visual": "6"}, 5), "sizes of 1 or more, got .*'6'"),
        (lambda: Sum(["audio", "visual"], 5), "modalities with int sizes"),
        (lambda: Sum(DIMS, 5, sum_at="features"), "use sum_at='logits'"),
        (lambda: Sum(DIMS, 5, sum_at="feature"), "Did you mean 'features'"),
        (lambda: Concat({"audio": 6}, 5, attention="simam2"), "'audio' is alone"),
        (lambda: Concat(DIMS, 5, hidden=[8, 0]), "hidden layers must be 1 or more wide"),
        (lambda: Concat(DIMS, 5, hidden=8, dropout=1.0), "a share from 0 to below 1"),
        (lambda: Concat(DIMS, 5, dropout=0.5), "of hidden layers' outputs"),
        (lambda: Gated(DIMS, 5, form="gum"), "Did you mean 'gmu'"),
        (lambda: Gated(DIMS, 5, form="gmu", two_stream=True), "needs form='gate'"),
        (lambda: Gated(DIMS, 5, size=0), "size must be 1 or more"),
        (lambda: FiLM(DIMS, 5, major="visul"), "Did you mean 'visual'"),
        (lambda: Multiplicative(DIMS, 5, beta=math.nan), "0 or more, got nan"),
        (lambda: SimAM2(s=math.nan), "s > 0 and lam > 0, got s=nan"),
        (lambda: multiplicative_scores([torch.zeros(1, 2)] * 2, math.nan), "0 or more; got nan"),
    ],
)
def test_what_cannot_be_built(build, message):
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        build()


def test_print_says_what_it_is():
    assert "two_stream=True" in repr(FiLM(DIMS, 5, two_stream=True))
    assert "form='gmu'" in repr(Gated(DIMS, 5, form="gmu"))
    assert "sum_at='logits'" in repr(Sum(DIMS, 5, zeta=0.5)) and "zeta=0.5" in repr(Sum(DIMS, 5, zeta=0.5))
    assert "sign='paper'" in repr(Sum(DIMS, 5, attention="simam2"))


def test_names_in_a_checkpoint_are_stable():
    """Saved models depend on them."""
    learned = {"superposition.gate.net.0.weight", "superposition.gate.net.2.bias"}
    keys = set(Sum(DIMS, 5, attention="simam2", zeta="learned").state_dict())
    assert learned | {"head.weight.audio", "head.bias", "superposition.attention.var_max"} <= keys
    assert set(Concat(DIMS, 5).state_dict()) == {"head.weight.audio", "head.weight.visual", "head.bias"}
    assert "affine.visual.weight" in FiLM(DIMS, 5).state_dict()
    assert "project.audio.bias" in Gated(DIMS, 5).state_dict()
