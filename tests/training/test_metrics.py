"""The table of metrics: a new one is a row and a function, and everything that shows or chooses reads it."""

import csv
import json

import pytest
import torch

from counterpoint import cli
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.localise import clip_classes
from counterpoint.metrics import event_f1, mean_average_precision, segment_accuracy, video_accuracy
from counterpoint.training.metrics import METRICS, Predictions, metric, metrics_of
from tiny_clips import tiny_data, write_tiny_clips


@pytest.fixture
def error_rate():
    """A metric of one's own, lower is better; gone after the test."""
    _register_error()
    yield
    del METRICS["classify"]._parts["error"]


def _register_error():
    @metric(
        "classify", "error", heading="Errors", meaning="Wrong clips per clip", higher_is_better=False, percent=False
    )
    def error(predictions):
        return (predictions.classes != predictions.target).double().mean()


def test_metrics_of_clips():
    logits, target = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 4
    rows = metrics_of("classify")
    predictions = Predictions(target, logits.argmax(1), logits=logits)
    assert list(rows) == ["accuracy", "mAP"]
    assert rows["accuracy"].function(predictions) == (logits.argmax(1) == target).double().mean()
    assert rows["mAP"].function(predictions) == mean_average_precision(logits.softmax(1), target)


def test_metrics_of_segments():
    target, found, video = (
        torch.tensor([[0, 0, 2], [2, 1, 1]]),
        torch.tensor([[0, 2, 2], [2, 1, 1]]),
        torch.tensor([0, 0]),
    )
    rows = metrics_of("localise")
    predictions = Predictions(target, found, video=video, background=2)
    assert list(rows) == ["accuracy", "event_f1", "video_accuracy"]
    assert rows["accuracy"].function(predictions) == segment_accuracy(found, target)
    assert rows["event_f1"].function(predictions) == event_f1(found, target, 2)
    assert rows["video_accuracy"].function(predictions) == video_accuracy(video, clip_classes(target, 2)) == 0.5


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="'acuracy'.* Did you mean 'accuracy'"):
        metrics_of("classify", "acuracy")
    with pytest.raises(ConfigError, match="'sing'"):
        metrics_of("sing")


def test_one_row_is_all_that_a_new_metric_needs(error_rate, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")
    monkeypatch.setenv("COLUMNS", "200")
    data = json.dumps(tiny_data(write_tiny_clips(tmp_path / "clips")))

    words = [f"--data={data}", "--metric=error", "--epochs=3", "--name=run"]
    assert cli.main(["train", *words]) == 0
    shown = capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "runs/run/metrics.csv").open()))
    lowest = min(range(3), key=lambda k: (float(rows[k]["val_error"]), float(rows[k]["val_loss"])))
    result = json.loads((tmp_path / "runs/run/result.json").read_text())
    assert result["epoch"] == lowest and result["test"]["error"] == 1 - result["test"]["accuracy"]
    assert "Errors" in shown and "Errors" in (tmp_path / "runs/run/report.html").read_text()

    search = ["--search_trials=2", "--search_metric=error", "--probe=false", "--alone=false"]
    words = [f"--base.data={data}", "--base.metric=error", "--base.epochs=1", "--methods", "concat", "sum-simam2"]
    assert cli.main(["compare", *words, "--seeds", "0", *search, "--name=both"]) == 0
    assert "Errors" in capsys.readouterr().out
    table = list(csv.DictReader((tmp_path / "runs/both/results.csv").open()))
    assert all(float(row["error"]) == pytest.approx(1 - float(row["accuracy"])) for row in table)
    tried = json.loads((tmp_path / "runs/both/concat/search.json").read_text())
    scores = [trial["score"] for trial in tried["trials"]]
    assert scores[tried["chosen"]] == min(scores)


def test_a_metric_that_its_module_registers_too_is_measured_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "late_metric.py").write_text(
        "from counterpoint.training.metrics import metric\n\n\n"
        "@metric('classify', 'late', heading='Late', meaning='Nothing')\n"
        "def late(predictions):\n    return predictions.target.double().mean()\n"
    )
    named = "late_metric:late"
    try:
        first, again = metrics_of("classify", named), metrics_of("classify", named)
    finally:
        METRICS["classify"]._parts.pop("late", None)
    assert list(first) == list(again) == ["accuracy", "mAP", named]


def test_a_comparison_goes_on_with_a_metric_that_was_not_known_when_it_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")
    data = json.dumps(tiny_data(write_tiny_clips(tmp_path / "clips")))
    words = ["--methods", "concat", "--probe=false", "--alone=false", "--classical=false"]
    words += [f"--base.data={data}", "--base.epochs=1"]
    assert cli.main(["compare", *words, "--seeds", "0", "--name=late"]) == 0
    _register_error()
    try:
        assert cli.main(["compare", "--name=late", "--resume", "--seeds", "0", "1"]) == 0
    finally:
        del METRICS["classify"]._parts["error"]
    found = json.loads((tmp_path / "runs/late/results.json").read_text())
    assert found["failures"] == []
    rows = list(csv.DictReader((tmp_path / "runs/late/results_per_seed.csv").open()))
    assert [row["val_error"] == "" for row in rows] == [True, False]
    assert all(float(row["error"]) == 1 - float(row["accuracy"]) for row in rows)
