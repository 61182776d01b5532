"""What a comparison is going to run; what is wrong with a method is told before its data are looked for, or decoded."""

from pathlib import Path

import pytest

from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.experiments import plan
from counterpoint.experiments.compare import compare
from counterpoint.experiments.config import DEFAULT_METHODS, CompareConfig
from counterpoint.experiments.plan import dry_run, resolve_plan
from counterpoint.recipes import list_recipes, load_recipe, load_table
from counterpoint.training import datamodule
from counterpoint.training.config import TASKS, TrainConfig
from counterpoint.training.config_io import from_dict, to_dict
from tiny_clips import tiny_data, write_tiny_clips


def methods(config, folder):
    return [entry for entry in resolve_plan(config, folder).entries if entry.kind == "method"]


@pytest.mark.parametrize("task", TASKS)
def test_methods_that_nobody_names_are_those_of_the_task(task, tmp_path):
    config = from_dict(CompareConfig, {"base": {"task": task}})
    assert config.methods == list(DEFAULT_METHODS[task]) == to_dict(config)["methods"]  # as compare.yaml records them
    assert [entry.name for entry in methods(config, tmp_path)] == config.methods
    assert from_dict(CompareConfig, to_dict(config)) == config
    assert from_dict(CompareConfig, {"base": {"task": task}, "methods": ["film"]}).methods == ["film"]


def test_a_task_that_there_is_not_is_told_first():
    with pytest.raises(ConfigError, match="base.task is 'localize'; it must be one of .* Did you mean 'localise'"):
        from_dict(CompareConfig, {"base": {"task": "localize"}})
    with pytest.raises(ConfigError, match="base.task is 'localize'.* Did you mean 'localise'"):
        resolve_plan(CompareConfig(["concat"], base=TrainConfig(task="localize")), Path())


def changed(methods, name, task="classify"):
    return from_dict(CompareConfig, {"methods": methods, "changes": {name: 0.3}, "base": {"task": task}})


@pytest.mark.parametrize(
    ("methods", "name", "hint"),
    [
        (["concat", "sum-ogm-ge"], "balance.options.alhpa", "Did you mean 'balance.options.alpha'"),
        (["avel", "avel-ogm-ge"], "balance.options.alhpa", "Did you mean 'balance.options.alpha'"),
        (["concat", "film"], "balance.options.alpha", "Known: "),
        (["concat", "sum"], "fusion.zeta", "nothing would change."),
    ],
)
def test_a_change_of_what_no_method_has_is_refused(methods, name, hint, tmp_path):
    config = changed(methods, name, "localise" if "avel" in methods else "classify")
    with pytest.raises(ConfigError, match=f"changes: none of the methods has '{name}', so that nothing") as told:
        resolve_plan(config, tmp_path)
    assert hint in str(told.value) and ("Did you mean" in str(told.value)) == ("Did" in hint)


def test_a_change_is_of_all_that_have_it(tmp_path):
    config = changed(["avel", "avel-ogm-ge"], "balance.options.alpha", "localise")  # searched, and not set
    plain, balanced = methods(config, tmp_path)
    assert (plain.config.balance.options, balanced.config.balance.options) == ({}, {"alpha": 0.3})
    assert [entry.config.optim.lr for entry in methods(changed(["concat"], "optim.lr"), tmp_path)] == [0.3]


def test_a_table_keeps_its_changes_when_only_some_of_its_rows_are_run(tmp_path):
    table = load_table("simam2-table1-vggsound")
    config = from_dict(CompareConfig, {**table.compare, "methods": ["sum", "film-simam2"], "baseline": "sum"})
    resolve_plan(config, tmp_path, table.compare["methods"])
    resolve_plan(config, tmp_path, None)
    with pytest.raises(ConfigError, match=r"none of the methods has 'balance\.options\.alpha'"):
        resolve_plan(config, tmp_path)


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
    monkeypatch.setattr(datamodule, "prepare_clips", lambda *a, **k: pytest.fail("decodes"))
    root = write_tiny_clips(tmp_path / "clips")
    with pytest.raises(CounterpointError, match="recipe mine: .*8000"):
        compare(asked(recipe, root), tmp_path / "out", progress=False)


@pytest.mark.parametrize("task", ["classify", "localise"])
def test_every_recipe_passes_and_no_weight_is_drawn(tmp_path, monkeypatch, task):
    import torch

    methods = [name for name in list_recipes() if load_recipe(name).task == task]
    drawn = torch.get_rng_state()
    made = resolve_plan(CompareConfig(methods=methods, base=TrainConfig(task=task), search_trials=2), tmp_path)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [len(entry.runs) for entry in made.entries] == [2] * (len(methods) + 2)
    devices, build = [], plan.build
    monkeypatch.setattr(plan, "build", lambda run: devices.append(build(run).model))
    dry_run(made.entries[:1])
    assert {p.device.type for p in devices[0].parameters()} == {"meta"}


def test_settings_that_change_no_part_are_not_made_again(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(plan, "build", made.append)
    runs = resolve_plan(CompareConfig(methods=["concat"], alone=False, search_trials=5), tmp_path).entries[0].runs
    assert len(made) == 1
    assert len({run.config.optim.lr for run in runs}) == 5


def test_modalities_are_those_of_the_base_and_then_of_the_recipes(tmp_path):
    def modalities(base, text):
        recipe = tmp_path / "mine.yaml"
        recipe.write_text(text)
        config = CompareConfig(methods=[str(recipe)], base=from_dict(TrainConfig, {"model": {"modalities": base}}))
        return resolve_plan(config, tmp_path).modalities

    assert modalities(None, "model: {modalities: [audio]}") == ("audio", "visual")
    assert modalities(["visual"], "model: {modalities: [audio]}") == ("visual", "audio")
    assert modalities(["audio"], "model: {modalities: [audio]}") == ("audio",)


@pytest.mark.parametrize("seeds", [[0, -1], [2**32]])
def test_seeds_outside_their_range_are_told(tmp_path, seeds):
    with pytest.raises(ConfigError, match=rf"seeds is \[.*{seeds[-1]}\]; each must be from 0 to 4294967295"):
        resolve_plan(CompareConfig(seeds=seeds), tmp_path)
