"""Every verb that draws, at a terminal: what is displayed must never cost what was computed.

The verbs of a task share a process, since most of the time goes into importing torch.
"""

import csv
import json
import sys

import pytest

from counterpoint.training.callbacks.checkpoint import read_checkpoint
from counterpoint.training.metrics import metrics_of
from pseudo_terminal import run_at_terminal
from tiny_clips import tiny_data, write_tiny_clips
from zenodo_server import Zenodo, zipped

METRIC = {"classify": "mAP", "localise": "event_f1"}
METHODS = {"classify": ["concat", "sum"], "localise": ["avel", "psp"]}
TABLES = {"mmcosine-table2": "probe_audio", "bmfn-table3": "accuracy", "simam2-table3": "EER"}
_MAIN = """
import json, sys
from counterpoint.cli import main
for words in json.loads(sys.argv[1]):
    print("\\n@@@ exit", main(words), "@@@\\n", flush=True)
"""


def at_terminal(*commands, cwd):
    """What each command showed; all of them succeed."""
    words = json.dumps([list(map(str, command)) for command in commands])
    env = {"OMP_NUM_THREADS": "1", "no_proxy": "127.0.0.1"}
    code, shown = run_at_terminal(sys.executable, "-c", _MAIN, words, cwd=cwd, timeout=500, env=env)
    *parts, rest = shown.split("@@@ exit 0 @@@")
    assert code == 0 and len(parts) == len(commands) and "Traceback" not in shown, shown
    assert not rest.strip()
    return parts


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = write_tiny_clips(tmp_path_factory.mktemp("tiny"))
    rows = [f"{name}/{k:03d}.mp4,0,0.3,{name}" for name in ("high", "low") for k in range(16)]
    (root / "events.csv").write_text("\n".join(["clip,start,end,class", *rows]) + "\n")
    return root


@pytest.fixture(scope="module", params=METRIC)
def shown(request, clips, tmp_path_factory):
    """Of a task: its name, a folder, and verb -> what was shown."""
    task, folder = request.param, tmp_path_factory.mktemp(request.param)
    data = {**tiny_data(clips), "cache": str(folder / "cache")}
    base = {"task": task, "data": data, "epochs": 1}
    if task == "localise":
        base["localise"] = {"segments": 5}
    comparison = {"methods": METHODS[task], "seeds": [0], "alone": False, "classical": False, "base": base}
    for name, values in (("data", {"data": data}), ("train", {**base, "epochs": 2}), ("compare", comparison)):
        (folder / f"{name}.json").write_text(json.dumps(values))
    commands = {
        "prepare": ["--config=data.json", "--output=skipped.csv"],
        "train": ["--config=train.json", f"--metric={METRIC[task]}", "--name=it"],
        "predict": [clips / "high/000.mp4", "--run=runs/it", "--output=found"],
        "compare": ["--config=compare.json"],
    }
    if task == "classify":
        names = [f"{name}/{k:03d}.mp4" for name in ("high", "low") for k in (12, 13)]
        pairs = [f"{int(a[0] == b[0])} {a} {b}" for a in names for b in names if a < b]
        (folder / "pairs.txt").write_text("\n".join(pairs))
        commands["verify"] = ["runs/it", "--trials=pairs.txt", "--output=verified", "--data.cache=another"]
    parts = at_terminal(*([verb, *words] for verb, words in commands.items()), cwd=folder)
    return task, folder, dict(zip(commands, parts, strict=True))


def test_prepare(shown):
    _, folder, said = shown
    assert "decode ━" in said["prepare"] and "32/32" in said["prepare"] and "32 decoded now" in said["prepare"]
    assert (folder / "skipped.csv").read_text().startswith("clip,reason") and any((folder / "cache").rglob("*.*"))


def test_train(shown):
    task, folder, said = shown
    run = folder / "runs/it"
    assert "train ━" in said["train"] and f"epoch 2/2  val {metrics_of(task)[METRIC[task]].heading} " in said["train"]
    assert read_checkpoint(run / "last.ckpt")["finished_epochs"] == 2
    assert 0 <= json.loads((run / "result.json").read_text())["test"][METRIC[task]] <= 1
    assert (run / "report.html").is_file()


def test_predict(shown):
    task, folder, said = shown
    assert "000.mp4 ━" in said["predict"] and "Written: 000.json, 000.vtt, 000.srt, 000.png" in said["predict"]
    assert json.loads((folder / "found/000.json").read_text())["task"] == task


def test_compare(shown):
    task, folder, said = shown
    first, second = METHODS[task]
    for words in ("all runs", f"{first} seed 0 ━", "2/2", f"{second} seed 0: test accuracy", "(n=1)"):
        assert words in said["compare"], words
    with (folder / "runs/compare/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [first, second] and all(0 <= float(row["accuracy"]) <= 1 for row in rows)


def test_verify(shown):
    task, folder, said = shown
    if task == "localise":
        pytest.skip("verification compares whole clips")
    assert "decode ━" in said["verify"] and "6 trials (2 of one speaker)" in said["verify"]
    systems = json.loads((folder / "verified/verification.json").read_text())["systems"]
    assert list(systems) == ["audio+visual", "audio", "visual"]


def test_reproduce(tmp_path):
    """A table of clips, one of events and one of trials."""
    commands = [["reproduce", table, "--smoke", f"--output={table}"] for table in TABLES]
    for said, (table, metric) in zip(at_terminal(*commands, cwd=tmp_path), TABLES.items(), strict=True):
        assert "all runs" in said and " seed 0 ━" in said and "all ran" in said
        (written,) = (tmp_path / table).rglob("reproduction.csv")
        with written.open() as file:
            rows = list(csv.DictReader(file))
        assert any(row["metric"] == metric and float(row["measured"]) >= 0 for row in rows)


def test_download(tmp_path):
    zenodo = Zenodo(3625687)
    zenodo.files = {
        "s1.zip": zipped({"s1/clip0.mpg": b"video" * 40_000}),
        "alignments.zip": zipped({"alignments/s1/clip0.align": b"0 14500 sil\n"}),
    }
    words = ["--speakers", "1", "--root", tmp_path / "grid", "--base_url", zenodo.url]
    try:
        (said,) = at_terminal(["download", "grid", *words], cwd=tmp_path)
    finally:
        zenodo.server.shutdown()
        zenodo.server.server_close()
    assert "s1.zip ━" in said and "200.1 kB/200.1 kB" in said and "licence" in said
    assert (tmp_path / "grid/s1/clip0.mpg").read_bytes() == b"video" * 40_000
