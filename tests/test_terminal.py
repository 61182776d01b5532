"""Every verb that draws, at a terminal: what is displayed must never cost what was computed."""

import csv
import json
import sys

import pytest

from counterpoint.training.callbacks.checkpoint import read_checkpoint
from pseudo_terminal import run_at_terminal
from tiny_clips import tiny_data, write_tiny_clips
from zenodo_server import Zenodo, zipped

METRIC = {"classify": "mAP", "localise": "event_f1"}
TASKS = list(METRIC)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = write_tiny_clips(tmp_path_factory.mktemp("tiny"))
    (root / "events.csv").write_text("clip,start,end,class\nhigh/000.mp4,0,0.3,high\nlow/000.mp4,0,0.3,low\n")
    return root


def counterpoint(*words, cwd):
    """What is shown, of a command that succeeds."""
    code, shown = run_at_terminal(sys.executable, "-m", "counterpoint.cli", *map(str, words), cwd=cwd)
    assert code == 0 and "Traceback" not in shown, shown
    return shown


def of_task(task, clips):
    words = ["--localise.segments=5", "--localise.name=avel"] if task == "localise" else []
    return [f"--task={task}", f"--data={json.dumps(tiny_data(clips))}", *words]


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    """Task -> what training showed, and the run."""
    found = {}

    def train(task):
        if task not in found:
            folder = tmp_path_factory.mktemp(task)
            words = [*of_task(task, clips), f"--metric={METRIC[task]}", "--epochs=2", "--name=it"]
            found[task] = counterpoint("train", *words, cwd=folder), folder / "runs/it"
        return found[task]

    return train


@pytest.mark.parametrize("task", TASKS)
def test_train(trained, task):
    shown, run = trained(task)
    assert f"epoch 2/2  val {METRIC[task]}" in shown and "train" in shown and "decode" in shown
    assert read_checkpoint(run / "last.ckpt")["finished_epochs"] == 2
    assert METRIC[task] in json.loads((run / "result.json").read_text())["test"]
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("task", TASKS)
def test_predict(trained, clips, tmp_path, task):
    _, run = trained(task)
    shown = counterpoint("predict", clips / "high/000.mp4", "--run", run, "--output", tmp_path, cwd=tmp_path)
    assert "000.mp4 ━" in shown and "Written: 000.json, 000.vtt, 000.srt, 000.png" in shown
    assert json.loads((tmp_path / "000.json").read_text())["task"] == task


def test_verify(trained, clips, tmp_path):
    _, run = trained("classify")
    names = [f"{name}/{k:03d}" for name in ("high", "low") for k in (12, 13)]
    lines = [f"{int(a[0] == b[0])} {a}.mp4 {b}.mp4" for a in names for b in names if a < b]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    words = ["--trials", tmp_path / "pairs.txt", "--output", tmp_path / "out", "--data.cache", tmp_path / "cache"]
    shown = counterpoint("verify", run, *words, cwd=tmp_path)
    assert "decode ━" in shown and "6 trials (2 of one speaker)" in shown
    assert json.loads((tmp_path / "out/verification.json").read_text())["systems"].keys() == {
        *("audio+visual", "audio", "visual")
    }


@pytest.mark.parametrize("task", TASKS)
def test_compare(clips, tmp_path, task):
    methods = {"classify": ["concat", "sum"], "localise": ["avel", "psp"]}[task]
    base = {"task": task, "data": tiny_data(clips), "epochs": 1, "localise": {"segments": 5}}
    (tmp_path / "it.json").write_text(json.dumps({"methods": methods, "seeds": [0], "alone": False, "base": base}))
    shown = counterpoint("compare", "--config=it.json", cwd=tmp_path)
    assert "all runs ━" in shown and "2/2" in shown and f"{methods[1]} seed 0 ━" in shown
    assert f"{methods[1]} seed 0: test accuracy" in shown and "(n=1)" in shown
    with (tmp_path / "runs/compare/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == methods and all(float(row["accuracy"]) >= 0 for row in rows)


def test_prepare(clips, tmp_path):
    (tmp_path / "data.json").write_text(json.dumps({**tiny_data(clips), "cache": str(tmp_path / "cache")}))
    shown = counterpoint("prepare", "--config=data.json", "--output=skipped.csv", cwd=tmp_path)
    assert "decode ━" in shown and "32/32" in shown and "32 decoded now" in shown
    assert (tmp_path / "skipped.csv").read_text().startswith("clip,reason") and any((tmp_path / "cache").rglob("*"))


@pytest.mark.parametrize(
    ("table", "figure"), [("mmcosine-table2", "probe_audio"), ("bmfn-table3", "accuracy"), ("simam2-table3", "EER")]
)
def test_reproduce(tmp_path, table, figure):
    """A table of clips, of events and of trials."""
    shown = counterpoint("reproduce", table, "--smoke", "--output=out", cwd=tmp_path)
    assert "all runs ━" in shown and "all ran" in shown
    (written,) = (tmp_path / "out").rglob("reproduction.csv")
    with written.open() as file:
        rows = list(csv.DictReader(file))
    assert any(row["metric"] == figure and float(row["measured"]) >= 0 for row in rows)


def test_download(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    zenodo = Zenodo(3625687)
    zenodo.files = {
        "s1.zip": zipped({"s1/clip0.mpg": b"video" * 40_000}),
        "alignments.zip": zipped({"alignments/s1/clip0.align": b"0 14500 sil\n"}),
    }
    words = ["--speakers", "1", "--root", tmp_path / "grid", "--base_url", zenodo.url]
    try:
        shown = counterpoint("download", "grid", *words, cwd=tmp_path)
    finally:
        zenodo.server.shutdown()
        zenodo.server.server_close()
    assert "s1.zip ━" in shown and "200.2 kB/200.2 kB" in shown and "licence" in shown
    assert (tmp_path / "grid/s1/clip0.mpg").read_bytes() == b"video" * 40_000
