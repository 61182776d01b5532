"""Frames spread over a clip, a window of its sound, and sound from another file."""

from fractions import Fraction

import av
import librosa
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.errors import MediaError
from counterpoint.media.decode import read_clip
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import create_transform
from made_clips import flash_and_click, pcm_file, video_file

SOUND, SIGHT = ("audio",), ("visual",)
in_one_folder = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def numbered(count: int, size: int = 16) -> np.ndarray:
    """Frame k has gray level 4k + 8."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None] * 4 + 8, (count, size, size, 3))


def numbers(visual: np.ndarray) -> list[int]:
    return [round((level - 8) / 4) for level in visual.mean(axis=(1, 2, 3))]


def mp4_file(path, count: int, fps: int = 25):
    write_clip(path, None, numbered(count), fps=fps, sample_rate=16000, crf=1)
    return path


def flv_file(path, *, frames: int, fps: int, audio_seconds: float):
    """As CREMA-D's: Sorenson video and MP3, whose streams do not say how long they last."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("flv", rate=fps, options={"qscale": "1"})
        video.width = video.height = 16
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("mp3", rate=44100, layout="mono")
        for k, picture in enumerate(numbered(frames)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = (9000 * np.sin(np.arange(round(audio_seconds * 44100)) * 0.05)).astype(np.int16)
        for at in range(0, len(wave), 1152):
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None, at : at + 1152]), "s16p", "mono")
            block.sample_rate, block.pts, block.time_base = 44100, at, Fraction(1, 44100)
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return path


# ---- frames


@in_one_folder
@given(
    count=st.integers(2, 60),
    taken=st.integers(1, 40),
    fps=st.sampled_from([10, 25, 30]),
    start=st.floats(0, 1),
    length=st.floats(0.1, 3) | st.none(),
)
def test_spread_frames_are_those_shown_in_the_middle_of_equal_parts(tmp_path, count, taken, fps, start, length):
    clip = mp4_file(tmp_path / "a.mp4", count, fps)
    start = round(start * count / fps / 2, 3)
    end = None if length is None else start + length
    spec = MediaSpec(seconds=1.5, fps=7, size=16, frames=taken)
    stop = min(count / fps, start + 1.5, end or 9)
    middles = start + (np.arange(taken) + 0.5) * (stop - start) / taken
    low = np.floor((middles - 0.003) * fps).clip(0)  # time stamps in the file count milliseconds
    high = np.floor((middles + 0.003) * fps).clip(max=count - 1)
    read = np.array(numbers(read_clip(clip, spec, start=start, end=end, modalities=SIGHT).visual))
    assert len(read) == taken and (low <= read).all() and (read <= high).all()


