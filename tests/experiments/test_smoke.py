"""Every row of every table, and every recipe in none, is run whole: trained, written, read, tested, compared."""

import json

import pytest

from counterpoint.errors import ConfigError
from counterpoint.experiments import smoke as module
from counterpoint.experiments.smoke import REST, smoke, smoke_names
from counterpoint.models import from_pretrained
from counterpoint.recipes import list_recipes, list_tables, load_recipe, load_table


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Datasets that the tables share."""
    return tmp_path_factory.mktemp("tiny")


@pytest.mark.parametrize("name", smoke_names())
def test_every_row_runs(name, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "mine"))
    made = smoke(name, tmp_path, tiny)
    assert not made.failures and not (tmp_path / "mine").exists()  # nothing of made data in the user's cache
    found = json.loads((made.folder / "results.json").read_text())
    assert list(found["methods"]) == list(made.methods)
    if name not in REST:
        assert list(made.methods) == load_table(name).compare["methods"]
    for method, result in found["methods"].items():
        (run,) = result["runs"]
        assert from_pretrained(made.folder / run["folder"]).modalities, method  # written and read
        assert all(0 <= value <= 1 for value in run["test"].values())
    for row in made.rows:  # everything that a paper prints is measured
        assert row.measured.mean is not None, row
    assert (made.folder / "report.html").is_file() and (made.folder / "reproduction.md").is_file()


def test_every_recipe_is_in_a_table_or_among_the_rest():
    names = smoke_names()
    assert set(list_tables()) < set(names)
    rest = {method for name in set(names) & set(REST) for method in module._rest(name).compare["methods"]}
    in_tables = {method for name in list_tables() for method in load_table(name).compare["methods"]}
    assert rest | in_tables == set(list_recipes()) and not rest & in_tables


def test_what_is_made_with_the_tables_own_model_is_told_before_anything_runs(tiny, tmp_path, monkeypatch):
    """A light model would hide it: a row that does not fit the model of its table."""
    table = load_table("mmcosine-table2")
    table.compare["base"]["model"]["options"] = {"visual": {"name": "resnet18", "cells": 3}}
    monkeypatch.setattr(module, "load_table", lambda name: table)
    with pytest.raises(ConfigError, match="recipe concat: Encoder 'resnet18' has no option 'cells'"):
        smoke("mmcosine-table2", tmp_path, tiny)
    assert not (tmp_path / "mmcosine-table2").exists()


def test_light_recipes_keep_the_composition(tmp_path):
    for name in ("psp-df-simam2", "mcb", "bmfn-released"):
        light, own = load_recipe(module._light_recipe(name, tmp_path)), load_recipe(name)
        assert light.composition() == own.composition() and light.task == own.task and light.name == name
        kept = own.localise.get("options", {})
        assert {key: light.localise.get("options", {})[key] for key in kept} == kept
