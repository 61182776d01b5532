"""No verb executes a module of the working folder, from the first import to the last process that it starts."""

import json
import os
import subprocess
import sys

import pytest

from planted import plant
from tiny_clips import tiny_data, write_tiny_clips

# one process, since imports take most of the time; its own folder is the first in which modules are looked for, as with
# an installed `counterpoint`
SCRIPT = """
import json, os, sys
from counterpoint.cli import main

if __name__ == "__main__":
    for words in json.loads(sys.argv[1]):
        code = main(words)
        print("\\nDONE", json.dumps([words[0], code, sorted(os.listdir(sys.argv[2]))]), flush=True)
"""
VERBS = {
    "train": ["--runs=.", "--name=run", "--data=DATA", "--epochs=1"],
    "compare": [
        *("--base.data=DATA", "--base.epochs=1", "--methods=concat", "--seeds=0"),
        *("--alone=false", "--probe=false", "--ensemble=false", "--classical=false"),
    ],
    "prepare": ["--data.name=folder", "--data.root=CLIPS", "--data.media.size=16"],
    "reproduce": ["simam2-table3", "--smoke"],
    "evaluate": ["run"],
    "predict": ["CLIPS/high/000.mp4", "--run=run", "--output=."],
    "verify": ["run", "--trials=trials.txt"],
    "check": ["folder", "--data.root=CLIPS"],
    "list": ["recipes"],
    "download": ["grid", "--speakers=99"],  # refused before anything is fetched
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Of each verb its exit code, and which modules had been executed when it ended."""
    home = tmp_path_factory.mktemp("home")
    clips, here = write_tiny_clips(home / "clips"), home / "here"
    executed = plant(here)
    (here / "trials.txt").write_text("1 high/000.mp4 high/001.mp4\n0 high/000.mp4 low/001.mp4\n")
    (home / "bin").mkdir()
    (home / "bin" / "started.py").write_text(SCRIPT)
    places = {"DATA": json.dumps(tiny_data(clips)), "CLIPS": str(clips)}
    lines = []
    for verb, words in VERBS.items():
        for name, place in places.items():
            words = [word.replace(name, place) for word in words]
        lines.append([verb, *words])
    done = subprocess.run(
        [sys.executable, str(home / "bin" / "started.py"), json.dumps(lines), str(home / "executed")],
        cwd=here,
        env={**os.environ, "COUNTERPOINT_CACHE": str(home / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=230,
    )
    found = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("DONE ")]
    assert len(found) == len(VERBS) and executed() == found[-1][2], done.stderr
    return {verb: (code, ran, done.stderr) for verb, code, ran in found}


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_of_the_working_folder_is_executed(outcomes, verb):
    code, executed, said = outcomes[verb]
    assert executed == []
    assert code == (2 if verb == "download" else 0), said
