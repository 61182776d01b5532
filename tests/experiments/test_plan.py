"""What a comparison is going to run."""

import pytest

from counterpoint.errors import ConfigError
from counterpoint.experiments.config import DEFAULT_METHODS, CompareConfig
from counterpoint.experiments.plan import check, check_changes, plan_methods
from counterpoint.recipes import load_table
from counterpoint.training.config import TASKS
from counterpoint.training.config_io import from_dict, to_dict


@pytest.mark.parametrize("task", TASKS)
def test_methods_that_nobody_names_are_those_of_the_task(task, tmp_path):
    config = from_dict(CompareConfig, {"base": {"task": task}})
    check(config)
    assert config.methods == list(DEFAULT_METHODS[task]) == to_dict(config)["methods"]  # as compare.yaml records them
    assert [entry.name for entry in plan_methods(config, tmp_path)] == config.methods
    assert from_dict(CompareConfig, to_dict(config)) == config
    assert from_dict(CompareConfig, {"base": {"task": task}, "methods": ["film"]}).methods == ["film"]


def test_a_task_that_there_is_not_is_told_first():
    with pytest.raises(ConfigError, match="base.task is 'localize'; it must be one of .* Did you mean 'localise'"):
        check(from_dict(CompareConfig, {"base": {"task": "localize"}}))


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
def test_a_change_of_what_no_method_has_is_refused(methods, name, hint):
    config = changed(methods, name, "localise" if "avel" in methods else "classify")
    with pytest.raises(ConfigError, match=f"changes: none of the methods has '{name}', so that nothing") as told:
        check_changes(config)
    assert hint in str(told.value) and ("Did you mean" in str(told.value)) == ("Did" in hint)


def test_a_change_is_of_all_that_have_it(tmp_path):
    config = changed(["avel", "avel-ogm-ge"], "balance.options.alpha", "localise")  # searched, and not set
    check_changes(config)
    plain, balanced = plan_methods(config, tmp_path)
    assert (plain.config.balance.options, balanced.config.balance.options) == ({}, {"alpha": 0.3})
    check_changes(changed(["concat"], "optim.lr"))


def test_a_table_keeps_its_changes_when_only_some_of_its_rows_are_run():
    table = load_table("simam2-table1-vggsound")
    config = from_dict(CompareConfig, {**table.compare, "methods": ["sum", "film-simam2"], "baseline": "sum"})
    check_changes(config, table.compare["methods"])
    with pytest.raises(ConfigError, match=r"none of the methods has 'balance\.options\.alpha'"):
        check_changes(config)
