"""What is wrong with any method is told before data are looked for, and what hangs on them before they are decoded."""

from pathlib import Path

import pytest

from counterpoint.errors import CounterpointError
from counterpoint.experiments import compare as compare_module
from counterpoint.experiments import dry_run as module
from counterpoint.experiments.compare import compare
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.dry_run import dry_run
from counterpoint.experiments.plan import modalities_of, plan_methods, plan_search
from counterpoint.recipes import list_recipes, load_recipe
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from tiny_clips import tiny_data, write_tiny_clips


def asked(recipe: Path, root: Path, **changes) -> CompareConfig:
    base = {"data": tiny_data(root), "epochs": 1}
    return from_dict(CompareConfig, {"methods": ["concat", str(recipe)], "seeds": [0], "base": base, **changes})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fusion: {name: concat, options: {foo: 1}}", "foo"),
        ("fusion: {name: sum, zeta: 3}", "zeta"),
        ("head: {name: cosine, options: {scale: wide}}", "scale|wrong type"),
        ("balance: {name: ogm_ge, options: {alpha: -3}}", "alpha"),
        ("loss: {name: multiplicative, options: {gamma: 1}}", "gamma"),
        ("fusion: {name: gatd}", "Did you mean 'gated'"),
        ("model: {options: {audio: {widht: 3}}}", "widht"),
        ("model: {modalities: [smell]}", "smell"),
    ],
)
def test_a_wrong_recipe_is_told_by_name_before_its_data_are_looked_for(tmp_path, text, words):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(text)
    with pytest.raises(CounterpointError, match=f"recipe mine: .*({words})"):
        compare(asked(recipe, tmp_path / "nowhere"), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_wrong_setting_of_a_search_is_told_before_the_first_trial(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("balance: {name: ogm_ge}\nsearch: {balance.options.alpha: [-1, -2]}")
    with pytest.raises(CounterpointError, match=r"recipe mine, setting \{.*-[12].*alpha=-[12]"):
        compare(asked(recipe, tmp_path / "nowhere", search_trials=2), tmp_path / "out", progress=False)


def test_a_transform_that_does_not_fit_the_clips_is_told_before_they_are_decoded(tmp_path, monkeypatch):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("model: {inputs: {audio: {name: log_mel, fmax: 9000}}}")  # the clips have 16 kHz
    monkeypatch.setattr(compare_module, "prepare_clips", lambda *a, **k: pytest.fail("decodes"))
    root = write_tiny_clips(tmp_path / "clips")
    with pytest.raises(CounterpointError, match="recipe mine: .*8000"):
        compare(asked(recipe, root), tmp_path / "out", progress=False)


@pytest.mark.parametrize("task", ["classify", "localise"])
def test_every_recipe_passes_and_no_weight_is_drawn(tmp_path, monkeypatch, task):
    import torch

    methods = [name for name in list_recipes() if load_recipe(name).task == task]
    config = CompareConfig(methods=methods, base=TrainConfig(task=task), search_trials=2)
    entries = plan_methods(config, tmp_path)
    drawn = torch.get_rng_state()
    dry_run(entries, {entry.folder: plan_search(entry, config) for entry in entries})
    assert torch.equal(torch.get_rng_state(), drawn)
    devices = []
    make = module.build
    monkeypatch.setattr(module, "build", lambda run: devices.append(make(run).model))
    dry_run(entries[:1], {})
    assert {p.device.type for p in devices[0].parameters()} == {"meta"}


def test_settings_that_change_no_part_are_not_made_again(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(module, "build", made.append)
    config = CompareConfig(methods=["concat"], search_trials=5)
    entries = plan_methods(config, tmp_path)
    dry_run(entries, {entry.folder: plan_search(entry, config) for entry in entries})
    assert len(made) == 1


def test_modalities_are_those_of_the_base_and_then_of_the_recipes(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("model: {modalities: [audio]}")
    config = CompareConfig(methods=[str(recipe), "concat"])
    entries = plan_methods(config, tmp_path)
    assert modalities_of(entries[0].config) == ("audio",)
    assert modalities_of(entries[0].config, entries) == ("audio", "visual")
    assert modalities_of(config.base, entries[:1]) == ("audio", "visual")
