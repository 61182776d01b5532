"""Subtitles as FFmpeg reads them, JSON, and the picture's pixels."""

import html
import json
import re
from pathlib import Path

import av
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import counterpoint.predict
from counterpoint.data.events import Event
from counterpoint.errors import ConfigError, MediaError
from counterpoint.predict import Found, Timeline, Undecodable, predict, srt, webvtt, write
from counterpoint.predict.overview import aspect, frames_at, spectrogram
from made_clips import pcm_file, video_file

NASTY = ("dog --> cat", "<b>bold & {\\an8}", "two\n\nlines", "ordinary")


def timeline(labels, *, segment=0.5, classes=NASTY, seconds=None, path="a.mp4", sure=0.875, undecodable=()):
    probabilities = np.full((len(labels), len(classes) + 1), (1 - sure) / len(classes), np.float32)
    probabilities[np.arange(len(labels)), labels] = sure
    return Timeline(
        path=Path(path),
        seconds=len(labels) * segment if seconds is None else seconds,
        run=Path("runs/one"),
        model="bmfn",
        task="localise",
        classes=tuple(classes),
        segment=segment,
        window=5 * segment,
        hop=2 * segment,
        probabilities=probabilities,
        labels=np.array(labels),
        undecodable=undecodable,
    )


B = len(NASTY)  # background
SOME = [B, 0, 0, 1, B, 2, 3, 3, 3, 0]


def test_events_are_runs_of_one_class():
    found = timeline(SOME, seconds=4.9).events
    assert found == (
        Found(0, 0.5, 1.5, 0.875),
        Found(1, 1.5, 2.0, 0.875),
        Found(2, 2.5, 3.0, 0.875),
        Found(3, 3.0, 4.5, 0.875),
        Found(0, 4.5, 4.9, 0.875),
    )
    assert timeline([B, 3], seconds=1.2).events[0].end == 1.2  # the rest is too short for a segment
    assert timeline([B, B]).events == ()


def test_confidence_is_the_mean_over_the_segments():
    one = timeline([0, 0, 0, B])
    one.probabilities[:3, 0] = 0.5, 0.75, 0.25
    assert one.events[0].confidence == 0.5


# ---------------------------------------------------------------------- subtitles


def test_srt_by_hand():
    assert srt(timeline([B, 3, 3, 3, B, 0, 1, B])) == (
        "1\n00:00:00,500 --> 00:00:02,000\nordinary (88%)\n\n"
        "2\n00:00:02,500 --> 00:00:03,000\ndog --› cat (88%)\n\n"
        "3\n00:00:03,000 --> 00:00:03,500\n‹b›bold & (\\an8) (88%)\n"
    )


def test_webvtt_by_hand():
    assert webvtt(timeline([2, 0, B, 1], segment=2000.25)) == (
        "WEBVTT\n\n00:00:00.000 --> 00:33:20.250\ntwo lines (88%)\n\n"
        "00:33:20.250 --> 01:06:40.500\ndog --&gt; cat (88%)\n\n"
        "01:40:00.750 --> 02:13:21.000\n&lt;b&gt;bold &amp; {\\an8} (88%)\n"
    )


def test_nothing_found_is_no_cue():
    assert srt(timeline([B, B])) == "" and webvtt(timeline([B, B])) == "WEBVTT\n"


