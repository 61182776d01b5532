import pytest

from counterpoint.errors import ConfigError
from counterpoint.experiments.compare import compare
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.search import draw_settings
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict, get_setting, with_setting

LR = {"optim.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
ALPHA = {"balance.options.alpha": [0.1, 0.3, 0.8]}


def draw(own: dict, trials: int, name: str = "m", common: dict = LR, seed: int = 0) -> list[dict]:
    return draw_settings({"optim.lr": 1e-3}, common, own, trials=trials, seed=seed, name=name)


def test_as_many_for_every_method_and_the_same_learning_rates():
    plain, modulated = draw({}, 5, "concat"), draw(ALPHA, 5, "ogm")
    assert len(plain) == len(modulated) == 5
    assert [s["optim.lr"] for s in plain] == [s["optim.lr"] for s in modulated]
    assert plain[0] == {"optim.lr": 1e-3}
    assert all(1e-4 <= s["optim.lr"] <= 1e-2 for s in plain)
    assert {s["balance.options.alpha"] for s in modulated[1:]} <= {0.1, 0.3, 0.8}


def test_draws_repeat_with_the_seed_and_differ_with_another():
    assert draw(ALPHA, 6) == draw(ALPHA, 6)
    assert draw(ALPHA, 6) != draw(ALPHA, 6, seed=1)


def test_a_grid_is_searched_whole():
    settings = draw({}, 3, common={"optim.lr": [1e-4, 1e-3, 1e-2]})
    assert sorted(s["optim.lr"] for s in settings) == [1e-4, 1e-3, 1e-2]


def test_a_space_that_is_too_small_is_refused_rather_than_searched_less():
    with pytest.raises(ConfigError, match=r"only 3 different settings and 4 .*lower search_trials to 3"):
        draw({}, 4, common={"optim.lr": [1e-4, 1e-3, 1e-2]})


def test_settings_reach_dataclasses_and_dicts_and_leave_the_original_alone():
    config = TrainConfig()
    changed = with_setting(with_setting(config, "optim.lr", 0.5), "balance.options.noise.std", 2)
    assert (changed.optim.lr, changed.balance.options) == (0.5, {"noise": {"std": 2}})
    assert get_setting(changed, "balance.options.noise.std") == 2
    assert (config.optim.lr, config.balance.options) == (1e-3, {})
    assert get_setting(config, "balance.options.alpha") is None


def test_wrong_names_are_answered_with_the_nearest():
    for call in (lambda: get_setting(TrainConfig(), "optm.lr"), lambda: with_setting(TrainConfig(), "optm.lr", 1)):
        with pytest.raises(ConfigError, match="Did you mean 'optim'"):
            call()
    with pytest.raises(ConfigError, match="nothing below a float"):
        with_setting(TrainConfig(), "optim.lr.x", 1)


@pytest.mark.parametrize(
    ("name", "value"), [("optim.lr", "a"), ("epochs", 2.5), ("augment", 1), ("fusion.options", [])]
)
def test_values_of_another_type_are_refused(name, value):
    with pytest.raises(ConfigError, match=rf"^{name} is .*; it must be"):
        with_setting(TrainConfig(), name, value)


def test_a_setting_out_of_its_range_is_told_before_data_are_looked_for(tmp_path):
    base = {"data": {"name": "folder", "root": str(tmp_path / "nowhere")}}
    asked = {"methods": ["concat"], "base": base, "search_space": {"optim.lr": [1e-3, -1.0]}, "search_trials": 2}
    with pytest.raises(ConfigError, match=r"recipe concat, setting .* of its search: optim\.lr is -1\.0; it must be"):
        compare(from_dict(CompareConfig, asked), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_changes_of_another_type_are_told(tmp_path):
    asked = {"methods": ["concat"], "changes": {"optim.lr": "fast"}}
    with pytest.raises(ConfigError, match=r"optim\.lr is 'fast'"):
        compare(from_dict(CompareConfig, asked), tmp_path / "out", progress=False)
