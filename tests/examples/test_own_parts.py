"""Each example of an own part trains from the command line that it shows, and is evaluated in another process."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tiny_clips import tiny_data, write_tiny_clips

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = ("encoder", "fusion", "dataset", "balancer")


def counterpoint(folder, *words):
    command = [sys.executable, "-m", "counterpoint.cli", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the examples, clips, and a configuration that makes every command short."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "examples").symlink_to(EXAMPLES)
    clips = write_tiny_clips(folder / "clips")
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"data": tiny_data(clips), "epochs": 1}))
    (folder / "FOLDER").mkdir()
    for kind in ("high", "low"):
        for number, path in enumerate(sorted((clips / kind).glob("*.mp4"))):
            shutil.copy(path, folder / "FOLDER" / f"{kind}_s{number % 4}_{number}.mp4")
    return folder


def shown(part):
    """The command of the example's first lines."""
    lines = (EXAMPLES / f"own_{part}.py").read_text().splitlines()
    return shlex.split(next(line for line in lines if line.startswith("counterpoint train ")))[1:]


@pytest.mark.parametrize("part", OWN)
def test_an_example_is_short(part):
    assert len((EXAMPLES / f"own_{part}.py").read_text().splitlines()) < 60


@pytest.mark.parametrize("part", OWN)
def test_an_example_trains_and_is_evaluated_in_another_process_if_it_is_trusted(place, part):
    trained = counterpoint(place, *shown(part), "--config", "tiny.yaml", "--name", part)
    assert trained.returncode == 0, trained.stderr
    config = yaml.safe_load((place / "runs" / part / "config.yaml").read_text())
    assert config["imports"] == [str((EXAMPLES / f"own_{part}.py").resolve())]

    refused = counterpoint(place, "evaluate", f"runs/{part}")
    assert refused.returncode == 2 and refused.stdout == ""
    assert f"own_{part}" in refused.stderr and "--trust-code" in refused.stderr

    evaluated = counterpoint(place, "evaluate", f"runs/{part}", "--trust-code", "--output", f"{part}.json")
    assert evaluated.returncode == 0, evaluated.stderr
    figures = json.loads((place / f"{part}.json").read_text())
    assert figures.items() >= json.loads((place / "runs" / part / "result.json").read_text())["test"].items()


def test_the_commands_of_the_docs(place):
    blocks = re.findall(r"```sh\n(.*?)```", (EXAMPLES.parent / "docs" / "guests.md").read_text(), re.DOTALL)
    for line in "".join(blocks).splitlines():
        words = shlex.split(line, comments=True)[1:]
        done = counterpoint(place, *words, *(("--config", "tiny.yaml") if words[0] == "train" else ()))
        assert done.returncode == (2 if "# refused" in line else 0), (line, done.stderr)