def test_a_clip_of_any_length_is_seen_whole(tmp_path):
    spec = MediaSpec(seconds=6.0, size=16, frames=5)
    for count in (10, 30, 60):
        clip = mp4_file(tmp_path / "a.mp4", count)
        assert numbers(read_clip(clip, spec, modalities=SIGHT).visual) == [count * k // 10 for k in (1, 3, 5, 7, 9)]


def test_spread_over_a_stretch_far_into_the_file(tmp_path):
    """Reached by seeking."""
    clip = mp4_file(tmp_path / "a.mp4", 55, 10)
    spec = MediaSpec(seconds=2.0, size=16, frames=4)
    assert numbers(read_clip(clip, spec, start=3.5, modalities=SIGHT).visual) == [37, 42, 47, 52]
    assert numbers(read_clip(clip, spec, start=4.5, modalities=SIGHT).visual) == [46, 48, 51, 53]


def test_where_the_picture_begins_late_frames_are_spread_over_it(tmp_path):
    times = [1.0 + k / 25 for k in range(25)]
    clip = video_file(tmp_path / "a.mkv", numbered(25), times=times, click=0.1)
    assert numbers(read_clip(clip, MediaSpec(seconds=3.0, size=16, frames=5)).visual) == [2, 7, 12, 17, 22]


def test_flash_video_is_spread_over_its_picture_not_its_sound(tmp_path):
    clip = flv_file(tmp_path / "a.flv", frames=60, fps=30, audio_seconds=3.0)
    read = read_clip(clip, MediaSpec(sample_rate=22050, seconds=5.0, size=16, frames=6))
    assert numbers(read.visual) == pytest.approx([5, 15, 25, 35, 45, 55], abs=1)
    assert np.abs(read.audio[2000:60000]).max() > 8000 and np.abs(read.audio[70000:]).max() == 0
    grid = read_clip(clip, MediaSpec(sample_rate=22050, seconds=2.0, fps=1, size=16))
    assert numbers(grid.visual) == pytest.approx([0, 30], abs=1)


def test_a_file_that_is_over_before_the_stretch_is_refused(tmp_path):
    clip = mp4_file(tmp_path / "a.mp4", 20)
    with pytest.raises(MediaError, match="lasts 0.80 s, the clip would begin at 2.00 s"):
        read_clip(clip, MediaSpec(seconds=1.0, size=16, frames=4), start=2.0, modalities=SIGHT)


# ---- sound


@in_one_folder
@given(at=st.floats(0.75, 1.2), audio_start=st.floats(0, 0.7), rate=st.sampled_from([16000, 44100]))
def test_a_window_of_sound_is_cut_out_exactly(tmp_path, at, audio_start, rate):
    clip = flash_and_click(tmp_path / "a.mp4", at=at, seconds=2.0)
    spec = MediaSpec(sample_rate=rate, seconds=2.0, size=16, audio_start=audio_start, audio_seconds=1.1)
    read = read_clip(clip, spec)
    assert read.audio.shape == (round(1.1 * rate),)
    if at < audio_start + 1.05:
        assert np.abs(read.audio.astype(int)).argmax() / rate + audio_start == pytest.approx(at, abs=0.002)
    plain = MediaSpec(seconds=2.0, size=16)
    assert np.array_equal(read.visual, read_clip(clip, plain, modalities=SIGHT).visual)  # the picture's is untouched


def test_the_window_moves_with_the_stretch_and_ends_with_it(tmp_path):
    wave = np.linspace(0, 0.9, 16000 * 5)[None]
    clip = pcm_file(tmp_path / "a.wav", wave, rate=16000)
    spec = MediaSpec(seconds=2.0, audio_start=0.5, audio_seconds=1.0)
    read = read_clip(clip, spec, start=1.0, modalities=SOUND).audio / 32767
    assert np.allclose(read, wave[0, 24000:40000], atol=1e-3)
    read = read_clip(clip, spec, start=1.0, end=2.2, modalities=SOUND).audio / 32767
    assert np.allclose(read[:11000], wave[0, 24000:35000], atol=1e-3) and np.abs(read[11300:]).max() == 0
    late = read_clip(clip, spec, start=3.2, modalities=SOUND).audio / 32767
    assert np.allclose(late, wave[0, 59200:75200], atol=1e-3)
    with pytest.raises(MediaError, match=r"ends at 1\.40 s, before its sound begins at 1\.50 s"):
        read_clip(clip, spec, start=1.0, end=1.4, modalities=SOUND)


def test_sound_from_another_file(tmp_path):
    clip = flash_and_click(tmp_path / "a.mp4", at=0.5, seconds=2.0)
    wave = np.zeros((1, 32000))
    wave[0, 20000] = 0.9
    sound = pcm_file(tmp_path / "a.wav", wave, rate=16000)
    spec = MediaSpec(seconds=2.0, size=16)
    read = read_clip(clip, spec, audio=sound)
    assert np.abs(read.audio.astype(int)).argmax() == pytest.approx(20000, abs=2)
    assert np.array_equal(read.visual, read_clip(clip, spec, modalities=SIGHT).visual)
    cut = read_clip(clip, spec, audio=sound, start=0.25, end=1.5)
    assert np.abs(cut.audio.astype(int)).argmax() == pytest.approx(16000, abs=2)
    # what is not asked for need not be there
    alone = read_clip(tmp_path / "none.mp4", spec, audio=sound, modalities=SOUND)
    assert alone.visual is None and np.array_equal(alone.audio, read.audio)
    assert read_clip(clip, spec, audio=tmp_path / "none.wav", modalities=SIGHT).audio is None
    with pytest.raises(MediaError, match=r"none\.wav: the file is missing"):
        read_clip(clip, spec, audio=tmp_path / "none.wav")
    write_clip(tmp_path / "mute.mp4", None, numbered(5).copy(), fps=25, sample_rate=16000)
    with pytest.raises(MediaError, match=r"mute\.mp4: has no sound"):
        read_clip(clip, spec, audio=tmp_path / "mute.mp4")


def test_the_sound_of_cfn_sr_is_librosas(tmp_path):
    """13 coefficients in 212 frames of the 2.45 s from 0.5 s on, at 44.1 kHz, as soundfile and librosa give them."""
    rng = np.random.default_rng(0)
    t = np.arange(round(3.6 * 44100)) / 44100
    wave = 0.3 * np.sin(2 * np.pi * 180 * t) * np.sin(2 * np.pi * 1.5 * t) ** 2 + 0.01 * rng.standard_normal(len(t))
    path = pcm_file(tmp_path / "a.wav", wave[None], rate=44100)
    spec = MediaSpec(sample_rate=44100, seconds=6.0, frames=30, audio_start=0.5, audio_seconds=2.45)
    audio = read_clip(path, spec, modalities=SOUND).audio
    out = create_transform("mfcc", spec=spec, n_mfcc=13)(torch.from_numpy(audio)[None])
    y, rate = soundfile.read(path, start=22050, frames=round(2.45 * 44100), dtype="float32")
    expected = librosa.feature.mfcc(y=y, sr=rate, n_mfcc=13)
    assert out.shape == (1, 1, 13, 212) and expected.shape == (13, 212)
    assert np.abs(out[0, 0].numpy() - expected).max() < 1e-3
