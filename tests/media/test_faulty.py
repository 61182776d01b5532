"""Files on which readers go wrong, each with what is right: by clips, windows, probe and lists of videos alike."""

import av
import numpy as np
import pytest

from counterpoint.data.videos import list_videos
from counterpoint.errors import MediaError
from counterpoint.media.decode import probe, read_clip
from counterpoint.media.spec import MediaSpec
from counterpoint.media.windows import Windows
from shared_data import FAULTY, needs_shared_data

pytestmark = needs_shared_data

SPEC = MediaSpec(seconds=1.0, fps=10, size=32)
SECONDS = {
    "audio_tiny.mp4": 4.0,
    "audiogap.mkv": 4.04,
    "bframes_h264.avi": 4.1,
    "bframes_h264_control.mp4": 4.0,
    "discont.ts": 8.08,
    "exif_orient6.jpg": 0.04,
    "no_duration.webm": 12.01,
    "raw.h264": 12.0,
    "raw_mpeg1.mpeg": 12.0,
    "starts_at_20s.mkv": 12.1,
    "still30.mp4": 30.0,
    "theora_repeats.ogv": 4.0,
    "two_in_one.ts": 8.08,
    "vfrstill.mkv": 10.03,
    "vfrstill.mp4": 10.0,
    "vfrstill.ts": 10.03,
    "vfrstill.webm": 10.02,
}
NOTES = {
    "audiogap.mkv": ["gap in the sound from 1.04 to 2.04 s"],
    "discont.ts": ["two recordings are joined at 4.04 s"],
    "two_in_one.ts": ["two recordings are joined at 4.04 s"],
    "raw.h264": ["has no time stamps; taken as 25 frames per second throughout"],
    "raw_mpeg1.mpeg": ["has no time stamps; taken as 25 frames per second throughout"],
}
LOST = {"audio_tiny.mp4": [1.0, 2.0, 3.0]}


def modalities_of(name):
    info = probe(FAULTY / name)
    return ("audio",) * (info.audio_codec is not None) + ("visual",) * (info.video_codec is not None)


def pictures(name, start=0.0, seconds=1.0, fps=25):
    spec = MediaSpec(seconds=seconds, fps=fps, size=32)
    return read_clip(FAULTY / name, spec, start=start, modalities=("visual",)).visual.astype(int)


def test_every_file_is_judged():
    assert {path.name for path in FAULTY.iterdir()} - {"README.md"} == set(SECONDS)


@pytest.mark.parametrize("name", SECONDS)
def test_length_and_loss_and_notes(name):
    """Clips, windows and probe agree with each other, and with what is right."""
    modalities = modalities_of(name)
    assert probe(FAULTY / name).seconds == pytest.approx(SECONDS[name], abs=0.011)
    reader = Windows(FAULTY / name, SPEC, modalities=modalities)
    windows = list(reader)
    assert reader.seconds == probe(FAULTY / name).seconds
    assert [window.start for window in windows if window.undecodable] == LOST.get(name, [])
    assert list(reader.notes) == NOTES.get(name, [])
    for window in windows[:6]:
        if window.undecodable is not None:
            with pytest.raises(MediaError, match="no sound could be decoded"):
                read_clip(FAULTY / name, SPEC, start=window.start, modalities=modalities)
            continue
        alone = read_clip(FAULTY / name, SPEC, start=window.start, modalities=modalities)
        assert alone.notes == window.clip.notes
        if "visual" in modalities:
            np.testing.assert_array_equal(alone.visual, window.clip.visual)


def test_bframes_in_avi_come_in_order():
    """They are the pictures of the same stream in MP4, which has their time stamps."""
    there = pictures("bframes_h264_control.mp4", seconds=4.0)
    for start in (0.0, 1.0, 3.2):
        first = round(start * 25)
        seen = pictures("bframes_h264.avi", start, seconds=4.0 - start)
        assert np.abs(seen - there[first : first + len(seen)]).max() == 0
    assert (np.abs(np.diff(there, axis=0)).max(axis=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize("name", ["vfrstill.mkv", "vfrstill.webm", "vfrstill.ts"])
def test_a_picture_is_on_until_the_next(name):
    """As in the MP4 of the same packets; what begins up to 23 ms later is coded with other losses in the WebM."""
    for start in (3.0, 4.6, 8.5):
        there, seen = pictures("vfrstill.mp4", start, fps=5), pictures(name, start, fps=5)
        assert np.abs(there - seen).mean() < (6 if name.endswith("webm") else 0.5)


def test_raw_streams_show_the_moment_asked_for():
    for name in ("raw.h264", "raw_mpeg1.mpeg"):
        whole = pictures(name, seconds=12.0)
        for start in (2.0, 3.2, 10.4):
            first = round(start * 25)
            np.testing.assert_array_equal(pictures(name, start), whole[first : first + 25])
        assert np.abs(whole[50] - whole[0]).max() > 0
        with pytest.raises(MediaError, match=r"lasts 12.00 s"):
            pictures(name, 13.0)


def test_both_of_two_joined_recordings_are_read():
    for name in ("two_in_one.ts", "discont.ts"):
        first, second = pictures(name, 1.0, fps=5), pictures(name, 4.04 + 1.0, fps=5)
        assert (np.abs(first - second).mean(axis=(1, 2, 3)) < 6).all()  # the same test picture, coded twice


def test_exif_orientation_is_applied():
    """Orientation 6: the stored picture is to be turned clockwise by a quarter."""
    upright = pictures("exif_orient6.jpg")[0, :, :, 0]
    with av.open(str(FAULTY / "exif_orient6.jpg")) as container:
        frame = next(container.decode(video=0)).reformat(32, 32, "gray").to_ndarray().astype(int)
    errors = [np.abs(np.rot90(frame, turns) - upright).mean() for turns in range(4)]
    assert int(np.argmin(errors)) == 3


def test_videos_are_cut_by_their_real_length(tmp_path):
    for name in ("no_duration.webm", "starts_at_20s.mkv", "raw_mpeg1.mpeg", "two_in_one.ts"):
        suffix = {"raw_mpeg1.mpeg": "mpg"}.get(name, name.split(".")[-1])
        (tmp_path / f"{name.split('.')[0]}.{suffix}").write_bytes((FAULTY / name).read_bytes())
    table = list_videos(tmp_path, MediaSpec(seconds=10.0))
    clips = {(clip.id, clip.start, round(clip.end, 1)) for clip in table.clips}
    assert clips == {
        ("no_duration.webm@0", 0.0, 10.0),
        ("no_duration.webm@10", 10.0, 12.0),
        ("starts_at_20s.mkv@0", 0.0, 10.0),
        ("starts_at_20s.mkv@10", 10.0, 12.1),
        ("raw_mpeg1.mpg@0", 0.0, 10.0),
        ("raw_mpeg1.mpg@10", 10.0, 12.0),
        ("two_in_one.ts", 0.0, 8.1),
    }
    assert any(note.startswith("two_in_one.ts: two recordings are joined") for note in table.notes)
