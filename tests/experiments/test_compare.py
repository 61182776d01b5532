"""The whole protocol on real, tiny MP4 clips."""

import csv
import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from counterpoint.analysis import extract as extract_module
from counterpoint.analysis.analyse_run import analyse
from counterpoint.analysis.dependence import modality_dependence
from counterpoint.analysis.traces import load_trace
from counterpoint.cli import main
from counterpoint.errors import ConfigError, CounterpointError, RunError
from counterpoint.experiments import compare as compare_module
from counterpoint.experiments.compare import compare, read_compare_config
from counterpoint.experiments.config import CompareConfig
from counterpoint.fusion import Sum
from counterpoint.report.report import write_run_report
from counterpoint.report.tables import dependence_table
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from counterpoint.training.module import CounterpointModule
from tiny_clips import tiny_data, write_tiny_clips

SECOND = "title: Concatenation once more\nfusion: {name: concat}\n"


def obstruct(monkeypatch, *runs: str) -> None:
    """Let runs fail as they begin: where their configuration is to go there is a folder."""
    train = compare_module._train

    def obstructed(plan, *others):
        for run in runs:
            (plan.folder / run / "config.yaml").mkdir(parents=True)
        return train(plan, *others)

    monkeypatch.setattr(compare_module, "_train", obstructed)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def config(clips: Path, **changes) -> CompareConfig:
    values = {
        "methods": ["concat", "sum-df-simam2"],
        "ensemble": False,
        "classical": False,
        "seeds": [0, 1],
        "base": {"data": tiny_data(clips), "epochs": 2, "optim": {"lr": 3e-3}},
        **changes,
    }
    return from_dict(CompareConfig, values)


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "done"
    return compare(config(clips), folder, progress=False)


