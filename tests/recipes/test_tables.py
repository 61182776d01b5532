"""The papers' tables, each as one comparison."""

import dataclasses

import pytest

from counterpoint.analysis.config import CompareConfig
from counterpoint.analysis.plan import check, plan_methods
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.recipes import list_tables, load_recipe, load_table, tables
from counterpoint.training.config import from_dict


@pytest.mark.parametrize("name", list_tables())
class TestEveryTable:
    def test_it_is_a_comparison_that_can_be_planned(self, name, tmp_path):
        config = from_dict(CompareConfig, load_table(name).compare)
        check(config)
        assert [entry.name for entry in plan_methods(config, tmp_path)] == config.methods

    def test_its_title_is_for_lists_and_not_part_of_the_comparison(self, name):
        table = load_table(name)
        assert table.title and table.title != name
        assert set(table.compare) <= {field.name for field in dataclasses.fields(CompareConfig)}


@pytest.mark.parametrize(("table", "rows"), [("cfn-sr-table1", 11), ("cfn-sr-table2", 5)])
def test_cfn_srs_tables_have_every_row_with_its_number(table, rows):
    source = {"cfn-sr-table1": "CFN-SR Table 1", "cfn-sr-table2": "CFN-SR Table 2"}[table]
    methods = load_table(table).compare["methods"]
    printed = [m for m in methods if any(result.source == source for result in load_recipe(m).paper)]
    assert len(printed) == rows and set(methods) - set(printed) <= {"cfn-sr-released"}


def test_cfn_srs_protocol():
    """Sec. 3.2 of CFN-SR; AdamW without decay is Adam."""
    for name in ("cfn-sr-table1", "cfn_sr_table2"):  # _ for - is fine
        config = from_dict(CompareConfig, load_table(name).compare)
        base = config.base
        assert (base.optim.name, base.optim.lr, base.optim.weight_decay) == ("adamw", 1e-3, 0.0)
        assert (base.optim.schedule, base.epochs, base.data.batch_size) == ("constant", 70, 16)
        assert (base.data.name, base.data.options, config.folds) == ("ravdess", {"folds": "paper"}, [0, 1, 2, 3, 4])


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'cfn-sr-table1'"):
        load_table("cfn-sr-tabel1")


@pytest.mark.parametrize("text", ["[1, 2]", "methods: [sum]"])
def test_a_file_that_is_no_table_is_told(tmp_path, monkeypatch, text):
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.setattr(tables, "TABLES", tmp_path)
    with pytest.raises(ConfigError, match="table mine: it must map names to values, a title"):
        load_table("mine")
