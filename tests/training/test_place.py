"""What may be removed: a run's own files, and nothing else."""

import pytest
import yaml

from counterpoint.cli import main
from counterpoint.errors import RunError
from counterpoint.experiments.process_pool import ERROR
from counterpoint.experiments.process_pool import LOG as OUTPUT
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.place import OWN, remove_run, require_place
from counterpoint.training.run_dir import COMPARISON, CONFIG, write_config
from tiny_clips import tiny_data, write_tiny_clips

FOREIGN = ("thesis.tex", "notes/result.json", "predictions/clip.json", "search.json", "last.ckpt.bak")


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def put_run(folder):
    put(folder, *OWN[CONFIG], "last.ckpt.part")
    (folder / "checksums.sha256").unlink()
    write_config(folder, TrainConfig())


def test_of_a_run_its_own_files_go_and_links_lead_nowhere(tmp_path):
    put(tmp_path / "precious", *OWN[CONFIG], "thesis.tex")
    run = tmp_path / "runs" / "a"
    put_run(run)
    put(run, *FOREIGN)
    (run / "steps.csv").unlink()
    (run / "steps.csv").symlink_to(tmp_path / "precious" / "steps.csv")
    (run / "verification").symlink_to(tmp_path / "precious")
    remove_run(run)
    assert files_of(run) == {*FOREIGN, "verification"}
    assert files_of(tmp_path / "precious") == {*OWN[CONFIG], "thesis.tex"}
    with pytest.raises(RunError, match="holds something else"):
        require_place(run, TrainConfig(), resume=False, overwrite=False)


def test_of_a_comparison_its_own_files_and_its_runs_go(tmp_path):
    put_run(tmp_path / "elsewhere" / "seed0")
    folder = tmp_path / "runs" / "both"
    put(folder, *OWN[COMPARISON], *FOREIGN, "concat/search.json", "concat/README", "reports/seed3/result.json")
    (folder / "checksums.sha256").unlink()
    (folder / COMPARISON).write_text("methods: [concat]\n")
    for run in ("concat/seed0", "concat/search/trial1", "sum/seed1/fold0", "alone/audio/seed0"):
        put_run(folder / run)
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    remove_run(folder, COMPARISON)
    assert files_of(folder) == {*FOREIGN, "concat/README", "reports/seed3/result.json", "linked"}
    assert not (folder / "sum").exists() and not (folder / "alone").exists()
    assert (tmp_path / "elsewhere" / "seed0" / "last.ckpt").exists()


@pytest.mark.parametrize("marker", [CONFIG, COMPARISON])
@pytest.mark.parametrize("content", ["name: a web server\nport: 80\n", "", "- a\n- list\n", "no: [yaml", None])
def test_a_folder_that_is_none_is_left_alone(tmp_path, marker, content):
    put(tmp_path, "result.json", "config.json", "report.html", "last.ckpt")
    if content is not None:
        (tmp_path / marker).write_text(content)
    before = files_of(tmp_path)
    with pytest.raises(RunError, match="holds something else.*is not removed"):
        remove_run(tmp_path, marker)
    if marker == CONFIG:
        for more in ({}, {"resume": True}, {"overwrite": True}):
            asked = {"resume": False, "overwrite": False} | more
            with pytest.raises(RunError, match="holds something else"):
                require_place(tmp_path, TrainConfig(), **asked)
    assert files_of(tmp_path) == before


def test_the_list_of_own_files_has_those_that_other_rooms_write():
    from counterpoint._checksums import CHECKSUMS
    from counterpoint.analysis.analyse_run import ANALYSIS, TRACE
    from counterpoint.experiments.compare import LOG, RESULTS
    from counterpoint.experiments.reproduction_tables import CSV, MARKDOWN
    from counterpoint.report.report import REPORT
    from counterpoint.verify.evaluate import FOUND

    assert {ANALYSIS, TRACE, REPORT, FOUND, ERROR, OUTPUT, CHECKSUMS} < set(OWN[CONFIG])
    assert {LOG, RESULTS, CSV, MARKDOWN, REPORT, CHECKSUMS} < set(OWN[COMPARISON])


@pytest.mark.parametrize("verb", ["train", "compare"])
@pytest.mark.parametrize("flag", [[], ["--overwrite"], ["--resume"]])
@pytest.mark.parametrize("name", ["../precious", "a/../../precious", "{}/precious", "link", "link/below", "."])
def test_a_name_stays_in_the_folder_of_all_runs(tmp_path, capsys, verb, flag, name):
    put(tmp_path / "precious", "thesis.tex", "below/data.csv")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "precious")
    words = ["--runs", str(tmp_path / "runs"), "--name", name.format(tmp_path), *flag]
    assert main([verb, *words]) == 2
    assert "leads out of" in capsys.readouterr().err
    assert files_of(tmp_path / "precious") == {"thesis.tex", "below/data.csv"}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["link"]


def test_a_table_stays_there_too(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "runs" / "mmcosine-table1-cremad").symlink_to(tmp_path / "precious")
    words = ["mmcosine-table1-cremad", "--runs", str(tmp_path / "runs"), "--data-root", str(tmp_path)]
    assert main(["reproduce", *words]) == 2
    assert list((tmp_path / "precious").iterdir()) == []
    assert "leads out of" in capsys.readouterr().err


def test_foreign_files_survive_overwrite(tmp_path, capsys):
    """As found: a run is begun in a folder with other files, and replaced."""
    clips = write_tiny_clips(tmp_path / "clips")
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump({"data": tiny_data(clips), "epochs": 1}))
    put(tmp_path / "runs" / "a", "thesis.tex")
    words = ["train", "--config", str(config), "--runs", str(tmp_path / "runs"), "--name", "a"]
    for more in ([], ["--resume"], ["--overwrite"]):
        assert main([*words, *more]) == 2
        assert "holds something else" in capsys.readouterr().err
    assert files_of(tmp_path / "runs" / "a") == {"thesis.tex"}
    (tmp_path / "runs" / "a" / "thesis.tex").unlink()
    assert main([*words, "--resume"]) == 0  # begins what is not begun
    assert "nothing to resume" in capsys.readouterr().err
    put(tmp_path / "runs" / "a", "thesis.tex")
    assert main([*words, "--overwrite", "--seed", "3"]) == 0
    assert "thesis.tex" in files_of(tmp_path / "runs" / "a")
    assert from_dict(TrainConfig, yaml.safe_load((tmp_path / "runs" / "a" / CONFIG).read_text())).seed == 3
