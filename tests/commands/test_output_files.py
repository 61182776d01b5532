"""What users have written replaces what was written so before, and nothing else."""

from types import SimpleNamespace

import pytest
import torch

from counterpoint._atomic import write_csv, write_json
from counterpoint.cli import main
from counterpoint.commands import predict, verify
from counterpoint.commands.output_files import csv_of, json_of, require_own, subtitles
from counterpoint.errors import ConfigError
from counterpoint.metrics import error_curve
from counterpoint.predict import Found, srt, webvtt
from counterpoint.report.det_curve import save_det
from counterpoint.verify.trial_lists import How

THEIRS = {
    "json": '{"title": "mine"}',
    "vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nGood morning.\n",
    "srt": "1\n00:00:00,000 --> 00:00:01,000\nGood morning.\n",
    "png": "\x89PNG",
    "csv": "clip,class\na.mp4,dog\n",
}
WORDS = {
    "evaluate": ["evaluate", "nowhere", "--output", "mine.json"],
    "check": ["check", "folder", "--data.root", "nowhere", "--output", "mine.json"],
    "prepare": ["prepare", "--data.name", "folder", "--data.root", "nowhere", "--output", "mine.csv"],
}


@pytest.mark.parametrize("verb", WORDS)
def test_a_file_of_anothers_is_kept(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / WORDS[verb][-1]
    path.write_text(THEIRS[path.suffix[1:]])
    assert main(WORDS[verb]) == 2
    said = capsys.readouterr().err
    assert "was not written by this command" in said and len(said.splitlines()) == 1
    assert path.read_text() == THEIRS[path.suffix[1:]] and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["json", "vtt", "srt", "png"])
def test_predict_keeps_what_is_beside_a_clip(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("counterpoint.training.load.load_run", lambda folder: SimpleNamespace(folder=tmp_path))
    monkeypatch.setattr(predict, "run_at", lambda run: run)
    path = tmp_path / f"clip.{kind}"
    path.write_text(THEIRS[kind], encoding="latin-1")
    with pytest.raises(ConfigError, match="was not written by this command"):
        predict.predict_files(["first.mp4", "clip.mp4"], "run", str(tmp_path))
    assert list(tmp_path.iterdir()) == [path] and path.read_text(encoding="latin-1") == THEIRS[kind]


@pytest.mark.parametrize("name", ["scores.csv", "verification.json", "missing.csv", "det.png"])
def test_verify_keeps_files_of_its_names(name, tmp_path, monkeypatch):
    monkeypatch.setattr("counterpoint.training.load.load_run", lambda folder: SimpleNamespace(folder=tmp_path))
    path = tmp_path / name
    path.write_text(THEIRS[path.suffix[1:]], encoding="latin-1")
    costs = {"p_target": 0.01, "c_miss": 1.0, "c_fa": 1.0}
    with pytest.raises(ConfigError, match="was not written by this command"):
        verify.verify_trials("run", "list.txt", None, How(), costs, str(tmp_path))
    assert path.read_text(encoding="latin-1") == THEIRS[path.suffix[1:]]


@pytest.mark.parametrize("events", [(), (Found(0, 0.0, 1.0, 0.5),), (Found(0, 0.0, 1.0, 0.5), Found(0, 2.0, 3.5, 1.0))])
@pytest.mark.parametrize("written", [srt, webvtt])
def test_subtitles_are_known_again(written, events, tmp_path):
    path = tmp_path / "clip.sub"
    path.write_text(written(SimpleNamespace(events=events, classes=["a dog: (90%) <b>"])))
    require_own(path, subtitles)
    path.write_text(path.read_text() + "A line of mine\n")
    with pytest.raises(ConfigError, match="is there already"):
        require_own(path, subtitles)


def test_tables_figures_and_pictures_are_known_again(tmp_path):
    write_csv(tmp_path / "t.csv", [], ("clip", "reason"))
    require_own(tmp_path / "t.csv", csv_of("clip", "reason"))
    write_json(tmp_path / "t.json", {"clips": 3, "loss": float("nan")})
    require_own(tmp_path / "t.json", json_of("clips", "loss"))
    save_det(tmp_path / "det.png", {"one": error_curve(torch.arange(4.0), torch.arange(4) > 1)})
    require_own(tmp_path / "det.png", verify._OWN["det.png"])


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff\x00", b"[" * 100_000])
def test_what_cannot_be_read_is_kept(content, tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is there already"):
        require_own(path, json_of("clips"))
