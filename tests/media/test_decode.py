"""Clips made on the spot, read back: times, sizes, colours, rotation, streams, and what is refused."""

import math
import pickle
import time
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.errors import ConfigError, MediaError
from counterpoint.media import decode, source
from counterpoint.media import segment as stretch
from counterpoint.media import video as sight
from counterpoint.media.decode import probe, read_clip
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec
from made_clips import SAMPLE_RATE, damaged, flash_and_click, pcm_file, video_file

SOUND, SIGHT = ("audio",), ("visual",)
in_one_folder = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def white_from(visual: np.ndarray) -> int:
    return int(np.argmax(visual.mean(axis=(1, 2, 3)) > 128))


def numbered_frames(count: int, size: int = 32) -> np.ndarray:
    """Frame k has gray level 4k + 8."""
    return (
        np.repeat(np.arange(count, dtype=np.uint8)[:, None, None, None] * 4 + 8, size, 1).repeat(size, 2).repeat(3, 3)
    )


def numbers(visual: np.ndarray) -> list[int]:
    return [round((level - 8) / 4) for level in visual.mean(axis=(1, 2, 3))]


@in_one_folder
@given(
    frame=st.integers(5, 40),
    fps=st.sampled_from([10.0, 24.0, 25.0, 29.97]),
    read_fps=st.sampled_from([5.0, 25.0, 30.0]),
    rate=st.sampled_from([8000, 16000, 44100]),
    read_rate=st.sampled_from([16000, 22050]),
    start=st.floats(0, 0.4),
)
def test_flash_and_click_stay_together(tmp_path, frame, fps, read_fps, rate, read_rate, start):
    at = frame / fps
    clip = flash_and_click(tmp_path / "a.mp4", at=at, seconds=at + 1, fps=fps, sample_rate=rate)
    spec = MediaSpec(sample_rate=read_rate, seconds=at + 0.5, fps=read_fps, size=16)
    start = min(start, at)
    read = read_clip(clip, spec, start=start)
    assert read.audio.shape == (spec.num_samples,) and read.audio.dtype == np.int16
    assert read.visual.shape == (spec.num_frames, 16, 16, 1) and read.visual.dtype == np.uint8
    heard = np.abs(read.audio.astype(int)).argmax() / read_rate + start
    assert heard == pytest.approx(at, abs=0.002)
    # the first time of the grid at which the white frame was on
    due = [k for k in range(spec.num_frames) if start + k / read_fps >= at - 0.0025]
    if due:
        assert white_from(read.visual) in (due[0], due[0] + 1)
        assert start + white_from(read.visual) / read_fps >= at - 0.0025


def test_short_file_is_filled_with_zeros_and_its_last_frame(tmp_path):
    frames = numbered_frames(10)
    audio = np.full(6400, 0.5, np.float32)
    write_clip(tmp_path / "a.mp4", audio, frames, fps=25, sample_rate=16000)
    read = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=1.0, size=32))
    assert np.abs(read.audio[8000:]).max() == 0 and read.audio[1000:6000].mean() > 14000
    assert numbers(read.visual) == [*range(10), *[9] * 15]


def test_long_file_is_cut(tmp_path):
    write_clip(tmp_path / "a.mp4", None, numbered_frames(50), fps=25, sample_rate=16000)
    read = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=0.4, size=32), modalities=SIGHT)
    assert numbers(read.visual) == list(range(10))
    assert read.audio is None


def test_stretch_ends_where_it_is_told(tmp_path):
    write_clip(tmp_path / "a.mp4", np.full(32000, 0.5, np.float32), numbered_frames(50), fps=25, sample_rate=16000)
    read = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=1.0, size=32), start=0.4, end=0.8)
    assert numbers(read.visual) == [*range(10, 20), *[19] * 15]
    assert np.abs(read.audio[6400:]).max() == 0 and read.audio[:6400].min() > 10000


