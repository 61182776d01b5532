"""Windows, what they say put together, and events, against a model that goes by a rule."""

import json
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import ConfigError, MediaError, RunError
from counterpoint.media.decode import read_clip
from counterpoint.media.encode import write_clip
from counterpoint.media.transforms import create_transform
from counterpoint.predict import predict
from counterpoint.predict.grid import Grid, Mean

CLASSES = ("dark <noise>", "bright noise")
TRUTH = [(0.8, 1.6, 0), (1.6, 2.0, 1), (4.0, 5.2, 1), (5.2, 6.0, 0)]
SEGMENT = 0.4


def spans(timeline):
    return [(round(e.start, 6), round(e.end, 6), e.label) for e in timeline.events]


@pytest.mark.parametrize("hop", [None, 0.4, 0.8, 1.2, 2.0])
def test_events_are_found_where_they_are(run, clip, hop):
    timeline = predict(run, clip, hop=hop)
    assert spans(timeline) == TRUTH
    assert timeline.segment == pytest.approx(SEGMENT) and timeline.window == 2.0
    assert timeline.hop == pytest.approx(hop or 0.8)
    assert timeline.seconds == pytest.approx(7.0, abs=0.15)
    assert timeline.probabilities.shape == (len(timeline.labels), 3)
    np.testing.assert_allclose(timeline.probabilities.sum(1), 1, atol=1e-5)
    assert len(timeline.labels) in (17, 18)
    assert timeline.task == "localise" and timeline.model == "rule"
    assert timeline.undecodable == () and timeline.notes == ()
    assert all(0.5 < event.confidence <= 1 for event in timeline.events)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_segment_is_the_mean_of_the_windows_that_hold_it(run, clip, step):
    timeline = predict(run, clip, hop=step * SEGMENT)
    gathered = {k: [] for k in range(len(timeline.labels))}
    number = 0
    while True:
        start = number * step * SEGMENT
        one = read_clip(clip, run.spec, start=start)
        output = run.module({"audio": torch.from_numpy(one.audio)[None], "visual": torch.from_numpy(one.visual)[None]})
        logits = output.segment_logits[0].double().numpy()
        weights = np.exp(logits - logits.max(1, keepdims=True))
        for k, row in enumerate(weights / weights.sum(1, keepdims=True), number * step):
            gathered.get(k, []).append(row)
        number += 1
        if start + 2.0 >= timeline.seconds - 0.1:
            break
    expected = np.stack([np.mean(rows, 0) for rows in gathered.values()])
    np.testing.assert_allclose(timeline.probabilities, expected, atol=1e-5)
    for event in timeline.events:
        inside = [k for k in gathered if event.start - 1e-6 <= k * SEGMENT < event.end - 1e-6]
        assert event.confidence == pytest.approx(expected[inside, event.label].mean(), abs=1e-5)


def test_windows_go_through_the_model_in_small_batches(run, clip):
    predict(run, clip, hop=0.4)
    assert run.module.batches[0] == 1 and run.module.batches[1:] == [8, 6]


def test_a_clip_shorter_than_a_window_is_filled_up_and_the_filling_left_out(run, film_of):
    timeline = predict(run, film_of(1.0, [(0.4, 1.0)], []))
    assert len(timeline.labels) in (2, 3)
    assert spans(timeline) == [(0.4, pytest.approx(timeline.seconds), 0)]


def test_a_classifier_has_a_class_per_window(classifier, film_of):
    path = film_of(6.0, [(0.0, 6.0)], [(2.0, 4.0)])
    timeline = predict(classifier, path)
    assert timeline.task == "classify" and timeline.segment == timeline.hop == 2.0
    assert timeline.probabilities.shape == (3, 2)
    assert [(round(e.start), round(e.end), e.label) for e in timeline.events] == [(0, 2, 0), (2, 4, 1), (4, 6, 0)]
    finer = predict(classifier, path, hop=0.5)
    assert finer.segment == finer.hop == 0.5 and finer.window == 2.0
    assert len(finer.labels) == 12 and finer.events[1].label == 1


def test_a_short_clip_has_one_class(classifier, film_of):
    timeline = predict(classifier, film_of(1.0, [(0.0, 1.0)], [(0.0, 1.0)]))
    (event,) = timeline.events
    assert (event.start, event.label) == (0.0, 1) and event.end == timeline.seconds == pytest.approx(1.0, abs=0.15)


