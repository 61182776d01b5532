"""All containers by one rule: length, number and order of pictures, and sync of sound and sight, against a judge."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from counterpoint.media.decode import probe, read_clip
from counterpoint.media.spec import MediaSpec
from counterpoint.media.windows import Windows
from marked_clips import EVERY, Case, beeps, judge, make, number_of, shown

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


def read_in_windows(path, case, seconds, fps):
    """The pictures and the sound of a file, put together from windows."""
    modalities = ("visual",) if case.audio is None else ("audio", "visual")
    reader = Windows(path, MediaSpec(seconds=0.5, fps=fps, size=64, sample_rate=16000), modalities=modalities)
    windows = list(reader)
    visual = np.concatenate([window.clip.visual for window in windows])[: round(seconds * fps)]
    audio = None if case.audio is None else np.concatenate([window.clip.audio for window in windows])
    return reader, windows, visual, audio


def out_of_step(case, visual, audio, fps):
    """Seconds from each beep to the moment at which its picture comes on, by what is seen and heard."""
    numbers = [number_of(frame[..., 0]) for frame in visual]
    pictures = {number: k / fps for k, number in reversed(list(enumerate(numbers)))}
    per_part = len(case.times)
    marked = [time for number, time in pictures.items() if number >= 0 and number % per_part % EVERY == 0]
    heard = [beep for beep in beeps(audio, 16000) if beep < len(visual) / fps - 0.15]  # later ones may have no window
    return [min(abs(beep - time) for time in marked) for beep in heard]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_picture_in_order_in_step_with_the_sound(tmp_path, case):
    truth = judge(tmp_path, case)
    path = make(tmp_path, case)
    period = float(1 / case.fps)
    length = probe(path).seconds
    assert length == pytest.approx(truth.seconds, abs=1.5 * period * (1 + case.joined))

    fps = 2 * float(case.fps)  # so that no picture is passed over
    modalities = ("visual",) if case.audio is None else ("audio", "visual")
    spec = MediaSpec(seconds=length, fps=fps, size=64, sample_rate=16000)
    whole = read_clip(path, spec, modalities=modalities)
    assert shown(whole.visual) == truth.numbers

    reader, windows, visual, audio = read_in_windows(path, case, length, fps)
    assert reader.seconds == length
    whole_windows = [window for window in windows if window.seconds > 0.2]
    assert case.sound is not None or not any(window.undecodable for window in whole_windows)
    seen = shown(visual)  # the last 0.1 s may make no window
    assert seen == truth.numbers[: len(seen)] and len(truth.numbers) - len(seen) <= 1 + 0.1 / period

    if case.audio is not None:
        heard = beeps(whole.audio, 16000)
        low, high = case.sound or (0.0, case.seconds)
        due = [float(time) for time in case.times[::EVERY] if low <= float(time) and float(time) + 0.03 < high]
        assert len(heard) == len(due) * (1 + case.joined) <= len(beeps(audio, 16000)) + 1
        for pictures, sound in ((whole.visual, whole.audio), (visual, audio)):
            assert max(out_of_step(case, pictures, sound, fps)) <= period + 0.01

    # A clip from anywhere is that part of the whole; from 3 s on it is sought.
    for start in (0.4 * length, 0.85 * length):
        part = read_clip(path, replace(spec, seconds=0.3), start=start, modalities=("visual",))
        expected = [whole.visual[min(len(whole.visual) - 1, round(start * fps) + k)] for k in range(len(part.visual))]
        steps = [number_of(a[..., 0]) - number_of(b[..., 0]) for a, b in zip(expected, part.visual, strict=True)]
        assert set(steps) <= {-1, 0, 1}
