"""How much is read of clips of one's own: what nearly all training clips last, and no more than ten seconds."""

import json
from pathlib import Path

import numpy as np
import pytest

from counterpoint.data import Clip, ClipTable
from counterpoint.data import lengths as lengths_module
from counterpoint.data.lengths import with_fitted_length
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec
from counterpoint.training.config import DataConfig
from counterpoint.training.datamodule import list_clips
from tiny_clips import write_tiny_clips


def table(root, training, others=()):
    """Clips whose files say how long they are, as the stand-in for measuring reads them."""
    clips = []
    for k, (seconds, split) in enumerate([*((s, "train") for s in training), *((s, "test") for s in others)]):
        path = root / f"{k}.mp4"
        if not path.exists() or path.read_text() != str(seconds):
            path.write_text(str(seconds))
        clips.append(Clip(path.name, path, 0, split))
    return ClipTable("own", ("a",), tuple(clips), MediaSpec(seconds=3, size=96), fit_length=True)


@pytest.fixture
def measured(monkeypatch):
    """How often files were measured; nothing is decoded, and no process started."""
    calls = []

    def measure(table, keys, progress):
        calls.append(len(keys))
        texts = [Path(key.path).read_text() for key in keys]
        return [float(text) for text in texts if text != "None"], True

    monkeypatch.setattr(lengths_module, "_measure", measure)
    return calls


@pytest.mark.parametrize(
    ("training", "seconds", "whole"),
    [
        ([3.0] * 10, 3, 100),
        ([3.04] * 10, 3, 100),  # a container that rounds
        ([3.2] * 10, 3.5, 100),
        ([0.1] * 4, 0.5, 100),
        ([1.0] * 95 + [60.0] * 5, 1, 95),  # a few long ones do not make the others be filled up
        ([1.0] * 94 + [4.0] * 6, 4, 100),
        ([3600.0] * 5, 10, 0),
        ([2.0, None, 2.0], 2, 100),
    ],
)
def test_nineteen_of_twenty_training_clips_are_whole(tmp_path, measured, training, seconds, whole):
    fitted = with_fitted_length(table(tmp_path, training), tmp_path / "cache")
    assert fitted.media == MediaSpec(seconds=seconds, size=96)
    note = fitted.notes[-1]
    assert f"{seconds:g} s are read of each clip, all there is of {whole} % of the training clips" in note
    assert "data.media.seconds" in note


def test_other_clips_have_no_say_and_files_are_measured_once(tmp_path, measured):
    first = with_fitted_length(table(tmp_path, [2.0] * 5, [2.0] * 5), tmp_path / "cache")
    other = with_fitted_length(table(tmp_path, [2.0] * 5, [9.0] * 5), tmp_path / "cache")
    assert first.media == other.media == MediaSpec(seconds=2, size=96) and measured == [5]
    place = next((tmp_path / "cache" / "lengths").glob("*.json"))
    place.write_text(json.dumps({"seconds": "?"}))
    assert with_fitted_length(table(tmp_path, [2.0] * 5), tmp_path / "cache").media.seconds == 2 and len(measured) == 2


def test_where_no_file_says_it_the_dataset_has_its_way(tmp_path, measured):
    asked = table(tmp_path, [None] * 3)
    assert with_fitted_length(asked, tmp_path / "cache") is asked


def test_real_files_a_damaged_one_among_them(tmp_path, monkeypatch):
    root = write_tiny_clips(tmp_path / "clips", per_split={"train": 2, "val": 1, "test": 1})
    frames = np.zeros((13, 16, 16, 3), np.uint8)
    write_clip(root / "low" / "001.mp4", np.zeros(10400, np.float32), frames, fps=10, sample_rate=8000)
    (root / "high" / "001.mp4").write_text("damaged")
    config = DataConfig(name="folder", root=str(root), cache=str(tmp_path / "cache"))
    listed = list_clips(config, fit_length=True)
    assert listed.media.seconds == 1.5 and not listed.media.gray  # 0.5, 0.5 and 1.3 s
    assert list_clips(config).media.seconds == 3  # nobody asks
    config.media = {"seconds": 2}
    assert list_clips(config, fit_length=True).media.seconds == 3  # what is asked for replaces it
    assert not any("Length" in note for note in list_clips(config, fit_length=True).notes)