def test_everything_promised_is_written(done):
    names = {path.name for path in done.folder.iterdir()}
    assert names == {
        *("compare.yaml", "compare.log", "results.json", "results.csv", "results_per_seed.csv", "report.html"),
        *("concat", "sum-df-simam2", "alone", "checksums.sha256"),
    }
    assert (done.folder / "alone" / "visual" / "seed1" / "model.safetensors").is_file()
    assert not done.failures
    page = (done.folder / "report.html").read_text()
    for words in ("sum-df-simam2", "audio alone", "Distribution of zeta", "Angles to the class centres", "high"):
        assert words in page
    with (done.folder / "results_per_seed.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4 * 2


def test_every_run_and_epoch_is_in_a_log(done):
    lines = (done.folder / "compare.log").read_text().splitlines()
    ended = [line.partition("all runs ")[2] for line in lines if "all runs" in line]
    assert [line.split(",")[0] for line in ended] == [f"{k}/8" for k in range(1, 9)]
    assert all(": test accuracy " in line for line in ended) and all(" left" in line for line in ended[1:-1])
    for method in (*done.methods.values(), *done.alone.values()):
        for run in method.runs:
            assert "epoch 2/2  val Top-1 " in (done.folder / run.folder / "train.log").read_text()


def test_figures_agree_with_the_runs(done):
    for method in (*done.methods.values(), *done.alone.values()):
        assert method.accuracy.mean == pytest.approx(np.mean([r.test["accuracy"] for r in method.runs]))
        for run in method.runs:
            result = json.loads((done.folder / run.folder / "result.json").read_text())
            assert run.test["accuracy"] == pytest.approx(result["test"]["accuracy"])
            assert run.test["mAP"] == pytest.approx(result["test"]["mAP"])
            assert run.val["accuracy"] == result["val"]["accuracy"]
            trace = load_trace(done.folder / run.folder / "trace.npz")
            assert trace.correct.mean() == pytest.approx(run.test["accuracy"])
            for modality, scores in run.modalities.items():
                decoupled = trace.decoupled[modality].argmax(1) == trace.target
                assert scores.decoupled["accuracy"] == pytest.approx(decoupled.mean())
                assert scores.decoupled["accuracy"] == pytest.approx(result["test"][f"accuracy_{modality}"])
                assert scores.probe is not None


def test_the_pair_of_fusions_is_taken_apart_rightly(done):
    trace = load_trace(done.folder / "concat" / "seed0" / "trace.npz")
    np.testing.assert_allclose(sum(trace.decoupled.values()), trace.logits, atol=1e-4)
    assert set(trace.norms) == set(trace.angles) == {"audio", "visual"}
    assert trace.zeta == {}
    learned = load_trace(done.folder / "sum-df-simam2" / "seed0" / "trace.npz")
    assert learned.zeta["audio"].sum() > 0
    np.testing.assert_allclose(
        learned.zeta["audio"], learned.zeta["visual"][::-1], atol=learned.zeta["audio"].sum() / 50
    )


def test_probes_and_dependence_share_one_pass_over_each_split(done, tmp_path, monkeypatch):
    folder = shutil.copytree(done.folder / "concat" / "seed0", tmp_path / "copy")
    passed = {}
    real = extract_module.extract

    def once(run, split, device=None):
        assert split not in passed
        return passed.setdefault(split, real(run, split, device))

    monkeypatch.setattr(extract_module, "extract", once)
    found = analyse(load_run(folder), probe=True)
    assert set(passed) == {"train", "val", "test"}
    expected = modality_dependence(passed)
    assert list(expected) == ["audio x visual"] and found.dependence == expected
    written = json.loads((folder / "analysis.json").read_text())["result"]["dependence"]
    assert written == {"audio x visual": asdict(expected["audio x visual"])}
    passed.clear()
    assert analyse(load_run(folder), probe=False).dependence == {} and set(passed) == {"test"}


def test_dependence_is_of_all_seeds_or_not_told(done, clips, tmp_path, monkeypatch):
    for method in done.methods.values():
        values = [run.dependence["audio x visual"].value for run in method.runs]
        assert method.dependence["audio x visual"].mean == pytest.approx(np.mean(values))
    assert all(method.dependence == {} for method in done.alone.values())
    folder = shutil.copytree(done.folder, tmp_path / "older")
    path = folder / "concat" / "seed1" / "analysis.json"
    older = json.loads(path.read_text())
    for measured_since in ("dependence", "trained_on", "held_out"):
        del older["result"][measured_since]
    path.write_text(json.dumps(older))
    path = folder / "concat" / "seed1" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "held_out": 3}))
    (path.parent / "checksums.sha256").unlink()
    monkeypatch.setattr(compare_module, "run_task", lambda task: pytest.fail(f"{task.label} ran again"))
    again = compare(config(clips), folder, resume=True, progress=False)
    assert again.methods["concat"].dependence == {}
    all_of_them = done.protocol["clips"]["train"]
    counts = [(run.trained_on, run.held_out) for run in again.methods["concat"].runs]
    assert counts == [(all_of_them, 0), (all_of_them - 3, 3)]
    assert again.methods["sum-df-simam2"].dependence == done.methods["sum-df-simam2"].dependence
    assert dependence_table(again).rows[0] == ("concat", "n/a")


def test_the_difference_is_that_of_the_means(done):
    difference = done.methods["sum-df-simam2"].difference
    means = [done.methods[name].accuracy.mean for name in ("sum-df-simam2", "concat")]
    assert difference.mean == pytest.approx(means[0] - means[1])
    assert (difference.seeds, difference.clips) == (2, 8)
    assert done.methods["concat"].difference is None
    assert done.baseline == "concat"


def test_resume_repeats_nothing_and_may_add_a_seed(done, clips, monkeypatch):
    ran = []
    work = compare_module.run_task
    monkeypatch.setattr(compare_module, "run_task", lambda task: ran.append(task.label) or work(task))
    again = compare(config(clips), done.folder, resume=True, progress=False)
    assert ran == []
    assert again.methods == done.methods
    one_more = compare(config(clips, seeds=[0, 1, 2], alone=False), done.folder, resume=True, progress=False)
    assert ran == ["concat seed 2", "sum-df-simam2 seed 2"]
    assert len(one_more.methods["concat"].runs) == 3


