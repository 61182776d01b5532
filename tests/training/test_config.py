import subprocess
import sys

import pytest
import yaml

from counterpoint.errors import ConfigError
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import flatten, from_dict, to_dict


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
        ({"epoch": 3}, "no option 'epoch'. Did you mean 'epochs'"),
        ({"fusion": {"atention": "simam2"}}, r"no option 'fusion.atention'. Did you mean 'attention'"),
        ({"fusion": "sum"}, "fusion is 'sum'; it must map"),
        ({"epochs": "many"}, "epochs is 'many'; it must be int"),
        ({"epochs": True}, "epochs is True; it must be int"),
        ({"optim": {"clip_norm": "high"}}, "optim.clip_norm is 'high'; it must be float or null"),
        ({"balance": {"options": [1]}}, "balance.options is .*; it must be dict"),
    ],
)
def test_a_wrong_key_or_type_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(TrainConfig, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"precision": "bf16-mix"}, "Did you mean 'bf16-mixed'"),
        ({"metric": "map"}, "metric is 'map'.*mAP"),
        ({"optim": {"label_smoothing": 2.0}}, "optim.label_smoothing is 2.0; it must be from 0 to 1"),
        ({"optim": {"clip_norm": 0.0}}, "optim.clip_norm is 0.0"),
        ({"optim": {"lr": float("nan")}}, "optim.lr is nan"),
        ({"balance": {"options": {"alpha": 1}}}, "balance.name is null; name a balancer"),
        ({"data": {"batch_size": 0}}, "data.batch_size is 0"),
    ],
)
def test_a_value_outside_its_range_is_named(values, message):
    config = from_dict(TrainConfig, values)
    with pytest.raises(ConfigError, match=message):
        config.check()


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
