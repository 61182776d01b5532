"""A long file as windows: the same clips as read_clip, once through, whatever is wrong with the file."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.errors import ConfigError, MediaError
from counterpoint.media import windows as module
from counterpoint.media.clip import SILENT
from counterpoint.media.decode import read_clip
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec
from counterpoint.media.windows import Windows
from made_clips import damaged, pcm_file, video_file

SOUND, SIGHT = ("audio",), ("visual",)
RATE, FPS = 16000, 10
SPEC = MediaSpec(sample_rate=RATE, seconds=1.0, fps=5, size=16)


def changing(seconds: float, fps: int = FPS, size: int = 16, seed: int = 0):
    """Sound and pictures of which no two moments are alike."""
    rng = np.random.default_rng(seed)
    audio = (0.2 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)
    coarse = rng.integers(0, 255, (round(seconds * fps), 4, 4, 3)).astype(np.uint8)
    return audio, coarse.repeat(size // 4, 1).repeat(size // 4, 2)


def film(path, seconds: float, **shape):
    audio, frames = changing(seconds, **shape)
    write_clip(path, audio, frames, fps=shape.get("fps", FPS), sample_rate=RATE)
    return path


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return film(tmp_path_factory.mktemp("long") / "a.mp4", 9.3)


def assert_as_read_clip(path, windows, spec, modalities=("audio", "visual")):
    for window in windows:
        alone = read_clip(path, spec, start=window.start, modalities=modalities)
        for modality in modalities:
            ours, theirs = getattr(window.clip, modality), getattr(alone, modality)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{modality} at {window.start} s")


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        MediaSpec(sample_rate=8000, seconds=2.0, fps=25, size=12, gray=False, crop=(0.2, 0.1, 0.9, 1.0)),
        MediaSpec(sample_rate=RATE, seconds=1.5, size=16, frames=4),
        MediaSpec(sample_rate=RATE, seconds=1.0, fps=5, size=16, audio_start=0.3, audio_seconds=0.4),
    ],
)
@pytest.mark.parametrize("share", [1.0, 0.5, 0.15])
def test_each_window_is_what_read_clip_gives(long, spec, share):
    hop = share * spec.seconds
    windows = list(Windows(long, spec, hop=hop))
    assert [w.start for w in windows] == [k * hop for k in range(len(windows))]
    assert all(w.undecodable is None for w in windows[:-1])
    assert_as_read_clip(long, [w for w in windows if w.undecodable is None], spec)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(length=st.floats(0.3, 4.0), seconds=st.sampled_from([0.5, 1.0, 1.7]), parts=st.integers(1, 6), fps=st.just(10))
def test_the_windows_cover_the_file_and_no_more(tmp_path, length, seconds, parts, fps):
    frames = max(1, round(length * fps))
    write_clip(tmp_path / "a.mp4", None, changing(frames / fps)[1], fps=fps, sample_rate=RATE)
    hop = seconds / parts
    reader = Windows(tmp_path / "a.mp4", MediaSpec(seconds=seconds, fps=5, size=8), hop=hop, modalities=SIGHT)
    windows = list(reader)
    assert reader.seconds == pytest.approx(frames / fps, abs=1e-3)
    ends = [w.start + w.seconds for w in windows]
    assert ends[-1] == pytest.approx(reader.seconds, abs=0.101)
    assert all(end < reader.seconds - 0.099 for end in ends[:-1]), "a window follows one that holds the end"
    assert all(w.seconds == pytest.approx(min(seconds, reader.seconds - w.start)) for w in windows)


def test_a_file_shorter_than_a_window_is_one(tmp_path):
    path = film(tmp_path / "a.mp4", 0.6)
    (window,) = Windows(path, SPEC, hop=0.25)
    assert window.start == 0 and 0.6 <= window.seconds < 0.7
    assert_as_read_clip(path, [window], SPEC)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied(tmp_path, rotation):
    _, frames = changing(4.0, size=16)
    frames[:, :, 8:] = 0
    path = video_file(tmp_path / "a.mp4", frames, fps=FPS, rotation=rotation)
    windows = list(Windows(path, SPEC, hop=0.5, modalities=SIGHT))
    assert len(windows) == 7
    assert_as_read_clip(path, windows, SPEC, SIGHT)
    dark = windows[0].clip.visual[..., 0].mean(0)
    sides = {"top": dark[:8], "bottom": dark[8:], "left": dark[:, :8], "right": dark[:, 8:]}
    assert min(sides, key=lambda side: sides[side].mean()) == {90: "top", 180: "left", 270: "bottom"}[rotation]


def test_a_frame_that_stays_is_shown_in_every_window_that_it_lasts_through(tmp_path):
    _, frames = changing(0.5)
    path = video_file(tmp_path / "a.mkv", frames, times=[0, 0.1, 4.0, 4.1, 4.2], click=1.0)
    windows = list(Windows(path, SPEC, modalities=SIGHT))
    shown = [w.clip.visual.astype(int) for w in windows[1:4]]
    assert all(np.array_equal(picture, shown[0][0]) for clip in shown for picture in clip)


def test_a_single_frame_is_a_window(tmp_path):
    path = video_file(tmp_path / "a.webm", changing(0.1)[1], codec="libvpx")
    (window,) = Windows(path, SPEC, modalities=SIGHT)
    assert_as_read_clip(path, [window], SPEC, SIGHT)


def test_sound_alone_and_in_another_rate(tmp_path):
    samples = 0.3 * np.sin(np.arange(44100 * 5) * 0.05)[None]
    path = pcm_file(tmp_path / "a.wav", samples, rate=44100)
    windows = list(Windows(path, SPEC, hop=0.5, modalities=SOUND))
    assert [w.seconds for w in windows] == [1.0] * 9
    for window in windows:  # read_clip resamples from elsewhere, which shifts its sound by a part of a sample
        alone = read_clip(path, SPEC, start=window.start, modalities=SOUND).audio
        steepest = 0.3 * 32768 * 0.05 * 44100 / RATE
        assert np.abs(window.clip.audio.astype(int) - alone)[50:-50].max() < steepest


def with_late_sound(path, *, seconds: int, from_: int, to: int, pause: tuple[float, float] = (0.0, 0.0)):
    """Pictures throughout, sound only between two moments, but for a pause; every packet where it belongs in time."""
    audio, frames = changing(seconds)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"tune": "zerolatency"})
        video.width = video.height = 16
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for k, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            container.mux(video.encode(frame))
            if from_ <= k / FPS < to and not pause[0] <= k / FPS < pause[1]:
                step = RATE // FPS
                wave = (audio[k * step : (k + 1) * step] * 32767).clip(-32767, 32767).astype(np.int16)
                block = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
                block.sample_rate, block.pts, block.time_base = RATE, k * step, Fraction(1, RATE)
                container.mux(sound.encode(block))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


def test_windows_without_sound_are_told_and_do_not_pile_up(tmp_path, monkeypatch):
    path = with_late_sound(tmp_path / "a.mkv", seconds=24, from_=3, to=6)
    most = 0
    close = module._Pass._close

    def counting(self):
        nonlocal most
        most = max(most, len(self._open))
        return close(self)

    monkeypatch.setattr(module._Pass, "_close", counting)
    windows = list(Windows(path, SPEC))
    assert [w.start for w in windows if w.undecodable is None] == [3, 4, 5]
    assert "no sound" in windows[10].undecodable
    assert len(windows) == 24 and most <= 1 + module._PATIENCE + 2


def test_a_pause_in_the_sound_is_silence_and_noted(tmp_path):
    path = with_late_sound(tmp_path / "a.mkv", seconds=24, from_=0, to=24, pause=(4.0, 18.0))
    reader = Windows(path, SPEC)
    windows = list(reader)
    assert not any(window.undecodable for window in windows)
    assert reader.notes == ("gap in the sound from 4.00 to 18.00 s",)
    assert [window.clip.audio.any() for window in windows] == [not 4 <= k < 18 for k in range(24)]
    for start in (0.0, 3.5, 10.0):
        clip = read_clip(path, SPEC, start=start)
        gap = f"gap in the sound from {max(start, 4.0):.2f} to {start + 1:.2f} s"
        expected = {0.0: (), 3.5: (gap,), 10.0: (gap, SILENT)}[start]
        assert clip.notes == expected and clip.silent == (start == 10.0)


def test_slides_are_shown_throughout(tmp_path):
    """One picture a minute, as of slides: a decoder that holds pictures back has them all the same."""
    times = [60.0 * k for k in range(5)]
    path = video_file(tmp_path / "a.mkv", changing(0.5)[1], times=times)
    windows = list(Windows(path, MediaSpec(seconds=30.0, fps=0.1, size=16), modalities=SIGHT))
    assert not any(window.undecodable for window in windows) and len(windows) >= 8
    for window in windows:
        alone = read_clip(path, MediaSpec(seconds=30.0, fps=0.1, size=16), start=window.start, modalities=SIGHT)
        np.testing.assert_array_equal(window.clip.visual, alone.visual)
    assert len({int(window.clip.visual.sum()) for window in windows}) >= 4


def test_the_file_is_free_when_the_reader_stops_early(long, monkeypatch):
    closed = []
    opened = module.opened

    def watching(path):
        context = opened(path)
        leave = type(context).__exit__

        class Watch:
            __enter__ = context.__enter__

            def __exit__(self, *error):
                closed.append(path)
                return leave(context, *error)

        return Watch()

    monkeypatch.setattr(module, "opened", watching)
    reader = iter(Windows(long, SPEC))
    next(reader)
    reader.close()
    assert closed == [long]


# ---- damage


def test_a_hole_in_the_middle_is_told_and_what_follows_is_read(long, tmp_path):
    data = bytearray(long.read_bytes())
    start, stop = len(data) * 4 // 10, len(data) * 6 // 10
    data[start:stop] = bytes(stop - start)
    path = tmp_path / "hole.mp4"
    path.write_bytes(data)
    reader = Windows(path, SPEC, hop=0.5)
    windows = list(reader)
    lost = [w.start for w in windows if w.undecodable]
    assert lost and min(lost) > 1.5 and max(lost) < 8
    assert [w.start for w in windows] == [0.5 * k for k in range(len(windows))]
    assert reader.seconds == pytest.approx(9.3, abs=0.2)
    assert any("damaged" in note for note in reader.notes)
    whole = {w.start: w for w in Windows(long, SPEC, hop=0.5)}
    first = windows[0].clip
    np.testing.assert_array_equal(first.visual, whole[0.0].clip.visual)
    np.testing.assert_array_equal(windows[-1].clip.audio, whole[windows[-1].start].clip.audio)


def test_a_file_that_breaks_off_says_how_much_is_missing(tmp_path):
    path = tmp_path / "a.mkv"
    with_late_sound(path, seconds=9, from_=0, to=9)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    reader = Windows(path, SPEC)
    windows = list(reader)
    assert 3 < reader.seconds < 6 and len(windows) in (4, 5, 6)
    assert any("should last 9.0 s" in note for note in reader.notes)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_damage_is_bridged_or_refused_in_words(long, tmp_path, seed):
    path = tmp_path / "damaged.mp4"
    path.write_bytes(damaged(long.read_bytes(), seed))
    try:
        windows = list(Windows(path, SPEC))
    except MediaError as error:
        assert str(path) in str(error)
    else:
        assert windows and all(w.clip.audio.shape == (RATE,) for w in windows)
        assert all(w.clip.visual.shape == (5, 16, 16, 1) for w in windows)


@pytest.mark.parametrize("hop", [0, -1.0, 1.5, float("nan"), float("inf")])
def test_a_hop_that_makes_no_sense_is_refused(long, hop):
    with pytest.raises(ConfigError, match="hop"):
        Windows(long, SPEC, hop=hop)


def test_what_is_missing_is_told(tmp_path):
    video = video_file(tmp_path / "a.mp4", changing(1.0)[1], fps=FPS)
    with pytest.raises(MediaError, match="no sound"):
        list(Windows(video, SPEC))
    with pytest.raises(MediaError, match="the file is missing"):
        list(Windows(tmp_path / "b.mp4", SPEC))
    (tmp_path / "c.mp4").write_text("no film")
    with pytest.raises(MediaError, match="cannot read"):
        list(Windows(tmp_path / "c.mp4", SPEC))