def test_a_comparison_is_not_overwritten_or_changed(done, clips):
    with pytest.raises(RunError, match="--resume"):
        compare(config(clips), done.folder, progress=False)
    changed = read_compare_config(done.folder)
    changed.base.epochs = 1
    with pytest.raises(RunError, match=r"base.epochs \(was 2, now 1\).*Epochs may become more.*So may methods"):
        compare(changed, done.folder, resume=True, progress=False)


def test_search_gives_all_the_same_budget_and_a_failing_method_ends_nothing(clips, tmp_path, monkeypatch):
    recipe = tmp_path / "hopeless.yaml"
    recipe.write_text(SECOND)
    obstruct(monkeypatch, *(f"hopeless/search/trial{trial}" for trial in range(2)))
    base = {"data": tiny_data(clips), "epochs": 1}
    asked = config(
        clips,
        base=base,
        methods=["concat", "concat-ogm-ge", str(recipe)],
        seeds=[3],
        search_trials=2,
        probe=False,
        jobs=2,
    )
    found = compare(asked, tmp_path / "searched", progress=False)
    assert set(found.methods) == {"concat", "concat-ogm-ge"}
    assert {f.name for f in found.failures} == {"hopeless"}
    assert "config.yaml" in found.failures[0].error
    assert (found.folder / found.failures[0].folder / "error.txt").is_file()
    for method in (*found.methods.values(), *found.alone.values()):
        assert len(method.trials) == 2
        assert method.setting in [trial.setting for trial in method.trials]
        assert max(t.score for t in method.trials) == next(
            t.score for t in method.trials if t.setting == method.setting
        )
        assert method.accuracy.half_width is None
    trials = [json.loads(path.read_text()) for path in found.folder.glob("**/search/trial*/result.json")]
    assert len(trials) == 8 and not any("test" in trial for trial in trials)
    rates = [[t.setting["optim.lr"] for t in m.trials] for m in found.methods.values()]
    assert rates[0] == rates[1]
    page = (found.folder / "report.html").read_text()
    assert "hopeless" in page and "all 8 trials" in page


def test_the_command_line_says_so_when_a_run_failed(clips, tmp_path, capsys, monkeypatch):
    (tmp_path / "hopeless.yaml").write_text(SECOND)
    obstruct(monkeypatch, "hopeless/seed0")
    (tmp_path / "base.json").write_text(json.dumps({"base": {"data": tiny_data(clips), "epochs": 1}, "alone": False}))
    words = ["compare", "--config", str(tmp_path / "base.json"), "--runs", str(tmp_path)]
    words += ["--methods", "concat", str(tmp_path / "hopeless.yaml"), "--seeds", "0"]
    assert main(words) != 0
    told = capsys.readouterr()
    assert "hopeless" in told.out and "report.html" in told.out
    assert "1 of the runs failed" in told.err


def test_a_method_that_diverges_is_marked_and_the_others_go_on(clips, tmp_path, capsys, monkeypatch):
    (tmp_path / "wild.yaml").write_text("title: Wild\nfusion: {name: sum}\n")
    objective = CounterpointModule.objective

    def wild(self, output, target):
        loss = objective(self, output, target)
        bad = isinstance(self.model.fusion, Sum) or (self.seed == 1 and len(self.model.modalities) == 1)
        return loss * math.nan if bad else loss

    monkeypatch.setattr(CounterpointModule, "objective", wild)
    monkeypatch.setenv("COLUMNS", "120")  # names break in a narrower window
    base = {"data": tiny_data(clips), "epochs": 1}
    (tmp_path / "base.json").write_text(json.dumps({"base": base, "probe": False}))
    words = ["compare", "--config", str(tmp_path / "base.json"), "--runs", str(tmp_path), "--seeds", "[0, 1]"]
    assert main([*words, "--methods", f"[concat, {tmp_path / 'wild.yaml'}]"]) != 0
    told = capsys.readouterr()
    rows = {line.split("  ")[0].strip(): line for line in told.out.splitlines()}
    assert "diverged" in rows["wild"]
    assert "audio alone (1 diverged)" in rows and "concat" in rows
    assert "4 runs diverged, and are in no mean." in " ".join(told.out.split())
    assert "4 of the runs failed (4 diverged: lower base.optim.lr)" in told.err
    found = json.loads((tmp_path / "compare" / "results.json").read_text())
    assert all(failure["diverged"] for failure in found["failures"]) and "concat" in found["methods"]


