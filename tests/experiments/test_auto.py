"""Clips in, a comparison and advice out: what is seen, planned and left out, and what is said at the end."""

import json
from dataclasses import replace

import numpy as np
import pytest

from counterpoint.cli import main
from counterpoint.data.features.writer import FEATURES
from counterpoint.errors import CounterpointError
from counterpoint.experiments import schedule
from counterpoint.experiments.advice import advise, validated
from counterpoint.experiments.auto import auto, data_of
from counterpoint.experiments.config import RECOMMENDED
from counterpoint.recipes import list_recipes
from counterpoint.training.config import DataConfig, TrainConfig
from counterpoint.training.config_io import from_dict
from feature_files import write
from tiny_clips import tiny_data, write_tiny_clips

CLASSES, ROWS = 3, 96


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """Features that tell the class, of eight speakers."""
    folder, rng, who = tmp_path_factory.mktemp("vectors"), np.random.default_rng(0), np.arange(ROWS) % CLASSES
    made = {
        m: rng.normal(size=(CLASSES, width))[who] + 0.5 * rng.normal(size=(ROWS, width))
        for m, width in (("audio", 6), ("visual", 9))
    }
    write(folder / FEATURES, **made)
    rows = [f"c{k},class{who[k]},s{k % 8}" for k in range(ROWS)]
    (folder / "clips.csv").write_text("\n".join(["clip,class,group", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def split_vectors(vectors, tmp_path_factory):
    """The same with a split of their own."""
    folder = tmp_path_factory.mktemp("split")
    (folder / FEATURES).write_bytes((vectors / FEATURES).read_bytes())
    head, *rows = (vectors / "clips.csv").read_text().split()
    sides = (("train", "train", "val", "test")[k % 4] for k in range(ROWS))
    rows = [f"{row},{side}" for row, side in zip(rows, sides, strict=True)]
    (folder / "clips.csv").write_text("\n".join([f"{head},split", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def made(vectors, tmp_path_factory):
    base = from_dict(TrainConfig, {"accelerator": "cpu", "epochs": 3})
    return auto(vectors, minutes=30, folder=tmp_path_factory.mktemp("auto") / "run", base=base, progress=False)


def test_it_sees_what_is_there_and_says_what_it_plans(made):
    saw, measured, plan = made.said
    assert "96 clips of 3 classes (32 each), 8 groups" in saw
    assert "an epoch of" in measured and plan.startswith(f"Plan: {RECOMMENDED}, concat and each modality alone")
    assert RECOMMENDED in list_recipes()


def test_it_runs_what_every_comparison_shows(made):
    assert list(made.comparison.methods) == [RECOMMENDED, "concat", "ensemble", "classical"]
    assert set(made.comparison.alone) == {"audio", "visual"} and not made.comparison.failures
    assert made.comparison.baseline == "concat"
    assert (made.comparison.folder / "report.html").is_file()


def test_few_clips_are_tested_once_each(made):
    assert made.comparison.folds == (0, 1, 2, 3, 4) and "5 folds, 1 seed" in made.said[-1]
    assert made.comparison.protocol["clips"]["test"] == ROWS


def test_it_takes_what_is_best_on_validation_clips(made):
    everything = {**made.comparison.methods, **{f"{m} alone": r for m, r in made.comparison.alone.items()}}
    best = max(validated(method) for method in everything.values())
    name = made.advice[0].removeprefix("Take ").partition(":")[0]
    assert validated(everything[name]) == best
    assert any("speakers or sources that training has not seen" in sentence for sentence in made.advice)
    assert made.advice[-1].startswith("What would help next: ")


def test_what_is_no_single_model_is_told_with_what_predict_takes(made):
    other = made.comparison
    sure = {
        name: replace(m, runs=tuple(replace(r, val={**r.val, "accuracy": float(name == "ensemble")}) for r in m.runs))
        for name, m in other.methods.items()
    }
    alone = {
        name: replace(m, runs=tuple(replace(r, val={**r.val, "accuracy": 0.0}) for r in m.runs))
        for name, m in other.alone.items()
    }
    first, second, *_ = advise(replace(other, methods=sure, alone=alone))
    assert first.startswith("Take ensemble:") and second.startswith("It is no single model: what predict takes from")


def test_no_run_is_begun_that_would_not_end_in_time(split_vectors, tmp_path, monkeypatch):
    clock = iter(range(0, 10**6, 20))
    monkeypatch.setattr(schedule.time, "monotonic", lambda: next(clock))
    base = from_dict(TrainConfig, {"accelerator": "cpu", "epochs": 2})
    made = auto(split_vectors, minutes=5, folder=tmp_path / "run", base=base, progress=False)
    (late,) = [note for note in made.comparison.protocol["notes"] if note.startswith("Not begun for want of time: ")]
    assert "--resume goes on" in late and made.comparison.methods
    monkeypatch.undo()
    again = auto(split_vectors, minutes=5, folder=tmp_path / "run", resume=True, progress=False)
    assert not any("want of time" in note for note in again.comparison.protocol["notes"])
    assert again.said == (f"Goes on with {tmp_path / 'run'} for 5 minutes.",)
    assert set(again.comparison.alone) == {"audio", "visual"}


@pytest.mark.parametrize("kind", ["folder", "features", "dataset"])
def test_what_is_meant_by_a_place(kind, vectors, tmp_path):
    place = {"folder": tmp_path, "features": vectors, "dataset": "talkers"}[kind]
    data = data_of(place, DataConfig(name="grid", task="letter"))
    assert data.name == {"dataset": "talkers"}.get(kind, kind) and data.task == "letter"


def test_from_the_command_line_on_media_to_a_prediction(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")
    clips = write_tiny_clips(tmp_path / "clips")
    media = json.dumps(tiny_data(clips)["media"])
    words = ["auto", str(clips), "--minutes", "0.3", f"--runs={tmp_path}", f"--base.data.media={media}"]
    assert main([*words, "--base.accelerator=cpu", "--base.data.batch_size=8"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "32 clips of 2 classes (16 each)" in said and "Plan: " in said and "Take " in said
    run = str(tmp_path / "auto")
    assert main(["predict", str(clips / "low" / "000.mp4"), "--run", run, f"--output={tmp_path / 'out'}"]) == 0
    assert main(["evaluate", run]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "'nowhere' is neither a folder nor a dataset"),
        ([], "CLIPS"),
        (["talkers", "--minutes", "0"], "minutes is 0.0; it must be above 0"),
        (["talkers", "--minutes", "nan"], "not NaN"),
        (["talkers", "--minutes", "soon"], "--minutes"),
        (["{file}"], "is a file; name the folder of the clips"),
        (["{one}"], "only one class (a)"),
        (["{empty}"], "no "),
        (["talkers", "--base.task=localise"], "auto classifies clips"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_trained(words, says, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")
    clips = write_tiny_clips(tmp_path / "one", classes=("a",))
    (clips / "split.csv").unlink()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.mp4").write_text("x")
    places = {"file": tmp_path / "file.mp4", "one": clips, "empty": tmp_path / "empty"}
    assert main(["auto", *(word.format(**places) for word in words), f"--runs={tmp_path / 'runs'}"]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "runs" / "auto").exists()


def test_errors_are_the_librarys_own():
    with pytest.raises(CounterpointError, match="neither a folder nor a dataset"):
        auto("nowhere")
