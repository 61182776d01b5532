"""`counterpoint check` as a user meets it."""

import json
import shutil

import pytest

from counterpoint import cli
from shared_data import ROOT, needs_shared_data
from tiny_clips import write_tiny_clips


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.delenv("COUNTERPOINT_DEBUG", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words):
        code = cli.main(["check", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Groups are the splits: nothing is shared."""
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"), per_split={"train": 2, "val": 1, "test": 1})


def test_a_folder_kept_apart(run, clips, tmp_path):
    code, out, err = run("folder", "--data.root", clips, "--output", tmp_path / "found.json")
    assert (code, err) == (0, "")
    assert "4 train, 2 val, 2 test" in out and "No leaks: the splits share nothing." in out
    assert "8 files were compared by content." in out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["dataset"] == "folder" and found["leaks"] is False
    (split,) = found["splits"]
    assert split["clips"] == {"train": 4, "val": 2, "test": 2}
    assert {overlap["what"] for overlap in split["overlaps"]} == {"clip", "group", "file content"}
    assert all(overlap["shared"] == 0 for overlap in split["overlaps"])


def test_a_copied_clip_and_a_shared_group(run, clips, tmp_path):
    root = tmp_path / "clips"
    shutil.copytree(clips, root)
    shutil.copy(root / "high" / "000.mp4", root / "high" / "003.mp4")
    table = (root / "split.csv").read_text().replace("low,test,test", "low,test,train")
    (root / "split.csv").write_text(table)
    code, out, err = run("folder", "--data.root", root, "--output", tmp_path / "found.json")
    assert (code, err) == (1, "")
    assert "Shared between splits: file content, group." in out and "high/000.mp4" in out
    found = json.loads((tmp_path / "found.json").read_text())
    shared = {
        (overlap["what"], *overlap["sides"]): (overlap["shared"], overlap["of"], overlap["clips"], overlap["of_clips"])
        for overlap in found["splits"][0]["overlaps"]
        if overlap["shared"]
    }
    assert shared == {("group", "train", "test"): (1, 2, 1, 2), ("file content", "train", "test"): (1, 2, 1, 2)}
    assert found["leaks"] is True


def test_names_are_printed_as_they_stand(run, clips, tmp_path):
    root = tmp_path / "[bold]clips[/x]"
    shutil.copytree(clips, root)
    shutil.copy(root / "high" / "000.mp4", root / "high" / "003.mp4")
    for file in (root / "high").glob("00[03].mp4"):
        file.rename(file.with_name(f"[red]{file.name}"))
    table = (root / "split.csv").read_text()
    (root / "split.csv").write_text(table.replace("high/000", "high/[red]000").replace("high/003", "high/[red]003"))
    code, out, err = run("folder", "--data.root", root)
    assert (code, err) == (1, "") and "high/[red]000.mp4" in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["fodler"], "Did you mean 'folder'"),
        (["fodler", "--splits", "."], "No published lists are read of 'fodler'"),
        (["cremad", "--splits", "nowhere"], "There is no folder nowhere"),
        (["cremad", "--splits", ".", "--data.root", "x"], "--splits reads lists alone"),
        (["cremad", "--data.name", "grid"], "data.name is grid; name one of the two"),
        (["cremad", "--split", "."], "unknown option '--split'. Did you mean '--splits'"),
        (["cremad", "--data.root", "nowhere"], "CREMA-D is not at nowhere"),
        ([], "DATASET is missing"),
    ],
)
def test_wrong_arguments(run, words, why):
    code, _, err = run(*words)
    assert code == 2 and err.startswith("counterpoint check: ") and why in err, err


@needs_shared_data
def test_the_usual_lists_of_cremad(run, tmp_path):
    code, out, _ = run("cremad", "--splits", ROOT / "splits" / "cremad", "--output", tmp_path / "found.json")
    assert code == 1
    assert "91 of 91" in out and "744 of 744 test clips" in out
    (split,) = json.loads((tmp_path / "found.json").read_text())["splits"]
    actors = next(overlap for overlap in split["overlaps"] if overlap["what"] == "actor")
    assert (actors["shared"], actors["of"], actors["clips"], actors["of_clips"]) == (91, 91, 744, 744)
    assert len(actors["names"]) == 91
