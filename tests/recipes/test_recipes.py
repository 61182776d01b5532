import dataclasses

import pytest

from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.recipes import list_recipes, load_recipe
from counterpoint.training.config import COMPOSITION, TrainConfig
from counterpoint.training.config_io import from_dict


def test_every_row_of_the_papers_tables_has_its_recipe():
    rows = [
        *(base + more for base in ("concat", "sum", "film") for more in ("", "-simam2", "-ogm-ge", "-ogm-ge-simam2")),
        *("concat-df-simam2", "sum-df-simam2", "film-df-simam2", "fop", "fop-simam2"),
        *("film-two-stream", "gated-two-stream", "mmcosine", "film-mmcosine", "gated-mmcosine", "mmcosine-ogm-ge"),
        *("concat-g-blending", "mmcosine-g-blending"),
        *("visual-alone", "audio-alone", "average", "multiplicative", "product", "concat-fc", "mcb", "mmtm", "msaf"),
        *("erann", "cfn-sr", "cfn-sr-no-self-attention", "cfn-sr-no-residual", "cfn-sr-video-into-audio"),
    ]
    for name in rows:
        assert load_recipe(name).paper, name
    assert set(rows) <= set(list_recipes())


@pytest.mark.parametrize(
    ("name", "source", "dataset", "metric", "value"),
    [
        ("concat", "SimAM² Table 1", "CREMA-D", "accuracy", 51.7),
        ("sum-df-simam2", "SimAM² Table 1", "CREMA-D", "mAP", 66.1),
        ("film-ogm-ge-simam2", "SimAM² Table 1", "VGGSound", "mAP", 53.1),
        ("gated-mmcosine", "MMCosine Table 1", "CREMA-D", "accuracy", 66.40),
        ("concat-df-simam2", "SimAM² Table 1", "CREMA-D", "accuracy", 60.1),
        ("fop", "SimAM² Table 3", "Unseen-Unheard", "EER", 24.9),
        ("fop-simam2", "SimAM² Table 3", "Seen-Heard", "AUC", 89.8),
        ("film-two-stream", "MMCosine Table 1", "VoxCeleb1", "EER", 11.50),
        ("gated-mmcosine", "MMCosine Table 1", "VoxCeleb2", "minDCF", 0.322),
        ("mmcosine", "MMCosine Table 2", "CREMA-D", "probe_visual", 42.40),
        ("concat", "MMCosine Table 3", "SSW60", "accuracy", 73.32),
        ("mmcosine-ogm-ge", "MMCosine Table 3", "SSW60", "accuracy", 74.30),
        ("concat-g-blending", "MMCosine Table 3", "SSW60", "accuracy", 72.24),
        ("mmcosine-g-blending", "MMCosine Table 3", "SSW60", "accuracy", 74.51),
        ("multiplicative", "CFN-SR Table 1", "RAVDESS", "accuracy", 70.35),
        ("concat", "CFN-SR Table 2", "RAVDESS", "accuracy", 73.50),
        ("cfn-sr", "CFN-SR Table 2", "RAVDESS", "accuracy", 75.76),
    ],
)
def test_the_papers_numbers(name, source, dataset, metric, value):
    found = [r.value for r in load_recipe(name).paper if (r.source, r.dataset, r.metric) == (source, dataset, metric)]
    assert found == [value]


def test_a_recipe_replaces_the_whole_composition_and_leaves_its_argument_alone():
    base = TrainConfig(epochs=3)
    base.fusion.options = {"left": "over"}
    config = load_recipe("sum_df_simam2").apply(base)  # _ for - is fine
    assert (config.fusion.name, config.fusion.attention, config.fusion.zeta) == ("sum", "simam2", "learned")
    assert config.fusion.options == {}
    assert config.balance.name == "ogm_ge" and config.balance.options["ratio"] == "zeta"
    assert config.epochs == 3
    assert base.fusion.options == {"left": "over"} and base.fusion.name == "concat"
    config.balance.options["alpha"] = 5
    assert load_recipe("sum-df-simam2").balance.options["alpha"] != 5


def test_a_recipe_may_change_the_model():
    base = from_dict(TrainConfig, {"model": {"name": "resnet18_av", "options": {"visual": {"in_channels": 1}}}})
    config = load_recipe("audio-alone").apply(base)
    assert (config.model.name, config.model.modalities) == ("resnet18_av", ["audio"])
    assert config.model.options == base.model.options and base.model.modalities is None


def test_search_names_only_options_that_the_method_uses():
    for name in list_recipes():
        recipe = load_recipe(name)
        for key in recipe.search:
            part = key.split(".")[0]
            assert part in COMPOSITION, key
            if part == "balance":
                assert recipe.balance.name is not None
            if part == "head":
                assert recipe.head.name == "cosine"
            if part == "intermediate":
                assert recipe.intermediate.name is not None


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'sum-simam2'"):
        load_recipe("sum-siman2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fusion: {nam: sum}", "fusion.nam"),
        ("fusions: {name: sum}", "Did you mean 'fusion'"),
        ("search: {balance.option.alpha: [1]}", "unknown option 'balance.option.alpha'"),
        ("search: {optim.lr: 3}", "must be a list of choices"),
        ("paper: [{dataset: X}]", "must have a source"),
        ("[1, 2]", "must map names"),
        ("a: [", "not YAML"),
    ],
)
def test_a_broken_file_is_explained(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_recipe(path)


def test_a_file_of_another_kind_is_no_recipe(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("clip,class\n")
    with pytest.raises(ConfigError, match=r"split.csv is no recipe: the file of one ends in .yaml"):
        load_recipe(path)


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("title: Mine\nfusion: {name: sum, zeta: 0.3}\nsearch:\n  fusion.zeta: {low: 0.1, high: 0.9}\n")
    recipe = load_recipe(path)
    assert dataclasses.astuple(recipe.fusion)[:3] == ("sum", None, 0.3)
    assert recipe.name == "mine" and recipe.search == {"fusion.zeta": {"low": 0.1, "high": 0.9}}
    with pytest.raises(UnknownNameError, match="no recipe at"):
        load_recipe(tmp_path / "other.yaml")
