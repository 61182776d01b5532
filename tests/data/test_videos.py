import numpy as np
import pytest

from counterpoint.data.videos import list_videos
from counterpoint.errors import DatasetNotFoundError
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec


def video(path, seconds):
    sound = np.zeros(int(16000 * seconds), np.float32)
    write_clip(path, sound, np.zeros((int(10 * seconds), 16, 16, 3), np.uint8), fps=10, sample_rate=16000)


def test_long_videos_are_cut_and_short_ones_are_clips(tmp_path):
    video(tmp_path / "b" / "long.mp4", 5.2)
    video(tmp_path / "short.mp4", 0.5)
    video(tmp_path / "just.mp4", 2.0)
    (tmp_path / "broken.mkv").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("no video")
    table = list_videos(tmp_path, MediaSpec(seconds=2.0))
    assert [(clip.id, clip.start) for clip in table.clips] == [
        ("b/long.mp4@0", 0.0),
        ("b/long.mp4@2", 2.0),
        ("b/long.mp4@4", 4.0),
        ("broken.mkv", 0.0),
        ("just.mp4", 0.0),
        ("short.mp4", 0.0),
    ]
    ends = {clip.id: clip.end for clip in table.clips}
    assert ends["b/long.mp4@0"] == 2.0 and ends["b/long.mp4@4"] == pytest.approx(5.2, abs=0.1)
    assert ends["broken.mkv"] is None
    assert {clip.group for clip in table.clips} == {"b/long.mp4", "short.mp4", "just.mp4", "broken.mkv"}
    assert table.classes == () and table.media.seconds == 2.0


def test_where_there_is_none(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="There is no video in"):
        list_videos(tmp_path, MediaSpec())