@pytest.mark.parametrize(("read_fps", "expected"), [(12.5, range(0, 20, 2)), (50.0, [k // 2 for k in range(40)])])
def test_frame_rate_is_changed_by_time_stamps(tmp_path, read_fps, expected):
    write_clip(tmp_path / "a.mp4", None, numbered_frames(25), fps=25, sample_rate=16000)
    read = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=0.8, fps=read_fps, size=32), modalities=SIGHT)
    assert numbers(read.visual) == list(expected)


def test_variable_frame_rate(tmp_path):
    video_file(tmp_path / "a.mkv", numbered_frames(4), times=[0.0, 0.1, 0.5, 0.6])
    read = read_clip(tmp_path / "a.mkv", MediaSpec(seconds=0.8, fps=10, size=32), modalities=SIGHT)
    assert numbers(read.visual) == [0, 1, 1, 1, 1, 2, 3, 3]


def test_streams_that_begin_apart_stay_aligned(tmp_path):
    times = [0.5 + k / 25 for k in range(25)]
    video_file(tmp_path / "a.mkv", numbered_frames(25), times=times, click=0.9)
    read = read_clip(tmp_path / "a.mkv", MediaSpec(seconds=1.4, size=32))
    assert np.abs(read.audio.astype(int)).argmax() == round(0.9 * SAMPLE_RATE)
    assert numbers(read.visual)[:15] == [0] * 14 + [1]  # the first frame stands in for the time before it
    assert numbers(read.visual)[round(0.9 * 25)] == 9


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "avi"])
def test_late_stretch_equals_that_of_the_whole(tmp_path, suffix):
    """Seeking lands on the same frames and samples as reading from the beginning."""
    rng = np.random.default_rng(0)
    path = tmp_path / f"a.{suffix}"
    frames = numbered_frames(60).repeat(5, 0)  # 12 s, a new level every 0.2 s
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"g": "25", "crf": "1"})
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        wave = rng.integers(-9000, 9000, 12 * 16000).astype(np.int16)
        for second in range(12):
            block = av.AudioFrame.from_ndarray(wave[None, second * 16000 : (second + 1) * 16000], "s16", "mono")
            block.sample_rate, block.pts = 16000, second * 16000
            container.mux(sound.encode(block))
            for k in range(25):
                container.mux(video.encode(av.VideoFrame.from_ndarray(frames[second * 25 + k], format="rgb24")))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    whole = read_clip(path, MediaSpec(seconds=12.0, size=32))
    for start in (3.2, 7.52, 10.0):
        part = read_clip(path, MediaSpec(seconds=1.6, size=32), start=start)
        first = round(start * 25)
        assert np.array_equal(part.visual, whole.visual[first : first + 40])
        offset = round(start * 16000)
        lag = 0 if suffix != "mkv" else 8  # its time stamps count whole milliseconds
        x, y = part.audio[100:-100].astype(float), whole.audio.astype(float)
        best = min(np.abs(x - y[offset + 100 + d : offset + 100 + d + len(x)]).max() for d in range(-lag, lag + 1))
        assert best <= 1


def test_only_frames_that_are_needed_are_converted(tmp_path, monkeypatch):
    write_clip(tmp_path / "a.mp4", None, numbered_frames(50), fps=25, sample_rate=16000)
    calls = []
    convert = sight._Converter.__call__
    monkeypatch.setattr(sight._Converter, "__call__", lambda *args: (calls.append(1), convert(*args)))
    read_clip(tmp_path / "a.mp4", MediaSpec(seconds=2.0, fps=2, size=16), modalities=SIGHT)
    assert len(calls) == 4


# ---- sound


@pytest.mark.parametrize(
    ("rate", "layout", "codec"),
    [
        (16000, "mono", "pcm_s16le"),
        (8000, "mono", "pcm_u8"),
        (44100, "stereo", "pcm_s32le"),
        (48000, "5.1", "pcm_f32le"),
        (96000, "stereo", "pcm_f64le"),
        (11025, "mono", "pcm_s16le"),
    ],
)
def test_any_sound_becomes_mono_int16_at_the_rate_asked_for(tmp_path, rate, layout, codec):
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    pcm_file(tmp_path / "a.wav", np.tile(tone, (channels, 1)), rate=rate, layout=layout, codec=codec)
    read = read_clip(tmp_path / "a.wav", MediaSpec(seconds=1.0), modalities=SOUND)
    assert read.visual is None
    x = read.audio[800:-800] / 32768
    t = np.arange(16000)[800:-800] / 16000
    basis = np.stack([np.sin(2 * np.pi * 440 * t), np.cos(2 * np.pi * 440 * t)], 1)
    weights, *_ = np.linalg.lstsq(basis, x, rcond=None)
    if channels < 6:  # of a surround mix only the pitch is fixed
        assert np.hypot(*weights) == pytest.approx(0.4, rel=0.02)
    assert abs(np.arctan2(weights[1], weights[0])) < 2 * np.pi * 440 * 0.0001  # in phase within 0.1 ms
    assert np.abs(x - basis @ weights).max() < 0.01


