"""Nothing of the working folder is imported by any process that the program starts."""

import json
import os
import subprocess
import sys

import pytest

from counterpoint.data import children, load_table, prepare
from counterpoint.data.talkers import render
from counterpoint.experiments.process_pool import Pool
from counterpoint.media.spec import MediaSpec
from planted import plant
from pool_tasks import load, tasks
from tiny_clips import tiny_data, write_tiny_clips


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A working folder full of modules that leave their name in ``executed``; gives a function that reads it."""
    folder = tmp_path / "work"
    ran = plant(folder)
    monkeypatch.chdir(folder)
    return ran


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("interactive", [False, True])
def test_decoding(planted, clips, tmp_path, monkeypatch, interactive):
    if interactive:  # as in a Python that was started by hand
        monkeypatch.setattr(sys, "path", ["", *sys.path])
    table = load_table("folder", clips)
    spec = MediaSpec(**tiny_data(clips)["media"])
    assert prepare(table, spec, cache=tmp_path / "cache", jobs=1).decoded == 32
    assert planted() == []


def test_rendering(planted, tmp_path, monkeypatch):
    monkeypatch.setattr(render, "_WORTH_A_PROCESS", 6)
    assert len(load_table("talkers", tmp_path / "clips", speakers=4, clips=12, jobs=2).clips) == 12
    assert planted() == []


def test_workers_of_a_pool(planted, tmp_path):
    with Pool(load, jobs=2) as pool:
        outcomes = list(pool.run(tasks(tmp_path, 2)))
    assert [outcome.result for outcome in outcomes] == [2, 2], outcomes
    assert planted() == []


def test_where_modules_are_found_in_a_child(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "beside", *sys.path])
    (tmp_path / "tell_path.py").write_text(
        "import json, sys\ndef main():\n    print(json.dumps(sys.path + sys.argv))\n"
    )
    child = children.start("tell_path", "one", "two words", stdout=subprocess.PIPE, text=True)
    path = json.loads(child.communicate(timeout=60)[0])
    assert path == [
        str(tmp_path / "beside"),
        *map(os.path.abspath, sys.path[2:]),
        str(tmp_path),
        "-c",
        "one",
        "two words",
    ]
