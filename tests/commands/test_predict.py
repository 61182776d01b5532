"""`counterpoint predict` as a user meets it, with a localiser trained for an epoch and films made here."""

import json
import shutil

import av
import numpy as np
import pytest

from counterpoint import cli
from counterpoint.data.talkers import talkers
from counterpoint.media.encode import write_clip
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.fit import fit
from tiny_clips import tiny_data, write_tiny_clips

FORMATS = ("json", "vtt", "srt", "png")
CLIPS = 24


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return talkers(tmp_path_factory.mktemp("talkers"), "event", clips=CLIPS, jobs=1)


@pytest.fixture(scope="module")
def run_folder(table, tmp_path_factory):
    room = tmp_path_factory.mktemp("run")
    data = {
        "name": "talkers",
        "root": str(table.clips[0].path.parents[1]),
        "options": {"clips": CLIPS},
        "cache": str(room / "cache"),
        "batch_size": 8,
    }
    config = from_dict(TrainConfig, {"task": "localise", "data": data, "epochs": 1, "localise": {"name": "psp"}})
    fit(config, room / "psp", progress=False)
    return room / "psp"


@pytest.fixture(scope="module")
def long(table, tmp_path_factory):
    """A clip again and again until a minute is full."""
    path = tmp_path_factory.mktemp("long") / "minute.mp4"
    with av.open(str(table.clips[1].path)) as source:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)])
    with av.open(str(table.clips[1].path)) as source:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in source.decode(audio=0)])[: round(4.8 * 16000)]
    rounds = np.arange(60 * 25) % len(frames)
    write_clip(path, np.resize(sound, 60 * 16000), frames[rounds], fps=25, sample_rate=16000)
    return path


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command line in this process; gives exit code, output and errors."""
    monkeypatch.delenv("COUNTERPOINT_DEBUG", raising=False)
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words):
        code = cli.main(["predict", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_names_that_are_long_or_bite_keep_nothing_from_the_others(run, run_folder, table, tmp_path):
    names = ["n" * 251, "n" * 250 + "m", "\x1b[2J\x1b]0;title\x07\u202e", "plain"]
    films = [shutil.copy(table.clips[0].path, tmp_path / f"{name}.mp4") for name in names]
    code, out, err = run(*films, "--run", run_folder, "--formats", "json", "--output", tmp_path / "made")
    assert code == 0, err
    made = sorted((tmp_path / "made").iterdir(), key=lambda path: len(path.name))
    assert [path.name for path in made[:2]] == ["plain.json", f"{names[2]}.json"] and len(made) == 4
    assert {json.loads(path.read_text())["file"] for path in made} == set(map(str, films))
    assert not {"\x1b", "\x07", "\u202e"} & {*out, *err}


def test_a_minute_becomes_events_subtitles_and_a_picture(run, run_folder, long, tmp_path):
    truth = tmp_path / "events.csv"
    truth.write_text("clip,start,end,class\nminute,0.48,1.92,ga\nother.mp4,0,1,ba\n")
    code, out, err = run(long, "--run", run_folder, "--truth", truth)
    assert code == 0, err
    folder = run_folder / "predictions"
    assert {path.name for path in folder.iterdir()} == {f"minute.{name}" for name in FORMATS}
    found = json.loads((folder / "minute.json").read_text())
    assert found["file"] == str(long) and found["run"] == str(run_folder) and found["model"] == "psp"
    assert found["seconds"] == pytest.approx(60, abs=0.1)
    assert (found["segment_seconds"], found["window_seconds"], found["hop_seconds"]) == (0.48, 4.8, 2.4)
    for event in found["events"]:
        assert event["class"] in found["classes"] and 0 < event["confidence"] <= 1
        assert 0 <= event["start"] < event["end"] <= found["seconds"]
        assert event["start"] / 0.48 == pytest.approx(round(event["start"] / 0.48), abs=0.01)
    assert "minute.mp4: 60" in out and str(folder) in out.replace("\n", "")
    assert out.count(" s │") // 2 == min(20, len(found["events"]))


def test_a_folder_of_weights_alone_will_do(run, run_folder, table, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(run_folder / name, model)
    clip = table.clips[0].path
    code, _, err = run(clip, f"--run={model}", "--output", tmp_path / "out", "--formats", "json")
    assert code == 0, err
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{clip.stem}.json"]
    assert json.loads((tmp_path / "out" / f"{clip.stem}.json").read_text())["model"] == "psp"


def test_a_classifier_says_one_class_per_window(run, tmp_path):
    clips = write_tiny_clips(tmp_path / "clips")
    fit(from_dict(TrainConfig, {"data": tiny_data(clips), "epochs": 1}), tmp_path / "run", progress=False)
    path = next((clips / "high").glob("*.mp4"))
    code, out, err = run(path, "--run", tmp_path / "run", "--formats", "json,srt")
    assert code == 0, err
    (event,) = json.loads((tmp_path / "run" / "predictions" / f"{path.stem}.json").read_text())["events"]
    assert event["start"] == 0 and event["class"] in ("high", "low") and event["confidence"] > 0.4
    assert event["class"] in out


def test_one_bad_file_does_not_stop_the_others(run, run_folder, table, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    good = [table.clips[0].path, table.clips[2].path]
    words = ("--run", run_folder, "--output", tmp_path / "out", "--formats", "vtt")
    code, _, err = run(good[0], bad, good[1], *words)
    assert code == 2
    assert str(bad) in err and "1 of 3 files could not be read" in err and "Traceback" not in err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{path.stem}.vtt" for path in good}
    code, _, err = run(bad, *words)
    assert code == 2 and str(bad) in err and len(err.strip().splitlines()) == 1


def test_files_of_the_same_name_do_not_overwrite_each_other(run, run_folder, table, tmp_path):
    paths = [tmp_path / "clips" / name for name in ("a/one.mp4", "b/one.mp4", "b/one.m4v")]
    for path, clip in zip(paths, table.clips, strict=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip.path, path)
    words = ("--run", run_folder, "--formats", "json", "--output")
    assert run(*paths, *words, tmp_path / "three")[0] == 0
    assert {p.name for p in (tmp_path / "three").iterdir()} == {"a-one.mp4.json", "b-one.mp4.json", "b-one.m4v.json"}
    assert run(*paths[1:], *words, tmp_path / "two")[0] == 0
    assert {p.name for p in (tmp_path / "two").iterdir()} == {"one.mp4.json", "one.m4v.json"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "run"),
        (["--run", "nowhere"], "There is no run at nowhere"),
        (["--run", "RUN", "--formats", "jsn"], "There is no format 'jsn'. Did you mean 'json'?"),
        (["--run", "RUN", "--formats", "[]"], "no formats"),
        (["--run", "RUN", "--hop", "0.5"], "0.48 would do"),
        (["--run", "RUN", "--hop", "soon"], "hop"),
        (["--run", "RUN", "--formats", "json", "--truth", "TRUTH"], "add png"),
        (["--run", "RUN", "--truth", "nowhere.csv"], "nowhere.csv"),
        (["--run", "RUN", "--truth", "TRUTH"], "names none of the files"),
        (["--rum", "RUN", "--run", "RUN"], "Did you mean '--run'?"),
    ],
)
def test_a_mistake_is_told_in_one_line(run, run_folder, table, tmp_path, words, message):
    truth = tmp_path / "truth.csv"
    truth.write_text("clip,start,end,class\nsomething.mp4,0,1,ba\n")
    places = {"RUN": run_folder, "TRUTH": truth}
    code, _, err = run(table.clips[0].path, *(places.get(word, word) for word in words))
    assert code == 2
    assert message in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


def test_a_true_class_that_the_model_does_not_know_is_named(run, run_folder, table, tmp_path):
    (tmp_path / "truth.csv").write_text(f"clip,start,end,class\n{table.clips[0].path.name},0,1,baa\n")
    code, _, err = run(table.clips[0].path, "--run", run_folder, "--truth", tmp_path / "truth.csv")
    assert code == 2 and "there is no class 'baa'. Did you mean 'ba'?" in err
