"""Runs of 0.1 are what they were, where the defaults of 0.2 are others."""

import pytest
import yaml

from counterpoint.cli import main
from counterpoint.commands.runs import former_words
from counterpoint.experiments.compare import read_compare_config
from counterpoint.experiments.config import CompareConfig
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict, to_dict
from counterpoint.training.run_dir import read_config
from tiny_clips import write_tiny_clips

OLD = {"seconds": 3.0, "gray": True, "frames": None}


def written(folder, name, media, *, former=True, compared=False):
    """The configuration of a run or comparison, as 0.1 wrote it, without the options that it did not know."""
    values = to_dict(from_dict(TrainConfig, {"data": {"name": name, "media": media}}))
    if former:
        del values["data"]["standardise"], values["data"]["impute"]
    folder.mkdir(exist_ok=True)
    if compared:
        values = {**to_dict(CompareConfig()), "base": values}
    path = folder / ("compare.yaml" if compared else "config.yaml")
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize(
    ("name", "media", "former", "expected"),
    [
        ("folder", {}, True, (OLD, None)),
        (
            "folder",
            {"seconds": 2.0, "size": 64},
            True,
            ({"seconds": 2.0, "gray": True, "frames": None, "size": 64}, None),
        ),
        ("folder", {}, False, ({}, None)),
        ("features", {}, True, ({}, False)),
        ("features", {}, False, ({}, None)),
        ("grid", {}, True, ({}, None)),
    ],
)
def test_read_as_they_were_meant(tmp_path, name, media, former, expected, compared):
    path = written(tmp_path / "run", name, media, former=former, compared=compared)
    config = read_compare_config(tmp_path / "run").base if compared else read_config(tmp_path / "run")
    assert (config.data.media, config.data.standardise) == expected
    told = {word.partition("=")[0].removeprefix("--").removeprefix("base.") for word in former_words(path)}
    changed = {"data.media"} if expected[0] != media else set()
    assert told == changed | ({"data.standardise"} if expected[1] is False else set())


def test_an_unfinished_one_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")
    clips = write_tiny_clips(tmp_path / "clips", per_split={"train": 2, "val": 1, "test": 1})
    config = {"data": {"name": "folder", "root": str(clips), "media": {"size": 16, "fps": 5}}, "epochs": 1}
    values = to_dict(from_dict(TrainConfig, config))
    del values["data"]["standardise"], values["data"]["impute"]
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / "config.yaml").write_text(yaml.safe_dump(values))
    assert main(["train", "--resume", f"--runs={tmp_path / 'runs'}", "--name=old", "--accelerator=cpu"]) == 0
    assert "read in gray" in capsys.readouterr().out
    assert read_config(tmp_path / "runs" / "old").data.media == {"size": 16, "fps": 5, **OLD}
