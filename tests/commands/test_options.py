"""What jsonargparse would import a class for is refused before it sees it."""

import json
import sys

import pytest
import yaml

from counterpoint.cli import main
from tiny_clips import tiny_data

FORMS = {
    "mapping": {"class_path": "evil.Thing"},
    "deep": {"a": 1, "b": [{"class_path": "evil.Thing", "init_args": {"x": 1}}]},
    "text": "{class_path: evil.Thing}",
    "escaped": '{"class\\u005fpath": evil.Thing}',
    "text in text": "b: '{class_path: evil.Thing}'",
    "merged": "<<: {class_path: evil.Thing}",
    "document": "--- {class_path: evil.Thing}",
}


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module that can be imported, and must not be."""
    (tmp_path / "evil.py").write_text("class Thing: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert "evil" not in sys.modules


def _refused(capsys, *words):
    assert main(list(words)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "class_path" in said
    return said


@pytest.mark.parametrize("form", FORMS)
def test_a_run_folder_makes_no_class_imported(evil, capsys, form):
    run = evil / "runs" / "own"
    run.mkdir(parents=True)
    values = {"data": {**tiny_data(evil), "options": {"x": FORMS[form]}}}
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    _refused(capsys, "evaluate", str(run))
    _refused(capsys, "train", "--resume", "--name", "own")
    (run / "config.yaml").rename(run / "compare.yaml").write_text(yaml.safe_dump({"base": values}))
    _refused(capsys, "compare", "--resume", "--name", "own")


@pytest.mark.parametrize("form", FORMS)
def test_nor_does_a_recipe_a_file_or_a_word(evil, capsys, form):
    recipe = evil / "mine.yaml"
    recipe.write_text(yaml.safe_dump({"title": "mine", "fusion": {"options": {"x": FORMS[form]}}}))
    assert "mine.yaml" in _refused(capsys, "train", "--recipe", str(recipe), "--print_config")
    recipe.write_text(yaml.safe_dump({"epochs": 1, "intermediate": {"layers": [FORMS[form]]}}))
    said = _refused(capsys, "train", "--config", str(recipe), "--print_config")
    assert "mine.yaml, line 3: intermediate.layers" in said
    text = FORMS[form] if isinstance(FORMS[form], str) else json.dumps(FORMS[form])
    _refused(capsys, "train", f"--fusion.options.x={text}", "--print_config")


def test_texts_that_are_no_yaml_stay(evil, capsys):
    words = [f"--data.options.x={text}" for text in ("2026-02-30", "[", "class_path")]
    for word in words:
        assert main(["train", word, "--print_config"]) == 0
    assert capsys.readouterr().out.count("  options:\n    x:") == len(words)
