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