def as_ffmpeg_reads(path):
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        return [
            (float(packet.pts * stream.time_base), float(packet.duration * stream.time_base), bytes(packet).decode())
            for packet in container.demux(stream)
            if packet.size
        ]


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_ffmpeg_reads_what_was_found(tmp_path, name):
    made = timeline(SOME, segment=0.48)
    (path,) = write(made, tmp_path / "film", [name])
    cues = as_ffmpeg_reads(path)
    assert len(cues) == len(made.events)
    for (start, length, text), event in zip(cues, made.events, strict=True):
        assert start == pytest.approx(event.start, abs=6e-4)
        assert start + length == pytest.approx(event.end, abs=2e-3)
        assert "\n" not in text.strip() and text.strip().endswith("(88%)")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    segment=st.floats(0.002, 400),
    names=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), min_size=3, max_size=3),
    tail=st.floats(-0.5, 0.5),
)
def test_cues_follow_one_another_whatever_classes_are_called(labels, segment, names, tail):
    made = timeline(labels, segment=segment, classes=names, seconds=(len(labels) + tail) * segment)
    for text, mark, header in ((srt(made), ",", ""), (webvtt(made), "\\.", "WEBVTT\n")):
        assert text.startswith(header)
        after, cues = 0, [cue.strip("\n") for cue in text.removeprefix(header).split("\n\n") if cue.strip()]
        assert len(cues) in (len(made.events), len(made.events) - 1)  # the last may be shorter than a millisecond
        for cue in cues if made.events else []:
            *number, times, shown = cue.split("\n")
            assert bool(number) == (not header)
            found = re.fullmatch(
                rf"(\d\d+):(\d\d):(\d\d){mark}(\d{{3}}) --> (\d\d+):(\d\d):(\d\d){mark}(\d{{3}})", times
            )
            hours, minutes, seconds, milli = (list(map(int, found.groups()))[k::4] for k in range(4))
            start, end = (
                ((h * 60 + m) * 60 + s) * 1000 + u for h, m, s, u in zip(hours, minutes, seconds, milli, strict=True)
            )
            assert after <= start < end
            after = end
            assert "-->" not in shown and "<" not in shown
            if header:
                assert re.fullmatch(r"([^&<]|&(amp|lt|gt);)*", shown)
                assert html.unescape(shown).rpartition(" (")[0] in {" ".join(n.split()) for n in names} | {""}


# ---------------------------------------------------------------------- files


def test_json_says_what_when_and_by_whom(tmp_path):
    made = timeline(SOME, undecodable=(Undecodable(0.0, 0.5, "no sound"),))
    (path,) = write(made, tmp_path / "new" / "a.film", ["json"])
    assert path.name == "a.film.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    assert values["events"][1] == {"start": 1.5, "end": 2.0, "class": "<b>bold & {\\an8}", "confidence": 0.875}
    assert values["undecodable"] == [{"start": 0.0, "end": 0.5, "reason": "no sound"}]
    assert values["file"] == "a.mp4" and values["run"] == "runs/one" and values["segment_seconds"] == 0.5
    assert values["classes"] == list(NASTY)


def test_a_name_that_is_no_text_can_be_written(tmp_path):
    write(timeline([0], path=b"caf\xe9.mp4".decode("utf-8", "surrogateescape")), tmp_path / "a", ["json"])
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["file"] == "caf?.mp4"


def test_formats_are_checked_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'vtt'"):
        write(timeline([0]), tmp_path / "a", ["json", "vt"])
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- the picture

BLUE, ORANGE = (47, 134, 201), (217, 115, 13)


def where(picture, colour):
    """Columns that hold the colour."""
    same = (np.abs(picture[..., :3] * 255 - colour) < 2).all(-1)
    return np.flatnonzero(same.any(0)), np.flatnonzero(same.any(1))


