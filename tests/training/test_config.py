import subprocess
import sys

import pytest
import yaml

from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import flatten, from_dict, line_of, parse_yaml, read_yaml, to_dict


def test_goes_to_yaml_and_back():
    config = from_dict(
        TrainConfig,
        {
            "data": {"name": "grid", "options": {"speakers": [1, 2]}},
            "fusion": {"name": "sum", "zeta": 0.3},
            "optim": {"lr": 1},
            "seed": 4,
        },
    )
    assert config.optim.lr == 1.0 and isinstance(config.optim.lr, float)
    assert from_dict(TrainConfig, yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "unknown option 'epoch'. Did you mean 'epochs'"),
        ({"fusion": {"atention": "simam2"}}, "unknown option 'fusion.atention'. Did you mean 'fusion.attention'"),
        ({"fusion": "sum"}, "fusion is 'sum'; it must map"),
        ({"epochs": "many"}, "epochs is 'many'; it must be int or null"),
        ({"epochs": True}, "epochs is True; it must be int or null"),
        ({"optim": {"clip_norm": "high"}}, "optim.clip_norm is 'high'; it must be float or null"),
        ({"precision": "bf16-mix"}, "must be one of 'auto', .*, '16-mixed'. Did you mean 'bf16-mixed'"),
        ({"task": "localize"}, "Did you mean 'localise'"),
        ({"localise": {"supervision": "weekly"}}, "localise.supervision is 'weekly'.* Did you mean 'weakly'"),
        ({"accelerator": "tpu"}, "accelerator is 'tpu'; it must be one of 'auto', 'cpu', 'gpu', 'cuda', 'mps'"),
        ({"optim": {"lr": float("nan")}}, "optim.lr is nan; it must be float"),
        ({"model": {"modalities": ["audio", 3]}}, "model.modalities is .*; it must be list of str or null"),
        ({"balance": {"options": [1]}}, "balance.options is .*; it must be mapping"),
    ],
)
def test_a_wrong_key_or_type_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(TrainConfig, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"metric": "map"}, "No metric is called 'map'. Known: accuracy, mAP"),
        ({"seed": -1}, "seed is -1; it must be from 0 to 4294967295"),
        ({"localise": {"segments": 0}}, "localise.segments is 0; it must be at least 1, or null"),
        ({"optim": {"label_smoothing": 2.0}}, "optim.label_smoothing is 2.0; it must be from 0 to 1"),
        ({"optim": {"clip_norm": 0.0}}, "optim.clip_norm is 0.0; it must be greater than 0, or null"),
        ({"balance": {"options": {"alpha": 1}}}, "balance.name is null; name a balancer"),
        ({"data": {"batch_size": 0}}, "data.batch_size is 0; it must be at least 1"),
    ],
)
def test_a_value_outside_its_range_is_named(values, message):
    config = from_dict(TrainConfig, values)
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        config.check()


def test_choices_are_held_for_configurations_made_in_python_too():
    with pytest.raises(ConfigError, match="precision is 'bf16'; it must be one of"):
        TrainConfig(precision="bf16").check()


def test_a_long_value_is_cut_in_messages():
    with pytest.raises(ConfigError) as error:
        from_dict(TrainConfig, {"epochs": "many " * 30_000})
    assert len(str(error.value)) < 300 and "(150,002 characters)" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {options: {x: &a [*a]}}", "contains itself"),
        ("data: {options: {x: !!binary aGk=}}", "type bytes is not JSON"),
        ("data: {options: {[1, 2]: 3}}", "keys must be str|unhashable key"),
        (f"data: {'[' * 3000}{']' * 3000}", "nested too deep"),
    ],
    ids=["itself", "bytes", "key", "deep"],
)
def test_yaml_that_is_no_configuration_is_an_error_of_one_line(tmp_path, text, message):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"odd.yaml: .*{message}"):
        read_yaml(path)


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x9b", "\udcc3"])
def test_what_yaml_has_no_character_for_is_told(character):
    with pytest.raises(ConfigError, match="a word: this is not YAML"):
        parse_yaml(f"a{character}", "a word")


def test_a_date_of_yaml_is_a_text(tmp_path):
    path = tmp_path / "days.yaml"
    path.write_text("2026-11-30: 2026-02-30\nx: [2026-11-30]\n")
    assert read_yaml(path) == {"2026-11-30": "2026-02-30", "x": ["2026-11-30"]}


def test_yaml_reads_powers_of_ten_and_knows_lines(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("epochs: 3\noptim:\n  lr: 1e-3\n  clip_norm: -2.5E+1\ndata: {name: 1e}\n")
    assert read_yaml(path) == {"epochs": 3, "optim": {"lr": 0.001, "clip_norm": -25.0}, "data": {"name": "1e"}}
    assert (line_of(path, "optim.clip_norm"), line_of(path, "data.name"), line_of(path, "optim.x")) == (4, 5, None)


def test_flatten_gives_dotted_leaves():
    flat = flatten(TrainConfig())
    assert flat["optim.lr"] == 1e-3
    assert flat["fusion.options"] == {}
    assert "optim" not in flat


def test_the_configuration_and_recipes_cost_no_torch():
    code = (
        "import sys, counterpoint.training.config, counterpoint.recipes as r; r.load_recipe('concat');"
        "assert not {'torch', 'lightning', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