def test_one_channel_counts_half(tmp_path):
    samples = np.zeros((2, 16000))
    samples[0] = 0.5
    pcm_file(tmp_path / "a.wav", samples, rate=16000, layout="stereo")
    read = read_clip(tmp_path / "a.wav", MediaSpec(seconds=1.0), modalities=SOUND)
    assert read.audio[8000] == pytest.approx(0.25 * 32767, abs=2)


# ---- sight


def four_quarters(height: int, width: int) -> np.ndarray:
    """Gray levels 40, 90 over 150, 220."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = 40, 90
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = 150, 220
    return picture


def quarters(picture: np.ndarray) -> list[int]:
    n = len(picture)
    near, far = slice(n // 8, 3 * n // 8), slice(5 * n // 8, 7 * n // 8)
    levels = (picture[near, near], picture[near, far], picture[far, near], picture[far, far])
    return [round(float(level.mean())) for level in levels]


@pytest.mark.parametrize(
    ("rotation", "hflip", "expected"),
    [
        (0, False, [40, 90, 150, 220]),
        (90, False, [90, 220, 40, 150]),  # anticlockwise
        (180, False, [220, 150, 90, 40]),
        (-90, False, [150, 40, 220, 90]),
        (0, True, [90, 40, 220, 150]),
    ],
)
@pytest.mark.parametrize("gray", [True, False])
def test_rotation_metadata_turns_the_picture_upright(tmp_path, rotation, hflip, expected, gray):
    frames = four_quarters(48, 96)[None].repeat(5, 0)
    video_file(tmp_path / "a.mp4", frames, rotation=rotation, hflip=hflip)
    read = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=0.2, size=32, gray=gray), modalities=SIGHT)
    assert quarters(read.visual[0]) == pytest.approx(expected, abs=4)


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_crop_counts_in_the_upright_picture(tmp_path, rotation):
    frames = four_quarters(48, 96)[None].repeat(5, 0)
    video_file(tmp_path / "a.mp4", frames, rotation=rotation)
    whole = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=0.2, size=32), modalities=SIGHT).visual[0]
    spec = MediaSpec(seconds=0.2, size=16, crop=(0.5, 0.0, 1.0, 0.5))
    corner = read_clip(tmp_path / "a.mp4", spec, modalities=SIGHT).visual[0]
    assert corner.std() < 4
    assert corner.mean() == pytest.approx(quarters(whole)[1], abs=4)


def test_crop_is_exact_to_a_pixel(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8)
    frames = frames.repeat(2, 1).repeat(2, 2)  # pixels in twos keep their colour in halved planes
    video_file(tmp_path / "a.mp4", frames)
    whole = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=0.1, size=128), modalities=SIGHT).visual
    spec = MediaSpec(seconds=0.1, size=64, crop=(0.25, 0.125, 0.75, 0.625))
    part = read_clip(tmp_path / "a.mp4", spec, modalities=SIGHT).visual
    assert np.abs(part.astype(int) - whole[:, 16:80, 32:96].astype(int)).max() <= 1


@pytest.mark.parametrize("colours", [(1, 1), (1, 2), (5, 1), (5, 2)], ids=["709", "709-full", "601", "601-full"])
def test_colours_of_either_matrix_and_range(tmp_path, colours):
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [250, 250, 250], [10, 10, 10], [120, 60, 200]], np.uint8)
    frames = rgb[:, None, None].repeat(32, 1).repeat(32, 2)
    video_file(tmp_path / "a.mp4", frames, colours=colours)
    read = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=6 / 25, size=32, gray=False), modalities=SIGHT).visual
    assert np.abs(read.mean(axis=(1, 2)) - rgb).max() <= 4
    gray = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=6 / 25, size=32), modalities=SIGHT).visual
    resized = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=6 / 25, size=16), modalities=SIGHT).visual
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114)}[colours[0]]
    luma = rgb @ np.array([red, 1 - red - blue, blue])
    assert np.abs(gray.mean(axis=(1, 2, 3)) - luma).max() <= 3
    assert np.abs(resized.mean(axis=(1, 2, 3)) - luma).max() <= 3


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("ffv1", "gray", "mkv"),
        ("ffv1", "yuv444p", "mkv"),
        ("ffv1", "yuv420p10le", "mkv"),
        ("ffv1", "bgr0", "mkv"),
        ("png", "rgb24", "mov"),
    ],
)
@pytest.mark.parametrize("gray", [True, False])
@pytest.mark.parametrize("size", [32, 48])
def test_pixel_formats_give_the_same_levels(tmp_path, codec, pix_fmt, suffix, gray, size):
    video_file(tmp_path / f"a.{suffix}", numbered_frames(10), codec=codec, pix_fmt=pix_fmt)
    read = read_clip(tmp_path / f"a.{suffix}", MediaSpec(seconds=0.4, size=size, gray=gray), modalities=SIGHT).visual
    assert np.abs(read.mean(axis=(1, 2, 3)) - (np.arange(10) * 4 + 8)).max() <= 1.5


# ---- streams


def test_cover_art_is_no_moving_picture(tmp_path):
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp3", rate=16000, layout="mono")
        art = container.add_stream("png", rate=1)
        art.width = art.height = 32
        art.pix_fmt = "rgb24"
        art.disposition = av.stream.Disposition.attached_pic
        container.mux(art.encode(av.VideoFrame.from_ndarray(numbered_frames(1)[0], format="rgb24")))
        block = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        block.sample_rate, block.pts = 16000, 0
        container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert probe(path).video_codec is None
    with pytest.raises(MediaError, match="no moving picture"):
        read_clip(path, MediaSpec())


def test_probe_tells_without_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(decode._Reading, "run", None)
    info = probe(flash_and_click(tmp_path / "a.mp4"))
    assert (info.width, info.height, info.fps, info.sample_rate, info.channels) == (32, 32, 25.0, 16000, 1)
    assert info.seconds == pytest.approx(2.0, abs=0.1)
    assert (info.audio_codec, info.video_codec) == ("aac", "h264")


# ---- refusals


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_missing_stream(tmp_path, modality):
    if modality == "audio":
        write_clip(tmp_path / "a.mp4", None, numbered_frames(5), fps=25, sample_rate=16000)
    else:
        write_clip(tmp_path / "a.mp4", np.zeros(8000, np.float32), None, fps=25, sample_rate=16000)
    with pytest.raises(MediaError, match="no sound" if modality == "audio" else "no moving picture") as caught:
        read_clip(tmp_path / "a.mp4", MediaSpec())
    assert caught.value.path == tmp_path / "a.mp4"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n", "Git LFS pointer"),
        (b"<html><body>404</body></html>", "cannot"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n", "cannot"),
        (b"ffconcat version 1.0\nfile http://127.0.0.1:9/a.mp4\n", "cannot"),
        (bytes(5000), "cannot"),
    ],
    ids=["empty", "lfs", "html", "playlist", "concat", "zeros"],
)
def test_what_is_no_media(tmp_path, content, reason):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    for read in (probe, lambda p: read_clip(p, MediaSpec())):
        with pytest.raises(MediaError, match=reason):
            read(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(MediaError, match="the file is missing"):
        read_clip(tmp_path / "absent.mp4", MediaSpec())
    with pytest.raises(MediaError, match="it is a folder"):
        read_clip(tmp_path, MediaSpec())


def test_odd_file_names(tmp_path):
    for name in ("a:b.mp4", "http:x.mp4", "100 %d.mp4", "späße ☂.mp4", "-i.mp4"):
        flash_and_click(tmp_path / name, seconds=0.4, at=0.2)
        assert read_clip(tmp_path / name, MediaSpec(seconds=0.4)).audio is not None


@pytest.mark.parametrize(
    ("start", "end"), [(math.nan, None), (-1.0, None), (0.5, 0.5), (1.0, 0.5), (0.0, math.nan), (math.inf, None)]
)
def test_impossible_stretch(tmp_path, start, end):
    clip = flash_and_click(tmp_path / "a.mp4", seconds=1.0, at=0.5)
    with pytest.raises(MediaError, match="is no segment"):
        read_clip(clip, MediaSpec(), start=start, end=end)


def test_stretch_beyond_the_end(tmp_path):
    clip = flash_and_click(tmp_path / "a.mp4", seconds=1.0, at=0.5)
    with pytest.raises(MediaError, match="would begin at 5.00 s"):
        read_clip(clip, MediaSpec(), start=5.0)
    read = read_clip(clip, MediaSpec(seconds=3.0), start=0.2, end=100.0)
    assert read.audio.shape == (48000,)


def test_unknown_modality(tmp_path):
    with pytest.raises(ConfigError, match="visual"):
        read_clip(tmp_path / "a.mp4", MediaSpec(), modalities=("visul",))


def test_pictures_too_large_are_refused(tmp_path, monkeypatch):
    clip = flash_and_click(tmp_path / "a.mp4")
    monkeypatch.setattr(stretch, "MAX_PIXELS", 1000)
    with pytest.raises(MediaError, match="32 x 32 pixels are too large"):
        read_clip(clip, MediaSpec())
    monkeypatch.setattr(source, "MAX_PIXELS", 1000)  # FFmpeg refuses by itself
    with pytest.raises(MediaError):
        read_clip(clip, MediaSpec())


def test_a_file_that_never_ends_is_given_up(tmp_path, monkeypatch):
    clip = flash_and_click(tmp_path / "a.mp4")
    monkeypatch.setattr(decode, "_MAX_SECONDS", 0.0)
    with pytest.raises(MediaError, match="given up"):
        read_clip(clip, MediaSpec())


def test_most_of_the_clip_lost_is_refused(tmp_path):
    """A file cut in its first third is refused; one cut in its last third is read, and the rest filled up."""
    frames = np.random.default_rng(0).integers(0, 255, (75, 64, 64, 3), np.uint8)
    video_file(tmp_path / "a.mkv", frames)
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "short.mkv").write_bytes(data[: len(data) * 3 // 10])
    with pytest.raises(MediaError, match="frames could be decoded"):
        read_clip(tmp_path / "short.mkv", MediaSpec(), modalities=SIGHT)
    (tmp_path / "long.mkv").write_bytes(data[: len(data) * 8 // 10])
    assert read_clip(tmp_path / "long.mkv", MediaSpec(), modalities=SIGHT).visual.shape == (75, 64, 64, 1)


def test_any_other_exception_becomes_a_media_error(tmp_path, monkeypatch):
    clip = flash_and_click(tmp_path / "a.mp4")
    for error in (MemoryError(), RuntimeError("odd"), KeyError("x"), UnicodeDecodeError("utf-8", b"", 0, 1, "bad")):
        monkeypatch.setattr(decode._Reading, "_decode", lambda self, error=error: (_ for _ in ()).throw(error))
        with pytest.raises(MediaError):
            read_clip(clip, MediaSpec())


def test_damaged_copies_are_read_or_refused_in_time(tmp_path):
    whole = [
        flash_and_click(tmp_path / "a.mp4", size=64).read_bytes(),
        video_file(tmp_path / "b.mkv", numbered_frames(40), click=1.0).read_bytes(),
    ]
    spec = MediaSpec(seconds=2.0, size=32)
    outcomes = {"read": 0, "refused": 0}
    for seed in range(150):
        path: Path = tmp_path / f"d{seed}.mp4"
        path.write_bytes(damaged(whole[seed // 6 % 2], seed))
        began = time.monotonic()
        try:
            read = read_clip(path, spec)
            assert read.audio.shape == (32000,) and read.visual.shape == (50, 32, 32, 1)
            outcomes["read"] += 1
        except MediaError as error:
            assert error.reason
            outcomes["refused"] += 1
        assert time.monotonic() - began < 20
    assert outcomes["read"] > 10 and outcomes["refused"] > 10


@pytest.mark.parametrize("level", [16, 60, 128, 208, 235])
@pytest.mark.parametrize("size", [48, 64])
def test_gray_has_the_levels_that_were_written_scaled_or_not(tmp_path, level, size):
    frames = np.full((5, 64, 64, 3), level, np.uint8)
    write_clip(tmp_path / "a.mp4", np.zeros(3200, np.float32), frames, fps=25, sample_rate=16000)
    read = read_clip(tmp_path / "a.mp4", MediaSpec(seconds=0.2, size=size), modalities=SIGHT).visual
    assert abs(read.mean() - level) <= 2
