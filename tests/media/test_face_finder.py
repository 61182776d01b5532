"""Crops to a face that is found: the box of a clip, clips without one, and real faces where the extra is installed."""

import numpy as np
import pytest

from counterpoint.data.clip_table import ClipTable
from counterpoint.errors import ConfigError, MediaError
from counterpoint.media import decode, face_finder
from counterpoint.media.decode import face_of, read_clip
from counterpoint.media.face_finder import find_face
from counterpoint.media.spec import MediaSpec
from counterpoint.media.windows import Windows
from counterpoint.training.datamodule import media_spec
from made_clips import flash_and_click, video_file
from shared_data import GRID, needs_shared_data

BOX = (0.2, 0.1, 0.6, 0.7)
FACE = MediaSpec(seconds=2.0, crop="face", size=32, frames=4)


def detector(monkeypatch, answers):
    """Stands in for the detector: its answers, one picture after another."""
    given = iter(answers)
    monkeypatch.setattr(decode, "weights_path", lambda: None)
    monkeypatch.setattr(face_finder, "_surest", lambda picture, size: next(given, None))


def box(*edges):
    return np.array(edges)


@pytest.mark.parametrize("outlier", [None, (0.7, 0.6, 0.9, 0.9)], ids=["missed twice", "elsewhere twice"])
def test_the_box_is_the_median_of_the_faces_in_one_place(monkeypatch, tmp_path, outlier):
    shifts = (-0.01, 0.0, 0.02)
    stray = None if outlier is None else box(*outlier)
    detector(monkeypatch, [stray, *(box(*BOX) + shift for shift in shifts), stray])
    track = find_face(tmp_path, np.zeros((5, 8, 8), np.uint8), (200, 100))
    assert np.allclose(track.crop(0.0, 200, 100), BOX)
    assert np.allclose(track.boxes, [[40, 10, 120, 70]])


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([None] * 5, "found in 0 of 5 frames"),
        ([BOX, None, BOX, None, None], "found in 2 of 5 frames"),
        ([BOX, BOX, (0.7, 0.6, 0.9, 0.9), (0.7, 0.0, 0.9, 0.2), None], "in different places"),
    ],
)
def test_a_clip_without_a_face_is_undecodable_with_its_reason(monkeypatch, tmp_path, answers, reason):
    clip = flash_and_click(tmp_path / "a.mp4")
    detector(monkeypatch, [None if edges is None else box(*edges) for edges in answers])
    with pytest.raises(MediaError, match=reason):
        read_clip(clip, FACE, modalities=("visual",))


def corner(tmp_path):
    """Black, but for a white patch where `BOX` is."""
    frames = np.zeros((50, 60, 100, 3), np.uint8)
    frames[:, 6:42, 20:60] = 255
    return video_file(tmp_path / "a.mp4", frames)


def test_frames_are_cropped_to_the_face(monkeypatch, tmp_path):
    clip = corner(tmp_path)
    detector(monkeypatch, [box(*BOX)] * 5)
    assert read_clip(clip, FACE, modalities=("visual",)).visual.mean() > 230
    assert read_clip(clip, MediaSpec(seconds=2.0, size=32, frames=4), modalities=("visual",)).visual.mean() < 100


def test_windows_of_a_file_share_one_box(monkeypatch, tmp_path):
    clip = corner(tmp_path)
    detector(monkeypatch, [box(*BOX)] * 5)  # once: whoever searched again would find none
    windows = list(Windows(clip, MediaSpec(seconds=0.5, crop="face", size=32), hop=0.5, modalities=("visual",)))
    assert len(windows) == 4 and all(window.clip.visual.mean() > 230 for window in windows)


def test_sound_alone_needs_no_face(monkeypatch, tmp_path):
    detector(monkeypatch, [])
    assert read_clip(flash_and_click(tmp_path / "a.mp4"), FACE, modalities=("audio",)).audio is not None


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(face_finder, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"counterpoint\[faces\]"):
        read_clip(flash_and_click(tmp_path / "a.mp4"), FACE, modalities=("visual",))
    with pytest.raises(ConfigError, match=r"counterpoint\[faces\]"):  # before any clip is read
        media_spec(ClipTable("own", ("a",), (), MediaSpec()), {"crop": "face"})


needs_detector = pytest.mark.skipif(not face_finder.is_installed(), reason="the extra faces is not installed")


@needs_detector
@needs_shared_data
@pytest.mark.parametrize("folder", ["clips", "official"])
def test_real_faces_are_found(folder):
    clips = sorted(path for path in (GRID / folder).rglob("*") if path.suffix in {".mp4", ".mpg"})[:4]
    assert clips
    for clip in clips:
        track = face_of(clip, FACE)
        left, top, right, bottom = track.crop(0.0, *track.size)
        assert 0.3 < right - left < 0.95 and top < 0.5 < bottom


@needs_detector
def test_no_face_is_found_where_there_is_none(tmp_path):
    with pytest.raises(MediaError, match="found in 0 of 5"):
        face_of(flash_and_click(tmp_path / "a.mp4"), FACE)
