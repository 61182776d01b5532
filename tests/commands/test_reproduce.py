"""`counterpoint reproduce`, as a user meets it."""

import json
from types import SimpleNamespace

import pytest
import yaml

from counterpoint import cli
from counterpoint.commands import reproduce as verb
from counterpoint.data.tiny import write_tiny
from counterpoint.experiments import smoke as smoke_module

LIGHT = {
    "seeds": [0],
    "base": {
        "epochs": 1,
        "precision": "32-true",
        "data": {"batch_size": 8},
        "model": {"options": {"audio": {"name": "audio_cnn"}, "visual": {"name": "visual_cnn"}}},
    },
}


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.delenv("COUNTERPOINT_DEBUG", raising=False)
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")
    monkeypatch.setenv("COLUMNS", "160")

    def call(*words):
        code = cli.main(["reproduce", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two datasets by their names, and a file that makes runs light."""
    made = tmp_path_factory.mktemp("data")
    for name in ("cremad", "vggsound"):
        write_tiny(name, made / name)
    light = {**LIGHT, "base": {**LIGHT["base"], "data": {**LIGHT["base"]["data"], "cache": str(made / "cache")}}}
    (made / "light.yaml").write_text(yaml.safe_dump(light))
    return made


def test_without_a_table_it_lists_what_there_is(run):
    code, out, _ = run()
    assert code == 0 and len(out.splitlines()) > 17
    assert "simam2:table1    000:table1  cremad      15  SimAM² Table 1" in out
    assert "Table 1: localisers on AVE, weakly" in out


def test_a_table_over_two_datasets_runs_whole_and_goes_on(run, folder, tmp_path):
    words = ("000:table1", "--data-root", folder, "--runs", tmp_path, "--config", folder / "light.yaml")
    words = (*words, "--methods", "sum", "film-simam2", "--baseline", "sum")
    words = (*words, "--base.data.media.seconds", "0.5", "--base.data.media.size", "32")
    code, out, err = run(*words)
    assert code == 0, err
    for printed in ("SimAM² Table 1, CREMA-D", "SimAM² Table 1, VGGSound", "51.50", "52.90", "54.10", "51.20"):
        assert printed in out or printed == "52.90"
    assert out.count("Written: ") == 2 and "alpha is the 0.8 of that code for CREMA-D" in out.replace("\n", " ")
    for name, paper in (("cremad", "52.40"), ("vggsound", "48.90")):
        text = (tmp_path / f"simam2-table1-{name}" / "reproduction.md").read_text()
        assert f"| film-simam2 | {paper} |" in text and "base.epochs is 1, not 100" in text
    before = (tmp_path / "simam2-table1-cremad/sum/seed0/result.json").stat().st_mtime_ns
    code, _, _ = run(*words, "--dataset", "cremad", "--seeds", "0", "1")
    assert code == 0 and (tmp_path / "simam2-table1-cremad/sum/seed0/result.json").stat().st_mtime_ns == before
    assert (tmp_path / "simam2-table1-cremad/film-simam2/seed1/result.json").is_file()
    assert not (tmp_path / "simam2-table1-vggsound/sum/seed1").exists()


def test_options_of_the_comparison_win_over_the_table(run, folder, tmp_path, monkeypatch):
    seen = {}

    def stop(table, plan, **_):
        seen[table.name] = plan.config, plan.folder
        return SimpleNamespace(failures=("one",), folder=plan.folder)

    monkeypatch.setattr("counterpoint.experiments.reproduce.run_reproduction", stop)
    monkeypatch.setattr("counterpoint.experiments.reproduction_tables.to_rich", lambda made: "")
    code, _, err = run(
        *("003:table2", "--data-root", folder / "cremad", "--runs", tmp_path, "--seeds", "3,4"),
        *("--base.data.options.split", "actors", "base.epochs=7", "--jobs", "2"),
    )
    assert code == 2 and "1 of the runs failed; the same command tries them again" in err
    config, place = seen["mmcosine-table2"]
    assert place == tmp_path / "mmcosine-table2"
    assert (config.seeds, config.base.epochs, config.jobs, config.probe) == ([3, 4], 7, 2, True)
    assert config.base.data.options == {"split": "actors"} and config.base.data.batch_size == 32
    assert config.base.data.root == str(folder / "cremad")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["000:tabel1"], "There is no table '000:tabel1'. Did you mean '000:table1'?"),
        (["000:table1", "--dataset", "cremat"], "Did you mean 'cremad'?"),
        (["000:table1", "--data-root", "nowhere"], "CREMA-D is not at nowhere/cremad."),
        (["003:table2", "--data-root", "nowhere"], "CREMA-D is not at nowhere."),
        (["003:table1", "--data-root", "{data}"], "SSW60 is not at {data}/ssw60: there is no taxa.csv"),
        (["003:table2", "--epochs", "1"], "unknown option '--epochs'. Did you mean '--base.epochs'?"),
        (["--dataset", "cremad"], "--dataset chooses among those of a table; name one"),
        (["003:table2", "--smoke", "--data-root", "x"], "--smoke makes its own data; leave --data-root out"),
        (["003:table2", "--output", "x"], "--output is for --smoke; runs are in the folder --runs"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(run, folder, tmp_path, words, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*(word.format(data=folder) for word in words))
    assert code == 2 and message.format(data=folder) in err
    assert not list(tmp_path.iterdir())


def test_smoke_of_one_table_keeps_what_it_is_told_to(run, tmp_path):
    code, out, err = run("003:table2", "--smoke", "--output", tmp_path)
    assert code == 0, err
    assert "mmcosine-table2: 2 rows, all ran" in out and "the figures mean nothing" in out
    found = json.loads((tmp_path / "mmcosine-table2" / "mmcosine-table2" / "results.json").read_text())
    assert list(found["methods"]) == ["concat", "mmcosine"]
    code, out, err = run("003:table2", "--smoke", "--output", tmp_path)  # once more, anew
    assert code == 0, err


def test_smoke_of_everything_names_the_rows_that_fail(run, monkeypatch):
    asked = []

    def one(name, place, data, *, progress):
        asked.append(name)
        failures = [SimpleNamespace(run="fop seed 0", error="ShapeError: no")] if name == "simam2-table3" else []
        return SimpleNamespace(failures=failures, methods=("a", "b"))

    monkeypatch.setattr(smoke_module, "smoke", one)
    code, out, err = run("--smoke")
    assert asked == smoke_module.smoke_names() and code == 2
    assert "failed: simam2-table3, fop seed 0: ShapeError: no" in out
    assert f"1 of {2 * len(asked)} rows do not run" in err
    assert verb.smoke_tables(["bmfn-table1"], None) is None