def test_progress_is_told_in_seconds(run, clip):
    told = []
    predict(run, clip, hop=0.4, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (7, 7)


# ---------------------------------------------------------------------- damage


def test_a_stretch_that_is_lost_holds_no_event_and_is_told(run, film_of):
    path = film_of(16.0, [(1.0, 15.0)], [])
    data = bytearray(path.read_bytes())
    at, length = len(data) * 4 // 10, len(data) * 3 // 10
    data[at : at + length] = bytes(length)
    path.write_bytes(data)
    timeline = predict(run, path)
    (part,) = timeline.undecodable
    assert 2 < part.start < part.end < 16 and "decoded" in part.reason
    first, stop = round(part.start / SEGMENT), round(part.end / SEGMENT)
    assert np.isnan(timeline.probabilities[first:stop]).all() and (timeline.labels[first:stop] == 2).all()
    assert np.isfinite(timeline.probabilities[:first]).all() and np.isfinite(timeline.probabilities[stop:]).all()
    assert timeline.events[0].start == pytest.approx(0.8, abs=0.41)
    assert any("damaged" in note for note in timeline.notes)
    json.dumps(timeline.to_dict(), allow_nan=False)


def test_an_end_that_is_lost_is_told_and_holds_no_event(run, tmp_path):
    """Sound for 1.8 s of six, loud: what comes after them is not known, least of all that it is an event."""
    sound = 0.3 * np.random.default_rng(0).standard_normal(9 * 1600)
    pictures = np.full((60, 16, 16, 3), 200, np.uint8)
    write_clip(tmp_path / "a.mp4", sound.astype(np.float32), pictures, fps=10, sample_rate=8000)
    timeline = predict(run, tmp_path / "a.mp4", hop=2.0)
    assert timeline.seconds == pytest.approx(6.0) and len(timeline.labels) == 15
    (part,) = timeline.undecodable
    assert (part.start, part.end) == pytest.approx((2.0, 6.0)) and "no sound" in part.reason
    assert spans(timeline) == [(0.0, 2.0, 1)]


def test_a_file_without_what_the_model_takes_is_refused(run, tmp_path):
    write_clip(tmp_path / "mute.mp4", None, np.zeros((5, 16, 16, 3), np.uint8), fps=10, sample_rate=8000)
    with pytest.raises(MediaError, match="has no sound"):
        predict(run, tmp_path / "mute.mp4")
    with pytest.raises(MediaError, match="the file is missing"):
        predict(run, tmp_path / "nothing.mp4")


def test_what_is_no_run_is_refused(clip, tmp_path):
    with pytest.raises(RunError, match="There is no run"):
        predict(tmp_path / "nowhere", clip)
    with pytest.raises(RunError, match="is not a run"):
        predict(tmp_path, clip)


def test_a_model_of_ready_made_features_is_refused(run, clip):
    run.module.transforms["visual"] = create_transform("features", spec=run.spec)
    with pytest.raises(RunError, match="takes features"):
        predict(run, clip)


# ---------------------------------------------------------------------- the grid


@pytest.mark.parametrize("hop", [0.0, -1.0, 0.3, 0.5, 2.4, 100.0, float("nan")])
def test_a_hop_that_is_no_number_of_segments_is_refused(run, clip, hop):
    with pytest.raises(ConfigError, match="hop is"):
        predict(run, clip, hop=hop)


@pytest.mark.parametrize("hop", [0.0, -1.0, 0.3, 1.5, 4.0, float("nan")])
def test_a_window_that_is_no_number_of_hops_is_refused(classifier, clip, hop):
    with pytest.raises(ConfigError, match="hop is"):
        predict(classifier, clip, hop=hop)


@given(window=st.floats(0.1, 30), parts=st.integers(1, 40), step=st.integers(1, 40))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_hop_of_whole_segments_is_taken_as_it_is(window, parts, step):
    step = min(step, parts)
    grid = Grid.of_localiser(window, parts, round(step * window / parts, 9))
    assert (grid.parts, grid.step) == (parts, step) and grid.hop <= window
    assert Grid.of_classifier(window, window / parts).parts == parts


def test_memory_is_that_of_the_segments(run):
    """Ten times as many windows: a few numbers more each."""

    def used(windows):
        mean = Mean(Grid(2.0, 5, 2))
        tracemalloc.start()
        for number in range(windows):
            mean.add(number, np.ones((5, 4)))
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    assert used(4000) - used(400) < 3600 * 2 * 400
