"""All containers by one rule: length, number and order of pictures, and sync of sound and sight, against a judge."""

from fractions import Fraction

import numpy as np
import pytest

from container_checks import faults
from counterpoint.media.spec import MediaSpec
from counterpoint.media.windows import Windows
from marked_clips import Case, beeps, make, picture, shown

NTSC = Fraction(30000, 1001)
CASES = [
    Case("mp4", "libx264", "aac", bframes=2),
    Case("mp4", "mpeg4", "libmp3lame", NTSC, offset=5.0),
    Case("mov", "mjpeg", "pcm_s16le", Fraction(25, 2), sound=(0.0, 3.0)),
    Case("mkv", "libx264", "libmp3lame", NTSC, bframes=3, offset=20.0),
    Case("mkv", "ffv1", "flac", variable=True, sound=(0.5, 2.0)),
    Case("mkv", "libx264", "aac", joined=True),
    Case("webm", "libvpx", "libopus", variable=True),
    Case("webm", "libvpx", "libopus", joined=True),
    Case("avi", "libx264", "libmp3lame", bframes=3),
    Case("avi", "mpeg4", "pcm_s16le", NTSC, bframes=2, seconds=4.0),
    Case("avi", "mpeg4", None, Fraction(25, 2)),
    Case("ts", "libx264", "aac", bframes=2, offset=5.0),
    Case("ts", "libx264", "aac", variable=True, seconds=4.0),
    Case("ts", "mpeg2video", "mp2", NTSC, bframes=2, joined=True),
    Case("mpg", "mpeg1video", "mp2", bframes=2, joined=True),
    Case("mpg", "mpeg2video", "mp2", NTSC, sound=(0.0, 1.0)),
    Case("flv", "flv", "libmp3lame", Fraction(25, 2)),
    Case("flv", "libx264", "aac", variable=True),
    Case("h264", "libx264", None, bframes=2, seconds=4.0),
    Case("m1v", "mpeg1video", None, NTSC, joined=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_picture_in_order_in_step_with_the_sound(tmp_path, case):
    assert faults(tmp_path, case) == {}


def test_another_file_at_the_end_of_an_mp4_is_told(tmp_path):
    """FFmpeg does not read it."""
    path = make(tmp_path, Case("mp4", "libx264", "aac", joined=True))
    reader = Windows(path, MediaSpec(seconds=0.5, size=16))
    assert len(list(reader)) == 4 and "another file is joined to its end, and was not read" in reader.notes[0]
    single = Windows(make(tmp_path, Case("mp4", "libx264", "aac")), MediaSpec(seconds=0.5, size=16))
    assert len(list(single)) == 4 and single.notes == ()


def test_the_judge_sees_what_is_wrong():
    """Pictures swapped, and one twice; when it beeps."""
    good = np.stack([picture(number) for number in range(24)])
    assert shown(good) == list(range(24))
    assert shown(good[[0, 2, 1, 3]]) == [0, 2, 1, 3] and shown(good[[0, 1, 1, 3]]) == [0, 1, 3]
    sound = np.zeros(16000)
    sound[[4000, 4001, 12000]] = 20000
    assert beeps(sound, 16000) == [0.25, 0.75]
