"""Two of each verb at once in one folder: one works, and one is told."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from counterpoint._lock import locked
from counterpoint.cli import main
from counterpoint.commands.verify import verify_trials
from counterpoint.errors import InUseError
from counterpoint.experiments.reproduce import run_reproduction
from counterpoint.verify.trial_lists import How
from tiny_clips import tiny_data, write_tiny_clips


@contextmanager
def at_work(folder):
    """Another thread works in a folder."""
    begun, ended = threading.Event(), threading.Event()

    def work():
        with locked(folder):
            begun.set()
            ended.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(60)
    yield
    ended.set()
    thread.join()


@pytest.mark.parametrize("flag", [[], ["--resume"], ["--overwrite"]])
@pytest.mark.parametrize("verb", ["train", "compare"])
def test_a_second_one_is_told(tmp_path, capsys, verb, flag):
    data = "--data" if verb == "train" else "--base.data"
    words = [verb, "--runs", str(tmp_path), "--name", "a", f"{data}={tiny_data(write_tiny_clips(tmp_path / 'clips'))}"]
    with at_work(tmp_path / "a"):
        assert main([*words, *flag]) == 2
        assert [path.name for path in (tmp_path / "a").iterdir()] == [".lock"]
    assert f"in use by process {os.getpid()} on " in capsys.readouterr().err


def test_a_second_table_or_list_is_told(tmp_path, monkeypatch):
    with at_work(tmp_path / "table"), pytest.raises(InUseError, match="in use by process"):
        run_reproduction(None, SimpleNamespace(folder=tmp_path / "table"))
    run = SimpleNamespace(folder=tmp_path / "run")
    monkeypatch.setattr("counterpoint.training.load.load_run", lambda folder: run)
    costs = {"p_target": 0.01, "c_miss": 1.0, "c_fa": 1.0}
    with at_work(tmp_path / "run" / "verification" / "list"), pytest.raises(InUseError, match="in use by process"):
        verify_trials("run", "list.txt", None, How(), costs, None)


def test_of_two_processes_one_trains(tmp_path):
    data = f"--data={tiny_data(write_tiny_clips(tmp_path / 'clips'))}"
    words = [sys.executable, "-m", "counterpoint.cli", "train", "--runs", str(tmp_path), "--name", "a", data]
    both = [
        subprocess.Popen([*words, "--epochs=30", "--resume"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = {process.pid: process.communicate(timeout=200)[1] for process in both}
    (first,), (second,) = ([p.pid for p in both if p.returncode == code] for code in (0, 2))
    assert f"is in use by process {first} on " in said[second]
    assert [row.split(",")[0] for row in (tmp_path / "a" / "metrics.csv").read_text().splitlines()[1:]] == [
        str(epoch) for epoch in range(30)
    ]
