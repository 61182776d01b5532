"""Writing clips: whole or not at all, the same each time, and refused with a reason."""

import numpy as np
import pytest

from counterpoint.errors import MediaError, ShapeError
from counterpoint.media.decode import probe, read_clip
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec

SILENCE = np.zeros(8000, np.float32)
BLACK = np.zeros((12, 32, 48, 3), np.uint8)


def test_what_is_written_is_read(tmp_path):
    t = np.arange(32000) / 16000
    audio = (0.5 * np.sin(2 * np.pi * 300 * t)).astype(np.float32)
    y, x = np.mgrid[0:64, 0:64]
    frames = np.stack([np.stack([x * 3, y * 3, np.full_like(x, 4 * k)], -1) for k in range(50)]).astype(np.uint8)
    write_clip(tmp_path / "deep" / "er" / "a.mp4", audio, frames, fps=25, sample_rate=16000)
    spec = MediaSpec(seconds=2.0, size=64, gray=False)
    read = read_clip(tmp_path / "deep" / "er" / "a.mp4", spec)
    assert np.abs(read.audio / 32768 - audio)[2000:-2000].max() < 0.005  # also in phase: a sample is 0.06
    assert np.abs(read.visual.astype(int) - frames.astype(int)).mean() < 4


def test_equal_input_gives_equal_bytes(tmp_path):
    rng = np.random.default_rng(0)
    audio = rng.uniform(-0.3, 0.3, 8000).astype(np.float32)
    frames = rng.integers(0, 255, (12, 64, 64, 3), np.uint8)
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, audio, frames, fps=25, sample_rate=16000)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(("fps", "seconds"), [(10.0, 1.2), (29.97, 0.4), (25.0, 0.48), (12.5, 0.96)])
def test_frame_rates(tmp_path, fps, seconds):
    write_clip(tmp_path / "a.mp4", None, BLACK, fps=fps, sample_rate=16000)
    info = probe(tmp_path / "a.mp4")
    assert info.fps == pytest.approx(fps, rel=1e-3)
    assert info.seconds == pytest.approx(seconds, abs=0.01)


def test_loud_sound_is_clipped(tmp_path):
    t = np.arange(16000) / 16000
    write_clip(
        tmp_path / "a.mp4", (5 * np.sin(2 * np.pi * 200 * t)).astype(np.float32), None, fps=25, sample_rate=16000
    )
    read = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=1.0), modalities=("audio",))
    assert np.sign(read.audio[1000:15000]).mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("audio", "frames"),
    [
        (np.zeros((2, 8000), np.float32), BLACK),
        (np.zeros(0, np.float32), BLACK),
        (SILENCE, BLACK[..., :1]),
        (SILENCE, BLACK[:0]),
        (SILENCE, BLACK[:, :31]),
        (SILENCE, BLACK.astype(np.float32)),
        (None, None),
    ],
)
def test_other_shapes_are_refused(tmp_path, audio, frames):
    with pytest.raises(ShapeError, match="write_clip"):
        write_clip(tmp_path / "a.mp4", audio, frames, fps=25, sample_rate=16000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("fps", "rate"), [(25.0, 12345), (0.0, 16000), (float("nan"), 16000)])
def test_nothing_is_left_of_a_failed_write(tmp_path, fps, rate):
    (tmp_path / "a.mp4").write_bytes(b"before")
    with pytest.raises(MediaError, match="cannot be written"):
        write_clip(tmp_path / "a.mp4", SILENCE, BLACK, fps=fps, sample_rate=rate)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


def test_a_folder_in_the_way(tmp_path):
    with pytest.raises(MediaError, match="cannot be written"):
        write_clip(tmp_path, SILENCE, None, fps=25, sample_rate=16000)