def test_a_setting_that_diverges_is_the_worst_of_a_search(clips, tmp_path, capsys):
    base = from_dict(TrainConfig, {"data": tiny_data(clips), "epochs": 1, "optim": {"name": "sgd", "lr": 1e6}})
    asked = CompareConfig(
        methods=["concat"],
        seeds=[0],
        base=base,
        alone=False,
        probe=False,
        search_trials=2,
        search_space={"optim.lr": [1e-3, 1e6]},
    )
    found = compare(asked, tmp_path / "searched")
    method = found.methods["concat"]
    assert [(t.setting["optim.lr"], t.score is None, t.diverged) for t in method.trials] == [
        (1e6, True, True),
        (1e-3, False, False),
    ]
    assert method.setting == {"optim.lr": 1e-3} and not found.failures
    assert "it counts as the worst" in capsys.readouterr().err
    assert "diverged" in (found.folder / "report.html").read_text()


def test_wrong_asks_are_refused_before_anything_is_trained(clips, tmp_path):
    for changes, words in (
        ({"methods": ["conct"]}, "Did you mean 'concat"),
        ({"seeds": [1, 1]}, "more than once"),
        ({"baseline": "film"}, "not among the methods"),
        ({"folds": [0, 1]}, "folds is .*folder takes no option 'fold'"),
        ({"folds": [1, 1]}, "folds has 1 more than once"),
        ({"search_metric": "acuracy"}, "Did you mean 'accuracy'"),
        ({"search_trials": 2, "search_space": {"optm.lr": [1, 2]}}, "Did you mean 'optim.lr'"),
        ({"search_trials": 2, "search_space": {"optim.lr": {"low": "a", "high": "b", "log": True}}}, "list of choices"),
        ({"search_trials": 9, "search_space": {"optim.lr": [0.1, 0.2]}}, "lower search_trials to 3"),
    ):
        with pytest.raises(CounterpointError, match=words):
            compare(config(clips, **changes), tmp_path / "wrong", progress=False)
    assert not (tmp_path / "wrong").exists()
    with pytest.raises(ConfigError):
        config(clips, jbs=2)


def test_a_single_run_has_its_page(done):
    run = load_run(done.folder / "sum-df-simam2" / "seed0")
    page = write_run_report(run).read_text()
    for words in ("Test results", "visual, ablated", "Accuracy over epochs", "Discrepancy ratio", "Every option"):
        assert words in page
    assert "//" not in page.replace("</", "")


def test_a_run_and_a_comparison_do_not_share_a_folder(done, clips, tmp_path):
    base = config(clips).base
    for more in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError, match="comparison|something else"):
            fit(base, done.folder, progress=False, **more)
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("epochs: 1\n")
    for more in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError, match="holds a run|something else"):
            compare(config(clips), run, progress=False, **more)
    assert [path.name for path in run.iterdir()] == ["config.yaml"]


def test_a_method_of_one_modality_stands_beside_the_others(clips, tmp_path):
    recipe = tmp_path / "heard.yaml"
    recipe.write_text("title: Sound alone\nmodel: {modalities: [audio]}\n")
    base = {"data": tiny_data(clips), "epochs": 1}
    asked = config(clips, base=base, methods=[str(recipe), "concat"], seeds=[0], alone=False, probe=False)
    found = compare(asked, tmp_path / "mixed", progress=False)
    assert not found.failures and found.modalities == ("audio", "visual")
    assert set(found.methods["heard"].modalities) == {"audio"}
    assert found.methods["concat"].difference.clips == 8
    assert "heard" in (tmp_path / "mixed" / "report.html").read_text()
