"""Every verb that draws, at a terminal: what is displayed must never cost what was computed."""

import json
import sys

import pytest

from counterpoint.training.callbacks.checkpoint import read_checkpoint
from counterpoint.training.metrics import metrics_of
from pseudo_terminal import run_at_terminal
from tiny_clips import tiny_data, write_tiny_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def counterpoint(*words, cwd):
    return run_at_terminal(sys.executable, "-m", "counterpoint.cli", *map(str, words), cwd=cwd)


@pytest.mark.parametrize(("task", "metric"), [("classify", "mAP"), ("localise", "event_f1")])
def test_training_shows_the_metric_of_its_task(clips, tmp_path, task, metric):
    words = ["--localise.segments=5"] if task == "localise" else []
    (clips / "events.csv").write_text("clip,start,end,class\nhigh/000.mp4,0,0.3,high\nlow/000.mp4,0,0.3,low\n")
    data = json.dumps(tiny_data(clips))
    code, shown = counterpoint(
        "train",
        *words,
        f"--task={task}",
        f"--metric={metric}",
        f"--data={data}",
        "--epochs=2",
        "--name=it",
        cwd=tmp_path,
    )
    assert code == 0, shown
    assert f"epoch 2/2  val {metrics_of(task)[metric].heading}" in shown and "Traceback" not in shown
    assert read_checkpoint(tmp_path / "runs/it/last.ckpt")["finished_epochs"] == 2
