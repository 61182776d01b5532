"""What stands in files and words is taken as it stands: nothing is parsed into code, nor into more than is there."""

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


def _printed(capsys, *words):
    assert main([*words, "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("form", FORMS)
def test_a_run_folder_makes_no_class_imported(evil, capsys, form):
    run = evil / "runs" / "own"
    run.mkdir(parents=True)
    values = {"data": {**tiny_data(evil), "options": {"x": FORMS[form]}}}
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    assert main(["evaluate", str(run)]) == 2
    assert main(["train", "--resume", "--name", "own"]) == 2
    (run / "config.yaml").rename(run / "compare.yaml").write_text(yaml.safe_dump({"base": values}))
    assert main(["compare", "--resume", "--name", "own"]) == 2


@pytest.mark.parametrize("form", FORMS)
def test_nor_does_a_recipe_a_file_or_a_word(evil, capsys, form):
    recipe = evil / "mine.yaml"
    recipe.write_text(yaml.safe_dump({"title": "mine", "fusion": {"options": {"x": FORMS[form]}}}))
    if main(["train", "--recipe", str(recipe), "--print_config"]) == 2:
        assert "names code that is not part of counterpoint" in capsys.readouterr().err
    else:
        assert yaml.safe_load(capsys.readouterr().out)["fusion"]["options"] == {"x": FORMS[form]}
    recipe.write_text(yaml.safe_dump({"epochs": 1, "intermediate": {"layers": [FORMS[form]]}}))
    assert _printed(capsys, "train", "--config", str(recipe))["intermediate"]["layers"] == [FORMS[form]]
    text = FORMS[form] if isinstance(FORMS[form], str) else json.dumps(FORMS[form])
    _printed(capsys, "train", f"--fusion.options.x={text}")


@pytest.mark.parametrize("text", ["{a: 1}", "[1, 2]", "3", "null", "true", "2026-11-30", "1e-3"])
def test_a_text_of_a_file_stays_a_text(tmp_path, capsys, text):
    """Below options that may be of any type a text in quotes was parsed as YAML a second time."""
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({"data": {"options": {"x": text, "y": {"z": [text]}}}, "fusion": {"zeta": text}}))
    config = _printed(capsys, "train", "--config", str(path))
    assert config["data"]["options"] == {"x": text, "y": {"z": [text]}}
    assert config["fusion"]["zeta"] == text
    assert _printed(capsys, "train", "--data.options", path.read_text())["data"]["options"]["data"] == {
        "options": {"x": text, "y": {"z": [text]}}
    }


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1", 1),
        ("010", 10),
        ("1e-3", 0.001),
        (".inf", float("inf")),
        ("true", True),
        ("null", None),
        ("{a: 1e-3}", {"a": 0.001}),
        ("[1, b]", [1, "b"]),
        *((text, text) for text in ("abc", "", "'1'", "2026-02-30", "2026-11-30", "[", "class_path", "a: b: c", "*x")),
    ],
)
def test_a_word_is_what_yaml_makes_of_it(capsys, word, value):
    config = _printed(capsys, "train", f"--data.options.x={word}", f"--data.root={word}")
    assert config["data"]["options"] == {"x": value}
    assert config["data"]["root"] == (None if word == "null" else word)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--print_config=foo"], "--print_config takes no value; leave '=foo' out"),
        (["--optim.lr", "nan"], "--optim.lr is 'nan'; it must be float, not NaN"),
        (["--config", "{optim: {lr: .nan}}"], "optim.lr is nan; it must be float, not NaN"),
        (["--data.max_bad=NaN"], "--data.max_bad is 'NaN'; it must be float, not NaN"),
    ],
)
def test_what_is_no_value_is_told(capsys, words, message):
    assert main(["train", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seed: 1\nepochs: 2\nseed: 3\n",
            "line 3: this is not YAML: 'seed' stands there a second time; it was",
        ),
        ("optim:\n  lr: 1\n  name: sgd\n  lr: 2\n", "line 4: this is not YAML: 'lr' stands there a second time"),
        ("fusion: {options: {a: 1, b: {c: 1, c: 1}}}\n", "line 1: this is not YAML: 'c' stands there a second time"),
    ],
)
@pytest.mark.parametrize("option", ["--config", "--recipe"])
def test_a_key_that_is_there_twice_is_told_with_its_line(tmp_path, capsys, option, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert main(["train", option, str(path), "--print_config"]) == 2
    assert f"{path}, {message}" in capsys.readouterr().err