def test_events_stand_at_their_times(run, clip, tmp_path):
    made = predict(run, clip)
    made.probabilities[:] = 1.0  # full colour
    truth = [Event(1, 1.0, 3.0)]
    (path,) = write(made, tmp_path / "a", ["png"], truth)
    picture = matplotlib.image.imread(path)
    assert picture.shape[1] == 1500 and 400 < picture.shape[0] < 900
    columns, rows = where(picture[picture.shape[0] // 2 :], BLUE)
    orange, orange_rows = where(picture[picture.shape[0] // 2 :], ORANGE)
    scale = (columns.max() - columns.min()) / (made.events[-1].end - made.events[0].start)
    start = columns.min() - made.events[0].start * scale
    assert (orange.min() - start) / scale == pytest.approx(1.0, abs=0.05)
    assert (orange.max() - start) / scale == pytest.approx(3.0, abs=0.05)
    gap = columns[np.flatnonzero(np.diff(columns) > 5)]
    assert (gap[0] - start) / scale == pytest.approx(made.events[1].end, abs=0.05)
    assert rows.min() < orange_rows.min()
    alone = write(made, tmp_path / "b", ["png"])[0]
    assert not len(where(matplotlib.image.imread(alone)[200:], ORANGE)[0])


@pytest.mark.parametrize("labels", [[B, B], [0, 1, 2, 3, B] * 30])
def test_a_picture_of_nothing_and_of_much(clip, tmp_path, labels):
    made = timeline(labels, segment=7.0 / len(labels), path=clip, undecodable=(Undecodable(1.0, 2.0, "x"),), sure=0.3)
    (path,) = write(made, tmp_path / "a", ["png"], [])
    assert matplotlib.image.imread(path).std() > 0.1
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_file_of_sound_or_of_pictures_alone_has_a_picture(tmp_path):
    noise = np.random.default_rng(0).standard_normal((1, 16000)) * 0.1
    sound = pcm_file(tmp_path / "a.wav", noise, rate=16000)
    sight = video_file(tmp_path / "a.mp4", np.zeros((10, 16, 32, 3), np.uint8), fps=10)
    heights = [
        matplotlib.image.imread(write(timeline([B, 0], path=path), tmp_path / f"{path.suffix}x", ["png"])[0]).shape[0]
        for path in (sound, sight)
    ]
    assert heights[0] > heights[1] > 150
    with pytest.raises(MediaError):
        write(timeline([0], path=tmp_path / "gone.mp4"), tmp_path / "gone", ["png"])


@pytest.mark.parametrize(("rotation", "shape"), [(0, 2.0), (90, 0.5), (180, 2.0), (270, 0.5)])
def test_the_shape_is_that_of_the_upright_picture(tmp_path, rotation, shape):
    path = video_file(tmp_path / "a.mp4", np.zeros((10, 16, 32, 3), np.uint8), fps=10, rotation=rotation)
    assert aspect(path) == shape


def test_frames_are_those_shown_then(clip):
    dark, bright, none = frames_at(clip, [1.0, 3.0, 99.0])
    assert dark.mean() < 90 < 160 < bright.mean() and none is None
    assert dark.shape[2] == 3


@pytest.mark.parametrize("seconds", [0.5, 3.0, 23.0])
def test_the_spectrogram_has_no_holes_and_follows_the_sound(tmp_path, seconds):
    rate = 16000
    times = np.arange(round(seconds * rate)) / rate
    samples = 0.5 * np.sin(2 * np.pi * 1000 * times) * (times >= seconds / 2)
    path = pcm_file(tmp_path / "a.wav", samples[None], rate=rate)
    power = spectrogram(path, seconds, columns=300)
    columns = min(300, round(seconds * 100))
    assert power.shape == (64, columns) and np.isfinite(power).all()
    loud = power.max(0) > power.max() - 3
    assert abs(np.argmax(loud) - columns / 2) <= max(2, 0.03 * columns / seconds) and loud[columns // 2 + 3 : -3].all()


def test_former_names_are_read_with_a_warning():
    made = timeline(SOME, undecodable=(Undecodable(0.0, 0.5, "no sound"),))
    with pytest.warns(DeprecationWarning, match=r"Timeline.lost is now Timeline.undecodable"):
        assert made.lost == made.undecodable
    values = {name: value for name, value in vars(made).items() if name != "undecodable"}
    with pytest.warns(DeprecationWarning, match=r"Timeline\(lost=...\) is now Timeline\(undecodable=...\)"):
        assert Timeline(**values, lost=made.undecodable).undecodable == made.undecodable
    with pytest.warns(DeprecationWarning, match=r"predict.Lost is now counterpoint.predict.timeline.Undecodable"):
        assert counterpoint.predict.Lost is Undecodable
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = counterpoint.predict.nothing_like_it
