"""Localisers under one protocol, from files to the report."""

import json

import numpy as np
import pytest
import torch

from counterpoint.analysis.metrics import score
from counterpoint.analysis.traces import Trace, load_trace, save_trace
from counterpoint.errors import ConfigError
from counterpoint.experiments.compare import compare
from counterpoint.experiments.config import CompareConfig
from counterpoint.report.html import environment
from counterpoint.report.report import write_run_report
from counterpoint.report.tables import dependence_table, methods_table, summary
from counterpoint.report.timelines import timelines
from counterpoint.training.config_io import from_dict
from counterpoint.training.load import load_run
from tiny_clips import CLASSES, SECONDS, tiny_data, write_tiny_clips

SEGMENTS = 5


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = write_tiny_clips(tmp_path_factory.mktemp("tiny"))
    lines = [f"{label}/{k:03d}.mp4,0,{SECONDS / 2},{label}" for label in CLASSES for k in range(16)]
    (root / "events.csv").write_text("\n".join(["clip,start,end,class", *lines]) + "\n")
    return root


def config(clips, **changes) -> CompareConfig:
    values = {
        "methods": ["psp", "bmfn-add", "avel-df-simam2"],
        "seeds": [0, 1],
        "base": {"task": "localise", "data": tiny_data(clips), "localise": {"segments": SEGMENTS}, "epochs": 1},
        **changes,
    }
    return from_dict(CompareConfig, values)


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    return compare(config(clips), tmp_path_factory.mktemp("compared") / "all", progress=False)


def test_every_method_is_judged_by_segments_events_and_clips(done):
    assert list(done.methods) == ["psp", "bmfn-add", "avel-df-simam2"] and not done.failures
    for name, method in done.methods.items():
        assert list(method.scores) == ["accuracy", "event_f1", "video_accuracy"]
        for run in method.runs:
            result = json.loads((done.folder / run.folder / "result.json").read_text())
            for metric, value in run.test.items():
                assert value == pytest.approx(result["test"][metric], abs=1e-6), (name, metric)
            trace = load_trace(done.folder / run.folder / "trace.npz")
            assert trace.target.shape == (8, SEGMENTS) and trace.logits.shape == (8, SEGMENTS, 3)
            assert trace.correct.mean() == pytest.approx(run.test["accuracy"])


def test_what_each_modality_can_do_alone(done):
    for name, method in done.methods.items():
        for modality in ("audio", "visual"):
            by = method.modalities[modality]
            assert 0 <= by["ablated"].mean <= 1 and by["probe"].mean is None
            assert (by["decoupled"].mean is None) == (name == "bmfn-add")
    assert dependence_table(done) is None
    assert list(done.alone) == ["audio", "visual"]
    assert done.alone["audio"].title == "audio alone, AVEL"


def test_the_share_of_background_stands_beside(done):
    share = done.protocol["background"]
    targets = load_trace(done.folder / done.methods["psp"].runs[0].folder / "trace.npz").target
    assert share == pytest.approx((targets == 2).mean()) and 0.3 < share < 0.7
    table = methods_table(done)
    assert [c.heading for c in table.columns[:4]] == ["Method", "Segments", "Event F1", "Clips"]
    assert table.rows[-1][:3] == ("always background", f"{100 * share:.1f}", "0.0")
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert "% of segments" in summary(done)[0]


def test_the_report_shows_what_was_found_when(done):
    page = (done.folder / "report.html").read_text()
    assert "What was found when" in page and "always background" in page and "top-1" not in page
    rows = (done.folder / "results.csv").read_text().splitlines()
    assert {"accuracy", "event_f1", "video_accuracy", "audio_ablated"} <= set(rows[0].split(","))


def test_a_run_has_a_report_of_its_own(done):
    page = write_run_report(load_run(done.folder / done.methods["psp"].runs[0].folder)).read_text()
    assert "psp, fully supervised" in page and "always background" in page
    trace = load_trace(done.folder / done.methods["psp"].runs[0].folder / "trace.npz")
    for label, name in enumerate((*CLASSES, "background")):
        segments = trace.target == label
        share = f"{100 * (trace.found[segments] == label).mean():.1f}"
        assert f'<th scope="row">{name}</th><td>{segments.sum()}</td><td>{share}</td>' in page


def test_a_finished_comparison_is_not_run_again(done, clips, monkeypatch):
    from counterpoint.experiments import worker

    monkeypatch.setattr(worker, "run_task", lambda task: pytest.fail(f"{task.label} ran again"))
    again = compare(config(clips), done.folder, resume=True, progress=False)
    assert again.methods["psp"].scores == done.methods["psp"].scores


def test_search_by_the_f1_of_events(clips, tmp_path):
    asked = config(
        clips,
        methods=["cmran"],
        seeds=[0],
        alone=False,
        search_trials=2,
        search_metric="event_f1",
        search_space={"optim.lr": [1e-3, 1e-2]},
    )
    found = compare(asked, tmp_path / "searched", progress=False)
    assert len(found.methods["cmran"].trials) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["psp", "concat"]}, "recipe concat is for task 'classify', but base.task is 'localise'"),
        ({"search_metric": "mAP"}, "search_metric is 'mAP'"),
        ({"methods": ["bmfn"], "base": {}}, "recipe bmfn is for task 'localise', but base.task is 'classify'"),
        ({"base": {"task": "localize"}}, "Did you mean 'localise'"),
        ({"base": {"task": "localise", "data": {"name": "ravdess"}}}, "does not say when"),
    ],
)
def test_what_does_not_fit_is_told(clips, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        compare(config(clips, **changes), tmp_path / "wrong", progress=False)


def test_scores_of_decisions_by_hand():
    target = np.array([[0, 0, 2, 2], [2, 1, 1, 2]])
    found = np.array([[0, 0, 2, 2], [2, 2, 1, 0]])
    made = score(np.eye(3)[found], target, np.array([0, 2]))
    # events: clip 0 right; clip 1: one of two segments (IoU 1/2) right, and one of class 0 that is not there
    assert made == pytest.approx({"accuracy": 6 / 8, "event_f1": 2 * 2 / (2 * 2 + 1), "video_accuracy": 1 / 2})


def test_a_trace_of_segments_goes_out_and_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, (4, 5))
    made = Trace(np.array(list("abcd")), target, np.eye(3)[rng.integers(0, 3, (4, 5))], video=rng.integers(0, 3, 4))
    save_trace(made, tmp_path / "trace.npz")
    again = load_trace(tmp_path / "trace.npz")
    np.testing.assert_array_equal(again.found, made.found)
    np.testing.assert_array_equal(again.video, made.video)
    np.testing.assert_allclose(made.correct, [(a == b).mean() for a, b in zip(made.found, target, strict=True)])


def test_timelines_name_what_was_found():
    found = torch.tensor([[0, 0, 2, 1]])
    trace = Trace(np.array(["clip<1>"]), np.array([[0, 0, 2, 2]]), np.eye(3)[found.numpy()])
    draw = environment().get_template("parts.html.jinja").module.figure
    page = draw(timelines({"psp": [trace]}, ("cat", "dog")))
    assert "truth: cat, cat, background, background; psp: cat, cat, background, dog" in page
    assert "clip<1>" not in page and "clip&lt;1&gt;" in page
    flat = Trace(np.array(["a"]), np.array([0]), np.eye(2)[[0]])
    assert not timelines({"concat": [flat]}, ("cat", "dog")).panels
