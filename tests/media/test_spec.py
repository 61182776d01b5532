"""A clip's shape refuses values of another kind or range, as they may come from a configuration."""

import pytest

from counterpoint.errors import ConfigError
from counterpoint.media.spec import MediaSpec


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("size", value) for value in (0, -3, 32.5, "32", None)),
        *(("sample_rate", value) for value in (0, 16e3, "16k")),
        *(("seconds", value) for value in (0, float("nan"), float("inf"), "3")),
        *(("fps", value) for value in (-1, [25])),
        *(("gray", value) for value in (1, "false")),
        *(("frames", value) for value in (0, 1.5, True, "30")),
        *(("audio_start", value) for value in (-0.1, 3.0, "0", float("nan"), None)),
        *(("audio_seconds", value) for value in (0, 3.1, "2", float("inf"))),
        *(("face_margin", value) for value in (-0.5, "0", float("inf"), None)),
        *(("crop", value) for value in (3, (0, 0, 1), (0, 0, 0, 1), (0, 0, 1.1, 1), ("0", 0, 1, 1), None)),
    ],
)
def test_a_wrong_value_is_named(name, value):
    with pytest.raises(ConfigError, match=f"media.{name} is .*; it must be"):
        MediaSpec(**{name: value})


def test_the_number_of_samples_and_frames():
    spec = MediaSpec(sample_rate=8000, seconds=0.25, fps=25, gray=False, crop=(0, 0.5, 1, 1))
    assert (spec.num_samples, spec.num_frames, spec.channels) == (2000, 6, 3)
    assert MediaSpec(seconds=0.01, fps=1).num_frames == 1


def test_spread_frames_and_a_window_of_sound():
    spec = MediaSpec(sample_rate=44100, seconds=6.0, frames=30, audio_start=0.5, audio_seconds=2.45)
    assert (spec.num_samples, spec.num_frames) == (108045, 30)
    assert spec.audio_span == (0.5, 2.95)
    late = MediaSpec(sample_rate=1000, seconds=2.0, audio_start=0.5)
    assert (late.num_samples, late.audio_span) == (1500, (0.5, 2.0))
    assert MediaSpec(seconds=0.3, audio_start=0.1, audio_seconds=0.2).num_samples == 3200  # 0.1 + 0.2 > 0.3 in float64


def test_a_sound_that_ends_after_the_clip_is_refused():
    with pytest.raises(ConfigError, match="at most 2.5"):
        MediaSpec(seconds=3.0, audio_start=0.5, audio_seconds=2.6)
