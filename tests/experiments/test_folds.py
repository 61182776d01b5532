"""Cross-validation, end to end on tiny clips, and its figures made anew from what the runs left behind."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from counterpoint.analysis.results import RunResult
from counterpoint.cli import main
from counterpoint.data import DATASETS, ClipTable, load_table
from counterpoint.data.registry import dataset
from counterpoint.errors import ConfigError, CounterpointError, DataError, RunError
from counterpoint.experiments import compare as compare_module
from counterpoint.experiments.aggregate import complete_seeds
from counterpoint.experiments.compare import compare
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.folds import check_folds, check_tables
from counterpoint.training.config_io import from_dict
from tiny_clips import tiny_data, write_tiny_clips

FOLDS = 3
NEVER_TESTED = 4  # clips that stand in training in every fold


def tiny_folds(root: Path | None, task: str, seed: int, *, fold: int = 0, overlap: bool = False) -> ClipTable:
    """The tiny folder, its clips dealt out to three folds of unlike sizes; four are never tested."""
    table = load_table("folder", root, None, seed)
    clips = []
    for i, clip in enumerate(table.clips):
        part = (0, 1, 1, 2, 2)[i % 5] if i >= NEVER_TESTED else None
        split = "test" if part == fold or (overlap and i == 5) else "val" if part == (fold + 1) % FOLDS else "train"
        clips.append(dataclasses.replace(clip, split=split))
    return dataclasses.replace(table, name="tiny_folds/class", clips=tuple(clips), notes=(f"Fold {fold}.",))


@pytest.fixture(scope="module", autouse=True)
def registered():
    dataset("tiny_folds", tasks=("class",), where="Made by the tests.", wants=("fold",))(tiny_folds)
    yield
    del DATASETS._parts["tiny_folds"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def config(clips: Path, **changes) -> CompareConfig:
    values = {
        "methods": ["concat", "sum"],
        "ensemble": False,
        "classical": False,
        "seeds": [0, 1],
        "folds": [0, 1, 2],
        "base": {"data": {**tiny_data(clips), "name": "tiny_folds"}, "epochs": 1, "optim": {"lr": 3e-3}},
        **changes,
    }
    return from_dict(CompareConfig, values)


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    return compare(config(clips), tmp_path_factory.mktemp("runs") / "done", progress=False)


def traces(done, name: str, seed: int) -> list[dict[str, np.ndarray]]:
    return [dict(np.load(done.folder / name / f"seed{seed}" / f"fold{fold}" / "trace.npz")) for fold in done.folds]


def top1_and_map(scores: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    shifted = np.exp(scores - scores.max(1, keepdims=True))
    scores = shifted / shifted.sum(1, keepdims=True)
    precisions = [average_precision_score(target == c, scores[:, c]) for c in np.unique(target)]
    return float((scores.argmax(1) == target).mean()), float(np.mean(precisions))


def test_every_clip_of_a_fold_is_judged_once_per_seed(done, clips):
    assert not done.failures and done.folds == (0, 1, 2)
    tested = np.concatenate([found["ids"] for found in traces(done, "concat", 0)])
    assert len(tested) == len(set(tested)) == 32 - NEVER_TESTED
    assert done.protocol["clips"] == {"test": 28}
    sizes = [part["test"] for part in done.protocol["folds"]]
    assert sizes == [len(found["ids"]) for found in traces(done, "concat", 0)] and len(set(sizes)) > 1
    configs = [json.loads(p.read_text())["config"] for p in done.folder.glob("concat/seed1/fold*/analysis.json")]
    assert sorted(c["data"]["options"]["fold"] for c in configs) == [0, 1, 2]


def test_figures_are_of_the_pooled_clips(done):
    for name in ("concat", "sum", "alone/audio"):
        method = {**done.methods, "alone/audio": done.alone["audio"]}[name]
        assert [seed.seed for seed in method.seeds] == [0, 1] and len(method.runs) == 6
        for seed in method.seeds:
            found = traces(done, name, seed.seed)
            joined = {key: np.concatenate([f[key] for f in found]) for key in found[0] if "norms" not in key}
            for scores, key in (
                (seed.test, "logits"),
                *((seed.modalities[m].decoupled, f"decoupled/{m}") for m in seed.modalities),
                *((seed.modalities[m].ablated, f"ablated/{m}") for m in seed.modalities),
                *((seed.modalities[m].probe, f"probe/{m}") for m in seed.modalities),
            ):
                expected = top1_and_map(joined[key].astype(np.float64), joined["target"])
                assert (scores["accuracy"], scores["mAP"]) == pytest.approx(expected, abs=1e-6)
            per_fold = [top1_and_map(f["logits"].astype(np.float64), f["target"])[0] for f in found]
            assert seed.fold_accuracy == pytest.approx(np.mean(per_fold))
        assert method.accuracy.mean == pytest.approx(np.mean([s.test["accuracy"] for s in method.seeds]))
        assert method.fold_accuracy.mean == pytest.approx(np.mean([s.fold_accuracy for s in method.seeds]))
        for seed in method.seeds:
            each = [r.dependence["audio x visual"].value for r in method.runs if r.seed == seed.seed and r.dependence]
            assert list(seed.dependence.values()) == pytest.approx([np.mean(each)] if each else [])
        assert list(method.dependence) == ([] if name == "alone/audio" else ["audio x visual"])
        probes = method.modalities["audio"]["probe"]
        assert probes.mean == pytest.approx(np.mean([s.modalities["audio"].probe["accuracy"] for s in method.seeds]))


def test_the_paired_test_is_over_the_pooled_clips(done):
    difference = done.methods["sum"].difference
    assert (difference.seeds, difference.clips) == (2, 28)
    assert difference.mean == pytest.approx(done.methods["sum"].accuracy.mean - done.methods["concat"].accuracy.mean)


def test_files_and_page_tell_of_folds(done):
    def rows(name):
        with (done.folder / name).open() as file:
            return list(csv.DictReader(file))

    methods, seeds, folds = (rows(f"results{part}.csv") for part in ("", "_per_seed", "_per_fold"))
    assert (len(methods), len(seeds), len(folds)) == (4, 8, 24)
    assert methods[0]["seeds"] == "2"
    assert float(methods[0]["fold_accuracy"]) == pytest.approx(np.mean([float(r["accuracy"]) for r in folds[:6]]))
    assert [row["fold"] for row in folds[:3]] == ["0", "1", "2"]
    written = json.loads((done.folder / "results.json").read_text())
    assert written["methods"]["sum"]["fold_accuracy"]["mean"] == done.methods["sum"].fold_accuracy.mean
    page = (done.folder / "report.html").read_text()
    for words in (
        "2 seeds, 3 folds, 28 test clips",
        "3 folds pooled",
        "mean over folds",
        "Fold 0.",
        "Fold 2.",
        "evaluated once",
    ):
        assert words in page


def test_resume_repeats_nothing_and_a_seed_without_all_its_folds_does_not_count(done, clips, monkeypatch, tmp_path):
    ran = []
    work = compare_module.run_task

    def fails_once(task):
        ran.append(task.label)
        if task.fold == 1 and task.seed == 5 and len(ran) < 9:
            raise ValueError("no luck")
        return work(task)

    monkeypatch.setattr(compare_module, "run_task", fails_once)
    again = compare(config(clips), done.folder, resume=True, progress=False)
    assert ran == [] and again.methods == done.methods
    asked = config(clips, seeds=[5, 6], methods=["concat"], folds=[0, 1], alone=False, probe=False)
    asked.base.epochs = 1
    partly = compare(asked, tmp_path / "partly", progress=False)
    assert ran == [f"concat seed {s} fold {f}" for s in (5, 6) for f in (0, 1)]
    assert [f.run for f in partly.failures] == ["concat seed 5 fold 1"]
    assert [s.seed for s in partly.methods["concat"].seeds] == [6] and len(partly.methods["concat"].runs) == 2
    ran[:] = [""] * 9
    whole = compare(asked, tmp_path / "partly", resume=True, progress=False)
    assert ran[9:] == ["concat seed 5 fold 1"]
    assert [s.seed for s in whole.methods["concat"].seeds] == [5, 6]
    more = dataclasses.replace(asked, folds=[0, 1, 2])
    assert compare(more, tmp_path / "partly", resume=True, progress=False).folds == (0, 1, 2)
    assert ran[10:] == ["concat seed 5 fold 2", "concat seed 6 fold 2"]
    with pytest.raises(RunError, match="folds"):
        compare(dataclasses.replace(asked, folds=[]), tmp_path / "partly", resume=True, progress=False)


def test_the_search_runs_on_the_first_fold_alone_and_its_best_run_is_taken_over(clips, tmp_path, monkeypatch):
    ran = []
    work = compare_module.run_task
    monkeypatch.setattr(compare_module, "run_task", lambda task: ran.append(task) or work(task))
    asked = config(clips, methods=["concat"], seeds=[3], folds=[2, 0], search_trials=2, alone=False, probe=False)
    found = compare(asked, tmp_path / "searched", progress=False)
    trials = [task for task in ran if task.kind == "search"]
    assert [(t.config.data.options["fold"], t.seed) for t in trials] == [(2, 3)] * 2
    results = [json.loads((t.folder / "result.json").read_text()) for t in trials]
    assert not any("test" in result for result in results)
    chosen = [
        t
        for t, trial in zip(trials, found.methods["concat"].trials, strict=True)
        if trial.setting == found.methods["concat"].setting
    ]
    kept = tmp_path / "searched" / "concat" / "seed3" / "fold2" / "metrics.csv"
    assert kept.read_bytes() == (chosen[0].folder / "metrics.csv").read_bytes()
    assert "test clips of other folds" in (tmp_path / "searched" / "report.html").read_text()


def test_the_command_line_takes_folds(clips, tmp_path, capsys):
    base = {"base": {"data": {**tiny_data(clips), "name": "tiny_folds"}, "epochs": 1}, "alone": False, "probe": False}
    (tmp_path / "base.json").write_text(json.dumps(base))
    words = ["compare", "--config", str(tmp_path / "base.json"), "--runs", str(tmp_path), "--methods", "concat"]
    assert main([*words, "--seeds", "0", "--folds", "0", "1"]) == 0
    assert "2 folds pooled" in capsys.readouterr().out


def test_folds_that_cannot_be_pooled_are_refused(clips, tmp_path):
    base = config(clips).base
    with pytest.raises(ConfigError, match="takes no option 'fold'; give their number"):
        check_folds(CompareConfig(folds=[0]))
    base.data.options = {"fold": 1}
    with pytest.raises(ConfigError, match="drop one of the two"):
        check_folds(CompareConfig(folds=[0], base=base))
    with pytest.raises(CounterpointError, match="test clip of fold 0 and of fold 1"):
        asked = config(clips)
        asked.base.data.options = {"overlap": True}
        compare(asked, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    first = tiny_folds(clips, "class", 0)
    with pytest.raises(DataError, match="fold 1 has other classes"):
        check_tables({0: first, 1: dataclasses.replace(tiny_folds(clips, "class", 0, fold=1), classes=("low", "high"))})


def test_only_whole_seeds_count_in_the_order_of_the_folds():
    def run(seed, fold):
        return RunResult("", seed, 0, {"accuracy": 0.0}, {"accuracy": 0.0}, {}, fold=fold)

    runs = [run(0, 2), run(1, 0), run(0, 1), run(2, None)]
    assert [[r.fold for r in found] for found in complete_seeds(runs, [1, 2]).values()] == [[1, 2]]
    assert list(complete_seeds(runs, [None])) == [2]


def test_probes_of_classes_never_trained_are_pooled_without_nan():
    from counterpoint.analysis.metrics import score

    logits = torch.tensor([[0.0, -1.0, -torch.inf], [-1.0, -0.5, -torch.inf]])
    found = score(logits, torch.tensor([0, 2]))
    assert found["accuracy"] == 0.5 and np.isfinite(found["mAP"])


def test_a_number_of_folds_deals_out_the_clips_of_any_dataset(clips, tmp_path, capsys):
    base = {"data": tiny_data(clips) | {"options": {"disjoint": False}}, "epochs": 1}
    (tmp_path / "base.json").write_text(json.dumps({"base": base, "alone": False, "probe": False}))
    words = ["compare", "--config", str(tmp_path / "base.json"), "--runs", str(tmp_path), "--methods", "concat"]
    words += ["--seeds", "0", "--classical", "false", "--name", "dealt", "--folds", "2"]
    assert main(words) == 0
    assert "2 folds pooled" in capsys.readouterr().out
    found = [dict(np.load(tmp_path / "dealt" / "concat" / "seed0" / f"fold{k}" / "trace.npz")) for k in (0, 1)]
    tested = np.concatenate([each["ids"] for each in found])
    assert len(tested) == len(set(tested)) == 32
    assert main([*words, "--resume"]) == 0
    assert main([*words[:-1], "3", "--resume"]) == 2  # other clips stand in its folds


def test_a_number_of_folds_is_refused_where_the_dataset_has_its_own(clips):
    asked = config(clips, folds=3)
    assert (asked.folds, asked.base.data.folds) == ([0, 1, 2], 3)
    with pytest.raises(ConfigError, match="has folds of its own"):
        check_folds(asked)
